import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// `npm run dev` shows a running cluster: HEARTH_URL names any of its devices.
const hearth = process.env.HEARTH_URL ?? 'http://localhost:52415';
const apiPaths = ['/v1', '/state', '/events', '/instance', '/place_instance', '/health', '/node_id'];

export default defineConfig({
  plugins: [svelte({ configFile: false })],
  build: {
    // Devices that people still own: Lightning CSS rewrites light-dark() and nesting for these.
    target: ['chrome111', 'firefox114', 'safari16.4'],
    assetsInlineLimit: 2048,
    reportCompressedSize: false,
    license: { fileName: 'licenses.md' },
  },
  server: {
    proxy: Object.fromEntries(apiPaths.map((path) => [path, hearth])),
  },
  test: {
    include: ['src/**/*.test.ts'],
  },
});

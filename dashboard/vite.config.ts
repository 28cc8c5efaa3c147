import { svelte } from '@sveltejs/vite-plugin-svelte';
import license from 'rollup-plugin-license';
import { defineConfig } from 'vitest/config';

// `npm run dev` shows a running cluster: HEARTH_URL names any of its devices.
const hearth = process.env.HEARTH_URL ?? 'http://localhost:52415';
const apiPaths = ['/v1', '/state', '/events', '/instance', '/place_instance', '/health', '/node_id'];

// The versions are those that run on Debian 12's Node.js 18.
export default defineConfig({
  plugins: [svelte()],
  css: { transformer: 'lightningcss' },
  build: {
    // Devices that people still own: Lightning CSS rewrites light-dark() and nesting for these.
    target: ['chrome111', 'firefox114', 'safari16.4'],
    cssMinify: 'lightningcss',
    assetsInlineLimit: 2048,
    reportCompressedSize: false,
    rollupOptions: {
      plugins: [license({ thirdParty: { output: 'dist/licenses.txt' } })],
    },
  },
  server: {
    proxy: Object.fromEntries(apiPaths.map((path) => [path, hearth])),
  },
  test: {
    include: ['src/**/*.test.ts'],
  },
});

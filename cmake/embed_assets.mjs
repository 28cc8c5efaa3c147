// Turns a folder of built web files into a C++ source: node embed_assets.mjs FOLDER OUTPUT.cc
// The table has the shape of serve/assets.h. Text is embedded once more compressed, where that is smaller.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { gzipSync } from 'node:zlib';

const contentTypes = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.webp': 'image/webp',
  '.woff2': 'font/woff2',
};
const compressible = /^(text\/|application\/(json|manifest|wasm)|image\/svg)/;

function files(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)]))
    .sort();
}

function bytesLiteral(name, bytes) {
  const lines = [];
  for (let i = 0; i < bytes.length; i += 32) lines.push([...bytes.subarray(i, i + 32)].join(','));
  return `constexpr uint8_t ${name}[] = {${lines.join(',\n')}};\n`;
}

const [folder, output] = process.argv.slice(2);
const arrays = [];
const rows = [];
files(folder).forEach((file, index) => {
  const contentType = contentTypes[extname(file)];
  if (!contentType) throw new Error(`${file}: add the content type of ${extname(file)} to embed_assets.mjs`);
  const path = '/' + relative(folder, file).split(sep).join('/');
  const bytes = readFileSync(file);
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
  // Vite puts files whose names carry a hash of their content, and only those, into assets/.
  const hashed = path.startsWith('/assets/');
  const gzip = compressible.test(contentType) ? gzipSync(bytes, { level: 9 }) : bytes;
  if (bytes.length > 0) arrays.push(bytesLiteral(`kBytes${index}`, bytes));
  const smaller = gzip.length < bytes.length;
  if (smaller) arrays.push(bytesLiteral(`kGzip${index}`, gzip));
  rows.push(
    `    {.path = ${JSON.stringify(path)}, .content_type = ${JSON.stringify(contentType)}, ` +
      `.etag = "\\"${hash}\\"", .bytes = ${bytes.length > 0 ? `kBytes${index}` : '{}'}, ` +
      `.gzip = ${smaller ? `kGzip${index}` : '{}'}, .hashed = ${hashed}},\n`,
  );
});

writeFileSync(
  output,
  `// Made by cmake/embed_assets.mjs.
#include "serve/assets.h"

namespace hearth::serve {
namespace {

${arrays.join('\n')}
constexpr Asset kAssets[] = {
${rows.join('')}};

}  // namespace

std::span<const Asset> dashboard_assets() { return kAssets; }

}  // namespace hearth::serve
`,
);

// Makes dist/: the library and the CLI as one bundle with shared pieces, the types beside it. Whoever installs Coppice
// gets one dependency, the store (it is native); all other libraries are inside, with their licences.

import { spawnSync } from 'node:child_process'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type Metafile, type Plugin } from 'esbuild'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const OUT = 'dist'
const LICENCES_FILE = 'THIRD-PARTY-LICENSES'

/**
 * classic-level is native and the one runtime dependency; the other two make SSH faster where they are present, and
 * nobody here uses SSH.
 */
const EXTERNAL = ['classic-level', 'cpu-features', '*.node']

/** CommonJS libraries inside an ES module still ask for these three names. */
const BANNER = [
  "import { createRequire as createRequireHere } from 'node:module';",
  'const require = createRequireHere(import.meta.url), { filename: __filename, dirname: __dirname } = import.meta;',
].join('\n')

/**
 * Whoever imports `node:http` into an ES module has Node fill in all that it exports, and some of it is made only when
 * it is asked for: with `WebSocket` comes all of undici, 8 MB and 60 ms of each command. Asked by `require`, Node makes
 * what is used. The same of others, where it is little.
 */
const builtinsAsked: Plugin = {
  name: 'builtins are asked for, not imported',
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /^[^./]/ }, ({ path, kind }) =>
      kind === 'import-statement' && isBuiltin(path) ? { path, namespace: 'builtin' } : undefined,
    )
    onLoad({ filter: /./, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)})`,
    }))
  },
}

/**
 * Of kad-dht, a list of 65,536 numbers. As the text of a program it takes 1 MB while it is read, which is not given
 * back, and is then held three times: as text, as constants and as what the program works with.
 */
const PREFIX_LIST = /kad-dht\/dist\/src\/routing-table\/generated-prefix-list\.js$/
const numbersAsBytes: Plugin = {
  name: 'a long list of numbers is held as bytes',
  setup: ({ onLoad }) =>
    onLoad({ filter: PREFIX_LIST }, async ({ path }) => {
      const { default: numbers } = (await import(pathToFileURL(path).href)) as { default: readonly number[] }
      const bytes = Buffer.alloc(numbers.length * Uint32Array.BYTES_PER_ELEMENT)
      for (const [index, one] of numbers.entries()) bytes.writeUInt32LE(one, index * Uint32Array.BYTES_PER_ELEMENT)
      const contents = `const bytes = Buffer.from('${bytes.toString('base64')}', 'base64')
        export default Uint32Array.from({ length: ${numbers.length} }, (_, index) => bytes.readUInt32LE(4 * index))`
      return { contents }
    }),
}

/** `node_modules/x` or `node_modules/@scope/x`, the innermost of nested ones. */
const packageFolder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/

await rm(join(ROOT, OUT), { recursive: true, force: true })
const { metafile } = await build({
  absWorkingDir: ROOT,
  entryPoints: ['node/index.ts', 'node/cli/main.ts'],
  outdir: OUT,
  outbase: 'node',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22',
  external: EXTERNAL,
  banner: { js: BANNER },
  plugins: [builtinsAsked, numbersAsBytes],
  legalComments: 'none',
  // A running node holds the text of what it loaded. Names stay, for whoever reads a stack.
  minifyWhitespace: true,
  minifySyntax: true,
  metafile: true,
  logLevel: 'warning',
})
for (const output of Object.keys(metafile.outputs)) await writeInAscii(join(ROOT, output))
await writeFile(join(ROOT, OUT, LICENCES_FILE), await licencesOf(metafile))
emitTypes()
console.log(`${OUT}: ${Object.keys(metafile.outputs).length} files, ${Math.round(bytesOf(metafile) / 1_000)} kB`)

/**
 * V8 holds a text with a single character beyond Latin-1 in two bytes each, and reads a file as UTF-8 into such a text
 * for any character beyond ASCII: 7 MB of memory for a degree sign. esbuild escapes those in strings and templates;
 * what is left stands in regular expressions and comments, where the same escape means the same.
 */
async function writeInAscii(file: string): Promise<void> {
  const text = await readFile(file, 'utf8')
  const escaped = text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  if (escaped !== text) await writeFile(file, escaped)
}

/** The declarations of the library's entry and of what it mentions. */
function emitTypes(): void {
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
  const { status } = spawnSync(process.execPath, [compiler, '-p', 'node/tsconfig.types.json'], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(status ?? 1)
}

function bytesOf(made: Metafile): number {
  return Object.values(made.outputs).reduce((sum, output) => sum + output.bytes, 0)
}

/** The licence texts of all packages that went into the bundle, as those licences ask for. */
async function licencesOf(made: Metafile): Promise<string> {
  const folders = new Set(Object.keys(made.inputs).flatMap((input) => packageFolder.exec(input)?.[0] ?? []))
  const sections = await Promise.all([...folders].sort().map(licenceOf))
  return sections.join('\n\n')
}

async function licenceOf(folder: string): Promise<string> {
  const facts = JSON.parse(await readFile(join(ROOT, folder, 'package.json'), 'utf8')) as Record<string, unknown>
  const files = (await readdir(join(ROOT, folder))).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file)).sort()
  const texts = await Promise.all(files.map((file) => readFile(join(ROOT, folder, file), 'utf8')))
  const title = `${facts.name} ${facts.version} (${JSON.stringify(facts.license ?? 'see below')})`
  return [title, '='.repeat(title.length), ...texts.map((text) => text.trim())].join('\n')
}

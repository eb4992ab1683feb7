// The rules of the house that a machine can check (DESIGN section 3, HOUSE): which way imports point, and what pure
// code never does. A rule that is broken names the file and the line.

import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { readSource, type SourceText } from './source-text.ts'

const ROOT = join(import.meta.dirname, '..')
const FILE_LINES_MAX = 400
const LINE_CHARACTERS_MAX = 120

/** What each part may import besides itself: the arrows of DESIGN section 3. */
const BELOW_OVERLAY = ['overlay/kernel']
const BELOW_TRUNKS = [...BELOW_OVERLAY, 'overlay']
const BELOW_PLACEMENT = [...BELOW_TRUNKS, 'services-registry']
const BELOW_NODE = [...BELOW_PLACEMENT, 'election', 'bootstrap', 'placement']
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  'overlay/kernel': [],
  overlay: BELOW_OVERLAY,
  election: BELOW_TRUNKS,
  bootstrap: BELOW_TRUNKS,
  'services-registry': BELOW_TRUNKS,
  placement: BELOW_PLACEMENT,
  node: BELOW_NODE,
  testnet: [...BELOW_NODE, 'node'],
}
const FOLDERS = Object.keys(ARROWS).filter((part) => !part.includes('/'))

/** What only `io/`, `node/` and `testnet/` may use: time, chance, waiting, and the process. */
const IMPURE: Readonly<Record<string, RegExp>> = {
  'the wall clock': /\bDate\.now\b|\bnew Date\b/,
  'a clock': /(?<![.\w])performance\b/,
  'a timer': /(?<!\.)\b(?:setTimeout|setInterval|setImmediate|queueMicrotask)\b/,
  chance: /\bMath\.random\b|\brandomUUID\b|\bgetRandomValues\b/,
  waiting: /\b(?:await|async)\b/,
  'the process': /(?<![.\w])process\b(?!\s*[:?])/,
}

interface Source extends SourceText {
  readonly path: string
  readonly text: string
  readonly part: string
}

const sources: readonly Source[] = globSync(`{${FOLDERS.join(',')}}/**/*.ts`, { cwd: ROOT })
  .sort()
  .map((path) => {
    const text = readFileSync(join(ROOT, path), 'utf8')
    return { path, text, part: partOf(path), ...readSource(text) }
  })

/** Tests, and what only tests import: fixtures and harnesses. */
const isTest = (path: string): boolean => /(^|[-.])(tests?|fixtures?|harness)[-.]/.test(basename(path))
const isIo = (path: string): boolean => path.split('/').includes('io')
const isIndex = (path: string): boolean => basename(path) === 'index.ts'
const isPure = ({ path, part }: Source): boolean =>
  !(part === 'node' || part === 'testnet' || isIo(path) || isTest(path))

function partOf(path: string): string {
  return path.startsWith('overlay/kernel/') ? 'overlay/kernel' : (path.split('/')[0] ?? '')
}

/** The path that a relative import leads to; null for a package. */
const targetOf = (source: Source, specifier: string): string | null =>
  specifier.startsWith('.') ? relative(ROOT, join(ROOT, dirname(source.path), specifier)) : null

const localImports = (source: Source): readonly string[] =>
  source.imports.flatMap((specifier) => targetOf(source, specifier) ?? [])

/** Indexes that also show what a folder's `io/` makes; importing one is importing that. */
const impureIndexes = new Set(
  sources.filter((source) => isIndex(source.path) && localImports(source).some(isIo)).map((source) => source.path),
)

function linesWith(source: Source, text: string, pattern: RegExp, what: string): readonly string[] {
  return text.split('\n').flatMap((line, index) => (pattern.test(line) ? [`${source.path}:${index + 1} ${what}`] : []))
}

function none(broken: readonly string[]): void {
  if (broken.length > 0) assert.fail(`\n${broken.join('\n')}`)
}

test('there is code to look at', () => {
  assert.ok(sources.length > 20)
  assert.ok(sources.filter(isPure).length > 10)
})

test('imports follow the arrows', () => {
  none(
    sources.flatMap((source) =>
      localImports(source)
        .filter((target) => FOLDERS.includes(target.split('/')[0] ?? ''))
        .filter((target) => partOf(target) !== source.part && !ARROWS[source.part]?.includes(partOf(target)))
        .map((target) => `${source.path} imports ${target}`),
    ),
  )
})

test('the kernel imports nothing but itself', () => {
  const kernel = sources.filter(({ path, part }) => part === 'overlay/kernel' && !isTest(path))
  none(
    kernel.flatMap(({ path, imports }) =>
      imports.filter((name) => !name.startsWith('./')).map((name) => `${path} imports ${name}`),
    ),
  )
})

test('pure files import neither io nor what Node brings', () => {
  const pure = sources.filter((source) => isPure(source) && !isIndex(source.path))
  none(
    pure.flatMap((source) => [
      ...source.imports.filter((name) => name.startsWith('node:')).map((name) => `${source.path} imports ${name}`),
      ...localImports(source)
        .filter((target) => isIo(target) || impureIndexes.has(target))
        .map((target) => `${source.path} imports ${target}`),
    ]),
  )
})

test('pure files know no clock, no timer, no chance, no waiting and no process', () => {
  none(
    sources
      .filter(isPure)
      .flatMap((source) =>
        Object.entries(IMPURE).flatMap(([what, pattern]) => linesWith(source, source.code, pattern, `uses ${what}`)),
      ),
  )
})

test('a file never imports the index of its own folder', () => {
  // A face uses the node as any program would.
  const isFace = (path: string): boolean => /^node\/(cli|dashboard)\//.test(path)
  none(
    sources
      .filter(({ path }) => !isTest(path) && !isFace(path))
      .flatMap((source) =>
        localImports(source)
          .filter((target) => isIndex(target) && source.path.startsWith(`${dirname(target)}/`))
          .map((target) => `${source.path} imports ${target}`),
      ),
  )
})

test('a machine shows its state, its input, its effects, how it begins and when it wants to be woken', () => {
  const isMachine = (source: Source): boolean => isPure(source) && /\bexport function step\b/.test(source.code)
  const shapes = [
    '\\w+State\\b',
    '\\w+Input\\b',
    '\\w+Effect\\b',
    'export function create[A-Z]',
    'export (?:function|const) wakeAt\\b',
  ]
  none(
    sources.filter(isMachine).flatMap(({ path }) => {
      const folder = sources.filter((source) => dirname(source.path) === dirname(path) && isPure(source))
      const missing = shapes.filter((shape) => !folder.some(({ code }) => new RegExp(shape).test(code)))
      return missing.map((shape) => `${path} lacks ${shape}`)
    }),
  )
})

test('a question on the command line loads one library, the one that reads the words', () => {
  const seen = new Set<string>()
  const libraries = new Set<string>()
  const load = (path: string): void => {
    const source = sources.find((one) => one.path === path)
    if (source === undefined || seen.has(path)) return
    seen.add(path)
    for (const name of source.loads) {
      const target = targetOf(source, name)
      if (target !== null) load(target)
      else if (!name.startsWith('node:')) libraries.add(name)
    }
  }
  for (const path of ['node/cli/main.ts', 'node/cli/commands/look.ts', 'node/io/control-client.ts']) load(path)
  assert.ok(seen.size > 5)
  assert.deepEqual([...libraries], ['commander'])
})

test('each folder says what it promises and what it shows', () => {
  const needed = FOLDERS.flatMap((folder) =>
    (folder === 'testnet' ? ['README.md'] : ['README.md', 'index.ts']).map((file) => join(folder, file)),
  )
  none(needed.filter((path) => !existsSync(join(ROOT, path))).map((path) => `${path} is missing`))
})

test('files and lines stay short enough to be read', () => {
  none(
    sources.flatMap(({ path, text }) => {
      const lines = text.trimEnd().split('\n')
      const long = lines.flatMap((line, index) =>
        [...line].length > LINE_CHARACTERS_MAX ? [`${path}:${index + 1} is too long`] : [],
      )
      return lines.length > FILE_LINES_MAX ? [`${path} has ${lines.length} lines`, ...long] : long
    }),
  )
})

test('a file opens with a sentence on what it is', () => {
  none(sources.filter(({ text }) => !/^(?:#!.*\n)?\/\/ [\w`“…][^\n]{20,}/.test(text)).map(({ path }) => path))
})

test('nothing is left for later', () => {
  const later = /\b(?:[T]ODO|[F]IXME|[X]XX|[H]ACK)\b/
  none(sources.flatMap((source) => linesWith(source, source.text, later, 'is left for later')))
})

test('no test is skipped, singled out or marked for later', () => {
  const marked = /\b(?:test|it|describe|suite|t)\.(?:skip|only|todo)\b|\b(?:skip|only|todo): (?:true|'|"|`)/
  none(
    sources
      .filter(({ path }) => isTest(path))
      .flatMap((source) => linesWith(source, source.code, marked, 'does not run')),
  )
})

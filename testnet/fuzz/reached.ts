// Which readers of what comes from outside the fuzzer calls, as V8 counts it: one that no target reaches is a hole,
// whatever the list of targets says.

import { globSync, readFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { readSource } from '../source-text.ts'

const ROOT = join(import.meta.dirname, '../..')
const SHIPPED = '{bootstrap,election,node,overlay,placement,services-registry}/**/*.ts'
const NOT_SHIPPED = /[-./](?:tests?|fixtures?|harness|test-kit)[-.]/
/** What readers are called here. */
const NAMED =
  /\bexport (?:async )?(?:function|const) ((?:decode|read|parse|unpack)[A-Z]\w*|create\w*(?:Reader|Unpacker|Check))\b/g
/** What the others begin with. Stripping types leaves every character in its place. */
const RAW = /(?<![\w.])(?:decodeBounded|JSON\.parse)\(/g

/** A function that reads, by its name; or the place of a call in it that makes a value of bytes or text. */
interface Reader {
  readonly file: string
  readonly name: string | null
  readonly at: number
}

/** By file: name, place and calls of every function that was loaded. */
type Calls = ReadonlyMap<string, readonly { name: string; from: number; to: number; count: number }[]>

/** All of the shipped code, as `file#name`; one without a name of its own is named after its line. */
function allReaders(file: string): readonly (Reader & { readonly id: string })[] {
  const { code } = readSource(readFileSync(join(ROOT, file), 'utf8'))
  const lineOf = (at: number): number => code.slice(0, at).split('\n').length
  const named = [...code.matchAll(NAMED)].map(({ 1: name = '', index }) => ({ name, at: index, id: `${file}#${name}` }))
  const raw = [...code.matchAll(RAW)].map(({ index }) => ({ name: null, at: index, id: `${file}:${lineOf(index)}` }))
  return [...named, ...raw].map((one) => ({ file, ...one }))
}

/** Counts the calls while something is done. */
async function callsDuring<T>(act: () => Promise<T>): Promise<{ readonly result: T; readonly calls: Calls }> {
  const session = new Session()
  session.connect()
  try {
    await session.post('Profiler.enable')
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
    const result = await act()
    const counted = await session.post('Profiler.takePreciseCoverage')
    const calls: Calls = new Map(
      counted.result.map(({ url, functions }) => [
        url,
        functions.map(({ functionName: name, ranges: [whole] }) => ({
          name,
          from: whole?.startOffset ?? 0,
          to: whole?.endOffset ?? 0,
          count: whole?.count ?? 0,
        })),
      ]),
    )
    return { result, calls }
  } finally {
    session.disconnect()
  }
}

function isCalled({ file, name, at }: Reader, calls: Calls): boolean {
  const functions = calls.get(pathToFileURL(join(ROOT, file)).href) ?? []
  if (name !== null) return functions.some((one) => one.name === name && one.count > 0)
  const around = functions.filter(({ from, to }) => from <= at && at < to)
  const [innermost] = around.sort((a, b) => a.to - a.from - (b.to - b.from))
  return (innermost?.count ?? 0) > 0
}

/** Does something, and tells which readers were not called meanwhile, but for those in the files that are left out. */
export async function watchReaders<T>(
  act: () => Promise<T>,
  leftOut: readonly string[],
): Promise<{ readonly result: T; readonly unreached: readonly string[] }> {
  const { result, calls } = await callsDuring(act)
  const unreached = globSync(SHIPPED, { cwd: ROOT })
    .filter((file) => !NOT_SHIPPED.test(`/${file}`) && !leftOut.includes(file))
    .sort()
    .flatMap(allReaders)
    .filter((reader) => !isCalled(reader, calls))
    .map(({ id }) => id)
  return { result, unreached }
}

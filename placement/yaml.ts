// YAML with an address for what is wrong: the plain value, and for each path in it the line where it stands.

import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { childPath } from './descriptor-report.ts'

export interface YamlProblem {
  /** From 1. */
  readonly line: number
  readonly problem: string
}

export interface YamlText {
  /** Null where there are problems. */
  readonly value: unknown
  readonly problems: readonly YamlProblem[]
  /** The line of a JSON path, or of the nearest thing around it that stands in the text. */
  readonly lineOf: (path: string) => number | undefined
}

/** How often anchors may be used: what a small text can grow to is bounded by it. */
const ALIASES_MAX = 100
/** Findings about one text; after a slip of indentation all lines are wrong. */
const PROBLEMS_MAX = 20

/** Reads YAML 1.2 (core schema) with merge keys. Never throws. */
export function readYaml(text: string): YamlText {
  const lineCounter = new LineCounter()
  const parsed = parseDocument(text, { lineCounter, merge: true, prettyErrors: false, logLevel: 'silent' })
  const lines = new Map<string, number>()
  const problems = parsed.errors
    .slice(0, PROBLEMS_MAX)
    .map(({ message, pos }) => ({ line: lineCounter.linePos(pos[0]).line, problem: message }))
  if (problems.length > 0) return { value: null, problems, lineOf: () => undefined }
  noteLines(parsed.contents, '$', lineCounter, lines)
  try {
    return { value: parsed.toJS({ maxAliasCount: ALIASES_MAX }), problems, lineOf: (path) => lineAround(lines, path) }
  } catch (problem) {
    return { value: null, problems: [{ line: 1, problem: (problem as Error).message }], lineOf: () => undefined }
  }
}

function noteLines(node: unknown, path: string, counter: LineCounter, lines: Map<string, number>): void {
  const start = (node as Node | null)?.range?.[0]
  if (start !== undefined && !lines.has(path)) lines.set(path, counter.linePos(start).line)
  if (isAlias(node)) return
  if (isSeq(node)) {
    for (const [index, item] of node.items.entries()) noteLines(item, childPath(path, String(index)), counter, lines)
  } else if (isMap(node)) {
    for (const { key, value } of node.items) {
      if (!isScalar(key)) continue
      const inner = childPath(path, String(key.value))
      const at = key.range?.[0]
      if (at !== undefined) lines.set(inner, counter.linePos(at).line)
      noteLines(value, inner, counter, lines)
    }
  }
}

function lineAround(lines: ReadonlyMap<string, number>, path: string): number | undefined {
  for (let around = path; around !== ''; around = around.replace(/(?:\.[\w-]+|\[[^[\]]*\]|\$|.)$/, '')) {
    const line = lines.get(around)
    if (line !== undefined) return line
  }
  return undefined
}

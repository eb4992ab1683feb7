// What counts as code: the tidy test is only as good as this.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { readSource } from './source-text.ts'

const words = (text: string): readonly string[] => readSource(text).code.match(/\w+/g) ?? []

test('comments and the insides of strings are not code', () => {
  const cases: readonly (readonly [source: string, words: readonly string[]])[] = [
    ['a // await\nb', ['a', 'b']],
    ['a /* await\n await */ b', ['a', 'b']],
    ["a('await \\' await') + b", ['a', 'b']],
    ['a("it\'s await") + b', ['a', 'b']],
    ['a(`await $ \\` await`) + b', ['a', 'b']],
    ['a / b / c', ['a', 'b', 'c']],
    ['f(x) / b / c', ['f', 'x', 'b', 'c']],
    ['const a = /[\'"`await]/g.test(b)', ['const', 'a', 'test', 'b']],
    ['return /await/.test(b)', ['return', 'test', 'b']],
    ["'http://await' + b", ['b']],
  ]
  for (const [source, expected] of cases) assert.deepEqual(words(source), expected, source)
})

test('what is substituted into a template is code, however deep', () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the source under test
  assert.deepEqual(words('`text ${await a(`inner ${{ b: 1 }.b} text`)} text` + c'), ['await', 'a', 'b', '1', 'b', 'c'])
})

test('imports are found in all their forms and not in comments', () => {
  const source = [
    "import { a } from './a.ts'",
    "import type { B } from './b.ts'",
    "import './c.ts'",
    "import {\n  d,\n  e,\n} from './d.ts'",
    "export { f } from './f.ts'",
    "export * from './g.ts'",
    "const h = await import('./h.ts')",
    "// import { i } from './i.ts'",
  ].join('\n')
  assert.deepEqual(
    [...readSource(source).imports].sort(),
    ['a', 'b', 'c', 'd', 'f', 'g', 'h'].map((name) => `./${name}.ts`),
  )
})

test('types and what is imported later are not loaded with a file', () => {
  const source =
    "import { a } from 'a'\nimport type { b } from 'b'\nexport type { c } from 'c'\nimport 'd'\nconst e = import('e')"
  assert.deepEqual(readSource(source).loads, ['a', 'd'])
})

test('the parts of a file together are the file, line for line', () => {
  const text = readFileSync(new URL('source-text.ts', import.meta.url), 'utf8')
  const { code, uncommented } = readSource(text)
  assert.equal(code.length, text.length)
  assert.equal(uncommented.split('\n').length, text.split('\n').length)
  assert.match(code, /export function readSource\(text: string\): SourceText \{/)
})

// Selectors: what they choose, and how they say that they cannot be read.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compilePattern, PATTERN_CHARS_MAX } from './pattern.ts'
import { parseSelector, SELECTOR_CHARS_MAX } from './selector.ts'

const berlin = { names: ['/eu/berlin', 'eu/berlin', 'berlin'], labels: ['zone=eu', 'tier=edge'] }

const chosen: readonly (readonly [string, boolean])[] = [
  ['berlin', true],
  ['berli', false],
  ['/eu/berlin', true],
  ['/eu/*', true],
  ['ber*', true],
  ['*', true],
  ['*lin*', true],
  ['be*x', false],
  ['/ber.*/', true],
  ['/er/', false],
  ['/(paris|berlin)/', true],
  ['zone=eu', true],
  ['zone=us', false],
  ['zone=*', true],
  ['!berlin', false],
  ['!paris', true],
  ['!zone=us', true],
  ['!!berlin', true],
  ['berlin zone=eu', true],
  ['berlin zone=us', false],
  ['paris, berlin', true],
  ['paris,rome', false],
  ['paris, b* !zone=us', true],
  ['paris zone=eu, rome', false],
  ['/b[, ]?erlin/', true],
]
for (const [source, expected] of chosen) {
  test(`"${source}" ${expected ? 'selects' : 'leaves out'} /eu/berlin in zone eu`, () => {
    const parsed = parseSelector(source)
    assert.ok(parsed.ok, JSON.stringify(parsed))
    assert.equal(parsed.value(berlin), expected)
  })
}

const wrong: readonly (readonly [string, number, RegExp])[] = [
  ['', 0, /nothing to select/],
  ['a,,b', 2, /nothing to select/],
  ['a,', 2, /nothing to select/],
  ['ok !', 3, /nothing follows/],
  ['=eu', 0, /a label stands before/],
  ['na(me', 2, /no place in a name/],
  ['x /a(b/', 4, /not closed/],
  ['/a)b/', 2, /closes nothing/],
  ['/[ab/', 1, /not closed/],
  ['/*a/', 1, /nothing stands before/],
  ['/a**/', 3, /nothing to repeat/],
  ['/a{2}/', 2, /counted repetition/],
  ['/^a/', 1, /always matches the whole name/],
  ['/\\bx/', 1, /not supported/],
  ['/[z-a]/', 2, /is empty/],
  ['x'.repeat(SELECTOR_CHARS_MAX + 1), SELECTOR_CHARS_MAX, /at most/],
  [`/${'x'.repeat(PATTERN_CHARS_MAX + 1)}/`, PATTERN_CHARS_MAX + 1, /at most/],
]
for (const [source, at, problem] of wrong) {
  test(`"${source.slice(0, 20)}" is wrong at ${at}`, () => {
    const parsed = parseSelector(source)
    assert.ok(!parsed.ok)
    assert.equal(parsed.error.at, at)
    assert.match(parsed.error.problem, problem)
  })
}

test('no regular expression takes long, however nested', () => {
  const compiled = compilePattern('(((((a*)*)*)*)*)*((a|a)*)*b'.padEnd(40, 'c?'))
  assert.ok(compiled.ok)
  assert.equal(compiled.value('a'.repeat(400)), false)
})

test('a pattern says what the language of the host says, where both know it', () => {
  const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '(a|b)', '(ab)', '\\d', '\\.')
  const piece = fc.tuple(atom, fc.constantFrom('', '*', '+', '?')).map(([one, sign]) => one + sign)
  const pattern = fc.array(piece, { minLength: 1, maxLength: 5 }).map((pieces) => pieces.join(''))
  const subject = fc
    .array(fc.constantFrom('a', 'b', 'c', '1', '.'), { maxLength: 8 })
    .map((letters) => letters.join(''))
  fc.assert(
    fc.property(pattern, subject, (source, text) => {
      const compiled = compilePattern(source)
      assert.ok(compiled.ok)
      assert.equal(compiled.value(text), new RegExp(`^(?:${source})$`).test(text))
    }),
    { seed: 20261121, numRuns: 2_000 },
  )
})

test('any text either is a selector or says where it is not', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ab*/!,=[](){}|\\ .-'), maxLength: 20 }), (source) => {
      const parsed = parseSelector(source)
      if (parsed.ok) parsed.value(berlin)
      else assert.ok(parsed.error.at >= 0 && parsed.error.at <= source.length && parsed.error.problem !== '')
    }),
    { seed: 20261121, numRuns: 3_000 },
  )
})

// Texts that are no JSON, no YAML or no descriptor, and those that nearly are.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDescriptor } from './descriptor.ts'
import { DESCRIPTOR_CHARS_MAX } from './descriptor-text.ts'

const one = (fields: Readonly<Record<string, unknown>>): string => {
  const service = { microservice_name: 'web', microservice_namespace: 'ns', code: 'image', ...fields }
  return JSON.stringify({
    applications: [{ application_name: 'a', application_namespace: 'b', microservices: [service] }],
  })
}

const notJson: readonly (readonly [string, string])[] = [
  ['{\n "applications": [1, 2,\n}', 'line 3, column 1'],
  ['{"a": tru}', 'line 1, column 7'],
  ['{"a": 1 "b": 2}', 'line 1, column 9'],
  ['{"a": "line\nbreak"}', 'line 1, column 7'],
  ['[1, 2', 'line 1, column 6'],
  ['{} {}', 'line 1, column 4'],
]
for (const [text, where] of notJson) {
  test(`${JSON.stringify(text)} is no JSON at ${where}`, () => {
    const { errors } = parseDescriptor(text)
    assert.equal(errors.length, 1)
    assert.ok(errors[0]?.problem.includes(where), errors[0]?.problem)
  })
}

test('an SLA may be written in YAML, and what is wrong with it has a line', () => {
  const head = 'applications:\n- application_name: app\n  application_namespace: ns\n  microservices:\n'
  const service = '  - {microservice_name: web, microservice_namespace: ns, code: image}\n'
  assert.equal(parseDescriptor(head + service).services[0]?.code, 'image')
  const wrong = parseDescriptor(
    `${head}${service}  - microservice_name: db\n    memory: lots\n    microservice_namespace: ns`,
  )
  assert.deepEqual(
    wrong.errors.map(({ field, line }) => [field.replace('$.applications[0].microservices', ''), line]),
    [
      ['[1].memory', 7],
      ['[1].code', 6],
    ],
  )
})

test('a comma too many is forgiven, with a warning that says where it is', () => {
  const loose = one({ memory: 'lots' }).replace(/\}\]\}\]\}$/, ',},],\n}]}')
  const { errors, warnings } = parseDescriptor(loose)
  assert.deepEqual(
    errors.map(({ field, line }) => [field, line]),
    [['$.applications[0].microservices[0].memory', 1]],
  )
  assert.match(warnings[0]?.problem ?? '', /^not JSON: line 1, column \d+: .* read as YAML/)
})

test('what is no YAML is told with its line', () => {
  const { errors } = parseDescriptor('services:\n  web:\n   image: x\n  \tport: 80\n')
  assert.ok(errors.length > 0)
  for (const { problem, line } of errors) {
    assert.match(problem, /not YAML/)
    assert.ok(line !== undefined && line >= 3 && line <= 5, String(line))
  }
})

test('what is nested without end, refers to itself or is far too large is an error, soon', () => {
  const deep = '['.repeat(5_000) + ']'.repeat(5_000)
  for (const text of [`{"services": {"a": {"image": ${deep}}}}`, `applications: ${deep}`, 'applications: &a [*a, *a]'])
    assert.match(parseDescriptor(text).errors[0]?.problem ?? '', /nested|not YAML/, text.slice(0, 30))
  assert.match(parseDescriptor(`a: ${'x'.repeat(65_536)}`).errors[0]?.problem ?? '', /characters of YAML/)
})

test('JSON that is no descriptor is one clear error', () => {
  for (const text of ['', 'null', '[]', '3', '"x"'])
    assert.match(parseDescriptor(text).errors[0]?.problem ?? '', /is no descriptor/)
  assert.equal(parseDescriptor('{}').errors[0]?.field, '$.applications')
  assert.match(parseDescriptor(' '.repeat(DESCRIPTOR_CHARS_MAX + 1)).errors[0]?.expected ?? '', /at most/)
})

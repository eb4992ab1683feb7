// The published schema against the parser: whatever the parser takes is valid by the schema, whatever the schema takes
// of the fixtures the parser takes too.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { parseDescriptor } from './descriptor.ts'
import { descriptorSchema, MICROSERVICE_KEYS } from './descriptor-tables.ts'

const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true })
const validate = ajv.compile(descriptorSchema())
const FIXTURES = join(import.meta.dirname, 'fixtures')

test('the schema is one of draft 2020-12', () => {
  assert.equal(ajv.validateSchema(descriptorSchema()), true)
})

for (const name of readdirSync(FIXTURES).filter((file) => file.endsWith('.json'))) {
  test(`schema and parser agree on ${name}`, () => {
    const text = readFileSync(join(FIXTURES, name), 'utf8')
    assert.equal(validate(JSON.parse(text)), parseDescriptor(text).valid, JSON.stringify(validate.errors, null, 1))
  })
}

/** Values that stand in real descriptors, so that many a random one is valid. */
const likely = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    '',
    0,
    1,
    '1',
    0.5,
    true,
    false,
    [],
    {},
    'a',
    ['a'],
    [1],
    ['A=1'],
    { a: 1 },
    '10s',
    '80',
  ),
  fc.constantFrom<unknown>('80:81/UDP;', [80], 'always', 'no', { policy: 'never' }, { kind: 'tcp' }, 'manual', 'job'),
  fc.constantFrom<unknown>(
    ['/dev/null'],
    ['http://a/b'],
    [{ url: 'http://a/b' }],
    { rr_ip: '10.30.0.1' },
    '2mbit',
    'migrate',
  ),
  fc.constantFrom<unknown>([{ type: 'geo', location: '1,2', threshold: '3' }], [{ type: 'direct', node: 'a;b' }]),
  fc.constantFrom<unknown>({ toString: 1, valueOf: 1 }, [{ toString: 1, valueOf: 1 }]),
  fc.jsonValue({ maxDepth: 2 }),
)

test('the schema is never stricter than the parser', () => {
  let valid = 0
  const key = fc.constantFrom(...Object.keys(MICROSERVICE_KEYS).filter((name) => !name.startsWith('microservice_')))
  fc.assert(
    fc.property(fc.dictionary(key, likely, { maxKeys: 3 }), (fields) => {
      const service = { microservice_name: 'web', microservice_namespace: 'ns', code: 'image', cmd: ['x'], ...fields }
      const whole = { applications: [{ application_name: 'a', application_namespace: 'b', microservices: [service] }] }
      if (!parseDescriptor(JSON.stringify(whole)).valid) return
      valid += 1
      assert.ok(validate(whole), JSON.stringify(validate.errors))
    }),
    { seed: 20261122, numRuns: 3_000 },
  )
  assert.ok(valid > 300, `only ${valid} of 3000 were valid`)
})

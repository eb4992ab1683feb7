// What a schema writes against what the plain encoder writes of the same value.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeCbor, plainOf } from './codec.ts'
import { dictionary, encodeWith, flag, list, nullable, number, object, optional, text, union, whole } from './schema.ts'

const part = object({ name: text(), länge: optional(number()), by: dictionary(nullable(whole())) })
const schema = union({
  'test/a': object({ kind: text<'test/a'>(), parts: list(part), isLast: optional(flag) }),
  'test/b': object({ part: optional(part), kind: text<'test/b'>() }),
})

const parts = fc.record(
  {
    name: fc.string(),
    länge: fc.double({ noNaN: true, noDefaultInfinity: true }),
    by: fc.dictionary(fc.string(), fc.option(fc.maxSafeNat())),
  },
  { requiredKeys: ['name', 'by'], noNullPrototype: true },
)
const messages = fc.oneof(
  fc.record(
    { kind: fc.constant('test/a' as const), parts: fc.array(parts), isLast: fc.boolean() },
    { requiredKeys: ['kind', 'parts'], noNullPrototype: true },
  ),
  fc.record({ kind: fc.constant('test/b' as const), part: parts }, { requiredKeys: ['kind'], noNullPrototype: true }),
)

test('a schema lays a value out as the very bytes of the plain value', () => {
  fc.assert(fc.property(messages, (message) => assert.deepEqual(encodeWith(schema, message), encodeCbor(message))))
})

test('what a schema does not know is left out, and so is what is undefined', () => {
  const said = { kind: 'test/b' as const, part: { name: 'a', by: {}, länge: undefined, more: 1 }, other: 2 }
  assert.deepEqual(plainOf(schema, said as never), { kind: 'test/b', part: { name: 'a', by: {} } })
})

test('what has no place in a message is a bug of whoever says it, and the next message is whole', () => {
  assert.throws(() => encodeWith(list(number()), [1, Number.NaN]), { name: 'InvariantError' })
  assert.deepEqual(encodeWith(list(number()), [1]), encodeCbor([1]))
})

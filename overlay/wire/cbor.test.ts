// Our own reading and writing of CBOR against a library's, on values and on damage of all kinds.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import { CBOR_DEPTH_MAX, decodeCbor, encodeCbor, NotCbor } from './cbor.ts'

const RUNS = { numRuns: 500 }
const EDGES = [
  0,
  23,
  24,
  255,
  256,
  65_535,
  65_536,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 1,
  -1,
  -24,
  -25,
  -(2 ** 53) + 1,
  0.1,
]

const leaf = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.constantFrom(...EDGES),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.uint8Array({ maxLength: 300 }),
)
/** Short enough to meet again in one map, and to be told apart by length, bytes and beyond ASCII. */
const key = fc.string({ unit: 'binary', maxLength: 4 })
const { data } = fc.letrec((tie) => ({
  data: fc.oneof({ maxDepth: 4 }, leaf, fc.array(tie('data')), fc.dictionary(key, tie('data'), { maxKeys: 30 })),
}))

test('the bytes are those of dag-cbor', () => {
  fc.assert(
    fc.property(data, (value) => {
      assert.deepEqual([...encodeCbor(value)], [...dagCbor.encode(value)])
    }),
    RUNS,
  )
})

test('what was written is read again as dag-cbor reads it', () => {
  fc.assert(
    fc.property(data, (value) => {
      const bytes = encodeCbor(value)
      assert.deepEqual(decodeCbor(bytes), dagCbor.decode(bytes))
    }),
    RUNS,
  )
})

test('of any other bytes, what is read at all dag-cbor reads likewise, and the rest is refused', () => {
  const damaged = fc
    .tuple(data, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }))
    .map(([value, changes]) => {
      const bytes = encodeCbor(value).slice()
      for (const [index, byte] of changes) bytes[index % bytes.length] = byte
      return bytes
    })
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 40 })), (bytes) => {
      const read = attempt(bytes)
      if (read !== null) assert.deepEqual(read.value, dagCbor.decode(bytes))
    }),
    { numRuns: 3_000 },
  )
})

test('messages written one after another do not share a byte', () => {
  const written = Array.from({ length: 500 }, (_, index) => encodeCbor({ index, text: 'x'.repeat(index) }))
  written.forEach((bytes, index) => {
    assert.deepEqual(decodeCbor(bytes), { index, text: 'x'.repeat(index) })
  })
})

test('a value that cannot be written leaves nothing behind', () => {
  for (const value of [undefined, Number.NaN, Number.POSITIVE_INFINITY, () => 1, 5n, { deep: [{ a: undefined }] }]) {
    assert.throws(() => encodeCbor(['before', value]), { name: 'InvariantError' })
    assert.deepEqual(decodeCbor(encodeCbor('after')), 'after')
  }
})

test('there is one form of each value: longer ones, tags, repeated keys and leftovers are refused', () => {
  const refused = ['1817', '190017', '1a00000017', '1b0000000000000017', 'c100', 'f7', 'f97e00', 'fb7ff0000000000000']
  for (const hex of [
    ...refused,
    'a2616100616100',
    'a10000',
    '0000',
    '',
    '9f00ff',
    '9bffffffffffffffff',
    '5bffffffff',
  ]) {
    assert.throws(() => decodeCbor(Uint8Array.from(Buffer.from(hex, 'hex'))), NotCbor, hex)
  }
})

test('brackets deeper than the limit are refused in both directions', () => {
  const nested = (depth: number): unknown => (depth === 0 ? 'core' : [nested(depth - 1)])
  assert.deepEqual(decodeCbor(encodeCbor(nested(CBOR_DEPTH_MAX - 1))), nested(CBOR_DEPTH_MAX - 1))
  assert.throws(() => encodeCbor(nested(CBOR_DEPTH_MAX + 2)), { name: 'InvariantError' })
  assert.throws(() => decodeCbor(new Uint8Array(1_000).fill(0x81)), NotCbor)
})

test('a key named like the prototype is a key', () => {
  const read = decodeCbor(encodeCbor(JSON.parse('{"__proto__": {"isAdmin": true}}')))
  assert.equal((read as { isAdmin?: boolean }).isAdmin, undefined)
  assert.deepEqual(Object.keys(read as object), ['__proto__'])
})

function attempt(bytes: Uint8Array): { readonly value: unknown } | null {
  try {
    return { value: decodeCbor(bytes) }
  } catch (problem) {
    assert.ok(problem instanceof NotCbor, String(problem))
    return null
  }
}

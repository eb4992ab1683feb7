// What is said when members knock at each other's ports is read as it was said, and nonsense is refused.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  decodeDialBack,
  decodeDialBackAnswer,
  decodeObserveAnswer,
  decodeSeen,
  encodeDialBack,
  encodeDialBackAnswer,
  encodeObserveAnswer,
  encodeSeen,
  KNOCK_BYTES_MAX,
} from './knock.ts'
import { TICKET_CHARS } from './tickets.ts'

const ticket = 'a'.repeat(TICKET_CHARS)

test('all that is said is read as it was said, and is short', () => {
  const longest = { host: 'ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255', port: 65_535 }
  const said = [
    [encodeSeen(longest), decodeSeen, longest],
    [encodeDialBack({ port: 65_535, ticket }), decodeDialBack, { port: 65_535, ticket }],
    [encodeDialBackAnswer(true), decodeDialBackAnswer, { isReached: true }],
    [encodeObserveAnswer(ticket), decodeObserveAnswer, { ticket }],
  ] as const
  for (const [raw, decode, value] of said) {
    assert.ok(raw.length <= KNOCK_BYTES_MAX)
    assert.deepEqual(decode(raw), { ok: true, value })
  }
})

test('no name passes for an address, no other number for a port, and no half ticket for one', () => {
  assert.equal(decodeSeen(encodeSeen({ host: 'localhost', port: 1 })).ok, false)
  for (const port of [0, 65_536, 1.5]) assert.equal(decodeDialBack(encodeDialBack({ port, ticket })).ok, false)
  assert.equal(decodeDialBack(encodeDialBack({ port: 1, ticket: 'ab' })).ok, false)
  assert.equal(decodeObserveAnswer(encodeObserveAnswer('ab')).ok, false)
})

test('nonsense is refused and never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (raw) => {
      for (const decode of [decodeSeen, decodeDialBack, decodeDialBackAnswer, decodeObserveAnswer]) {
        assert.equal(decode(raw).ok, false)
      }
    }),
  )
})

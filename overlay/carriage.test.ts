// What is said to have a line carried is read as it was said, and nonsense is refused.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  CARRIAGE_BYTES_MAX,
  CARRIED,
  decodeCarriageAnswer,
  decodeCarriageRequest,
  encodeCarriageAnswer,
  encodeCarriageRequest,
} from './carriage.ts'
import { nodeId } from './kernel/ids.ts'
import { PREAMBLE_BYTES, preamble, TICKET_CHARS, ticketIn } from './tickets.ts'

const ticket = 'a'.repeat(TICKET_CHARS)
const to = nodeId('12D3KooWAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA')

test('questions and answers are read as they were said, and are short', () => {
  for (const request of [{ kind: 'carry', to } as const, { kind: 'fetch', ticket } as const]) {
    const raw = encodeCarriageRequest(request)
    assert.ok(raw.length <= CARRIAGE_BYTES_MAX)
    assert.deepEqual(decodeCarriageRequest(raw), { ok: true, value: request })
  }
  const detail = 'x'.repeat(100)
  for (const answer of [{ kind: 'joined', ticket }, { kind: 'coming' }, { kind: 'refused', detail }] as const) {
    const raw = encodeCarriageAnswer(answer)
    assert.ok(raw.length <= CARRIAGE_BYTES_MAX)
    assert.deepEqual(decodeCarriageAnswer(raw), { ok: true, value: answer })
  }
})

test('a preamble has the ticket, and a ticket that is too short is refused', () => {
  assert.equal(preamble(CARRIED, ticket).length, PREAMBLE_BYTES)
  assert.equal(ticketIn(preamble(CARRIED, ticket)), ticket)
  assert.equal(decodeCarriageRequest(encodeCarriageRequest({ kind: 'fetch', ticket: 'ab' })).ok, false)
  assert.equal(decodeCarriageAnswer(encodeCarriageAnswer({ kind: 'joined', ticket: 'ab' })).ok, false)
})

test('nonsense is refused and never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (raw) => {
      assert.equal(decodeCarriageRequest(raw).ok, false)
      assert.equal(decodeCarriageAnswer(raw).ok, false)
    }),
  )
})

// What is agreed before a line: read as it was said, and nothing weaker than it should be.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  decodeLineAnswer,
  decodeRequest,
  encodeLineAnswer,
  encodeRequest,
  LINE_REQUEST_BYTES_MAX,
  LINE_SECRET_BYTES,
  LINE_TICKET_CHARS,
} from './line-request.ts'

const secret = new Uint8Array(LINE_SECRET_BYTES).fill(1)
const ticket = 'a'.repeat(LINE_TICKET_CHARS)

test('questions and answers are read as they were said, and are short', () => {
  const requests = [{ kind: 'line', secret } as const, { kind: 'call' } as const]
  for (const request of requests) {
    const raw = encodeRequest(request)
    assert.ok(raw.length <= LINE_REQUEST_BYTES_MAX)
    assert.deepEqual(decodeRequest(raw), { ok: true, value: request })
  }
  for (const answer of [{ kind: 'line', ticket, secret } as const, { kind: 'called' } as const]) {
    const raw = encodeLineAnswer(answer)
    assert.ok(raw.length <= LINE_REQUEST_BYTES_MAX)
    assert.deepEqual(decodeLineAnswer(raw), { ok: true, value: answer })
  }
})

test('a secret or a ticket that is too short is refused', () => {
  const short = secret.subarray(1)
  assert.equal(decodeRequest(encodeRequest({ kind: 'line', secret: short })).ok, false)
  assert.equal(decodeLineAnswer(encodeLineAnswer({ kind: 'line', ticket, secret: short })).ok, false)
  assert.equal(decodeLineAnswer(encodeLineAnswer({ kind: 'line', ticket: 'ab', secret })).ok, false)
})

test('nonsense is refused and never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (raw) => {
      assert.equal(decodeRequest(raw).ok, false)
      assert.equal(decodeLineAnswer(raw).ok, false)
    }),
  )
})

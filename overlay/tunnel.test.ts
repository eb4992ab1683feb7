// Tunnel headers and answers survive the wire, and nothing else passes for one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { serviceId } from './kernel/ids.ts'
import { err, ok } from './kernel/result.ts'
import {
  decodeAnswer,
  decodeHeader,
  encodeAnswer,
  encodeHeader,
  TUNNEL_ANSWER_BYTES_MAX,
  TUNNEL_HEADER_BYTES_MAX,
  type TunnelHeader,
} from './tunnel.ts'
import { encodeCbor } from './wire/codec.ts'

const toInstance: TunnelHeader = {
  kind: 'instance',
  service: serviceId('shop.prod.web.prod'),
  number: 3,
  port: 8080,
  protocol: 'tcp',
  callerNamespace: 'shop.prod',
}
const toLogs: TunnelHeader = {
  kind: 'logs',
  service: toInstance.service,
  number: 0,
  follow: true,
  tail: null,
  sinceMs: null,
}

test('both kinds of header come back as they were sent', () => {
  for (const header of [toInstance, toLogs, { ...toLogs, tail: 100 }]) {
    assert.deepEqual(decodeHeader(encodeHeader(header)), ok(header))
  }
})

test('both kinds of answer come back as they were sent', () => {
  assert.deepEqual(decodeAnswer(encodeAnswer(ok(null))), ok(null))
  const refusal = err({ code: 'no-such-port' as const, detail: 'web listens on 80, not on 8080' })
  assert.deepEqual(decodeAnswer(encodeAnswer(refusal)), refusal)
})

test('the longest names fit into a header', () => {
  const longest = { ...toInstance, service: serviceId('a'.repeat(255)), callerNamespace: 'b'.repeat(127) }
  assert.ok(encodeHeader(longest).length <= TUNNEL_HEADER_BYTES_MAX)
  const image: TunnelHeader = { kind: 'image', image: 'c'.repeat(512), have: new Uint8Array(320) }
  assert.deepEqual(decodeHeader(encodeHeader(image)), ok(image))
})

test('a refusal that has much to say is cut, even in the middle of a character, and still arrives', () => {
  for (const detail of ['x'.repeat(10_000), `x${'\u{1F333}'.repeat(400)}`, '한'.repeat(600)]) {
    const bytes = encodeAnswer(err({ code: 'dial-failed', detail }))
    assert.ok(bytes.length <= TUNNEL_ANSWER_BYTES_MAX)
    const answer = decodeAnswer(bytes)
    assert.ok(!answer.ok && answer.error.code === 'dial-failed')
    assert.equal(answer.error.detail.slice(0, 400), detail.slice(0, 400))
  }
})

test('a malformed header names the field that is wrong', () => {
  const wrong = decodeHeader(encodeCbor({ ...toInstance, port: 70_000 }))
  assert.ok(!wrong.ok && wrong.error.code === 'malformed')
  assert.match(wrong.error.detail, /port: expected a whole number from 1 to 65535/)
  const unknown = decodeHeader(encodeCbor({ kind: 'shell' }))
  assert.ok(!unknown.ok && unknown.error.detail.includes('instance, logs'))
})

test('an oversized header or answer is refused before it is read', () => {
  const header = decodeHeader(new Uint8Array(TUNNEL_HEADER_BYTES_MAX + 1))
  assert.ok(!header.ok && header.error.detail.includes('at most 1024 bytes'))
  assert.ok(!decodeAnswer(new Uint8Array(TUNNEL_ANSWER_BYTES_MAX + 1)).ok)
})

test('bytes of any kind are refused or understood, never a crash', () => {
  const good = [encodeHeader(toInstance), encodeHeader(toLogs), encodeAnswer(ok(null))]
  const mutated = fc
    .tuple(fc.constantFrom(...good), fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat(200))
    .map(([bytes, at, value, length]) => {
      const copy = bytes.slice(0, Math.max(1, length))
      copy[at % copy.length] = value
      return copy
    })
  const property = fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 300 })), (bytes) => {
    decodeHeader(bytes)
    decodeAnswer(bytes)
  })
  fc.assert(property, { seed: 20261121, numRuns: 3_000 })
})

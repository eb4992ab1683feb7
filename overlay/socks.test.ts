// SOCKS5 byte by byte: requests in pieces, every kind of address, and what is refused with which code.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  addressFor,
  REPLIES,
  readGreeting,
  readSocksDatagram,
  readSocksRequest,
  replyFor,
  writeReply,
} from './socks.ts'

const NAME = 'shop.prod.web.prod.0.rr.local'
const named = (name: string, port: number): readonly number[] => [
  3,
  name.length,
  ...Buffer.from(name),
  port >> 8,
  port & 255,
]
const request = (command: number, target: readonly number[]): Uint8Array => Uint8Array.from([5, command, 0, ...target])

const targetOf = (target: readonly number[]) => {
  const read = readSocksRequest(request(1, target))
  assert.ok(read.ok && read.value !== null)
  return read.value.value.target
}

test('a request is read once it is whole, and not a byte of what follows', () => {
  const whole = request(1, named(NAME, 8_080))
  for (let length = 0; length < whole.length; length++) {
    assert.deepEqual(readSocksRequest(whole.subarray(0, length)), { ok: true, value: null }, `${length} bytes`)
  }
  const read = readSocksRequest(Uint8Array.from([...whole, 71, 69, 84]))
  const target = { kind: 'name', host: NAME, port: 8_080 }
  assert.deepEqual(read, { ok: true, value: { value: { command: 'connect', target }, length: whole.length } })
})

test('names, IPv4 and IPv6 lead to ours, and nothing else does', () => {
  const nameAt = (address: string) => (address === '127.30.0.7' || address === 'fd00::7' ? NAME : null)
  const v6 = (...groups: readonly number[]): readonly number[] => groups.flatMap((group) => [group >> 8, group & 255])
  assert.equal(addressFor(targetOf(named(NAME, 80)), nameAt), `${NAME}:80`)
  assert.equal(addressFor(targetOf([1, 127, 30, 0, 7, 0, 80]), nameAt), `${NAME}:80`)
  assert.equal(addressFor(targetOf([1, 192, 0, 2, 1, 0, 80]), nameAt), null)
  const mapped = v6(0, 0, 0, 0, 0, 0xffff, 0x7f1e, 0x0007)
  assert.equal(addressFor(targetOf([4, ...mapped, 0, 80]), nameAt), `${NAME}:80`)
  assert.equal(addressFor(targetOf([4, ...v6(0xfd00, 0, 0, 0, 0, 0, 0, 7), 0, 80]), nameAt), `${NAME}:80`)
  assert.equal(targetOf([4, ...v6(0x2001, 0xdb8, 0, 0, 1, 0, 0, 1), 0, 80]).host, '2001:db8::1:0:0:1')
})

test('what is not offered is refused with its code', () => {
  const bind = readSocksRequest(request(2, named(NAME, 80)))
  assert.ok(!bind.ok && bind.error === REPLIES.commandNotSupported)
  const strange = readSocksRequest(request(1, [9, 1, 2, 3]))
  assert.ok(!strange.ok && strange.error === REPLIES.addressNotSupported)
  assert.deepEqual(readGreeting(Uint8Array.of(4, 1)), { ok: false, error: 'not-socks5' })
  assert.deepEqual(readGreeting(Uint8Array.of(5, 1, 2)), { ok: true, value: { value: false, length: 3 } })
  assert.deepEqual(readGreeting(Uint8Array.of(5, 2, 2, 0)), { ok: true, value: { value: true, length: 4 } })
  assert.equal(replyFor('not-allowed'), REPLIES.notAllowed)
  assert.equal(replyFor('no-such-port'), REPLIES.refused)
  assert.equal(replyFor('no-service'), REPLIES.hostUnreachable)
})

test('a reply names where the other side is', () => {
  const bound = { host: '127.0.0.1', port: 4_660 }
  assert.deepEqual([...writeReply(REPLIES.succeeded, bound)], [5, 0, 0, 1, 127, 0, 0, 1, 0x12, 0x34])
})

test('datagrams carry their target; fragments and pieces of headers are no datagrams', () => {
  const bytes = Uint8Array.from([0, 0, 0, ...named(NAME, 53), 1, 2, 3])
  const read = readSocksDatagram(bytes)
  assert.deepEqual([...(read?.datagram ?? [])], [1, 2, 3])
  assert.equal(read?.target.port, 53)
  assert.deepEqual(read?.header, bytes.slice(0, -3))
  assert.equal(readSocksDatagram(Uint8Array.from([0, 0, 1, ...named(NAME, 53), 1])), null)
  assert.equal(readSocksDatagram(bytes.subarray(0, 10)), null)
})

test('no bytes break the reader', () => {
  const property = fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    readGreeting(bytes)
    readSocksRequest(bytes)
    readSocksDatagram(bytes)
  })
  fc.assert(property, { seed: 20261122, numRuns: 1_000 })
})

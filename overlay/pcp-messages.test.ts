// PCP as it stands in RFC 6887, and what is no answer of it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PCP_NONCE_BYTES, pcpMapRequest, readPcpAnswer } from './pcp-messages.ts'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const NONCE = hex('000102030405060708090a0b')
const IPV4 = '00000000000000000000ffff'
const ANSWERED = `02 81 00 00 00001c20 00000007 ${'00'.repeat(12)} 000102030405060708090a0b`
const WHOLE = hex(`${ANSWERED} 06 000000 0fa1 1388 ${IPV4}01020304`)

test('a question of PCP is that of RFC 6887', () => {
  const question = pcpMapRequest({
    client: '192.168.1.2',
    nonce: NONCE,
    internal: 4001,
    external: 5000,
    lifetimeS: 7200,
  })
  const header = `02 01 0000 00001c20 ${IPV4}c0a80102`
  assert.deepEqual(question, hex(`${header} 000102030405060708090a0b 06 000000 0fa1 1388 ${IPV4}00000000`))
})

test('answers of PCP are read: a mapping, a refusal', () => {
  const mapped = { kind: 'mapped', internal: 4001, external: 5000, host: '1.2.3.4', lifetimeS: 7200 }
  assert.deepEqual(readPcpAnswer(WHOLE, NONCE), mapped)
  assert.deepEqual(readPcpAnswer(hex(`02 81 00 08 0000001e ${'00'.repeat(16)}`), NONCE), { kind: 'refused', code: 8 })
})

test('what was asked by others, for UDP or over IPv6, or is cut short, is no answer of PCP', () => {
  for (let length = 0; length < WHOLE.length; length++)
    assert.equal(readPcpAnswer(WHOLE.subarray(0, length), NONCE), null)
  assert.equal(readPcpAnswer(WHOLE, new Uint8Array(PCP_NONCE_BYTES)), null)
  for (const [at, byte] of [
    [0, 0],
    [1, 1],
    [36, 17],
    [44, 0x20],
  ] as const) {
    assert.equal(readPcpAnswer(WHOLE.with(at, byte), NONCE), null, `byte ${at}`)
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => readPcpAnswer(bytes, NONCE) !== undefined))
})

// What is kept comes back, and never changed without notice.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkedBody, withChecksum } from './checksum.ts'

const body = new TextEncoder().encode('123456789')

test('the checksum is the CRC-32 that others compute', () => {
  assert.equal(new DataView(withChecksum(body).buffer).getUint32(0), 0xcbf43926)
})

test('what was kept comes back', () => {
  assert.deepEqual(checkedBody(withChecksum(body)), { ok: true, value: body })
  assert.deepEqual(checkedBody(withChecksum(new Uint8Array())), { ok: true, value: new Uint8Array() })
})

test('each flipped bit and each missing end is noticed', () => {
  const kept = withChecksum(body)
  for (let bit = 0; bit < kept.length * 8; bit++) {
    const changed = kept.slice()
    changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7))
    assert.equal(checkedBody(changed).ok, false, `bit ${bit}`)
  }
  for (let length = 0; length < kept.length; length++) {
    assert.equal(checkedBody(kept.subarray(0, length)).ok, false, `${length} bytes`)
  }
})

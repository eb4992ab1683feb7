// A sealed box is read by the one device that it is for.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { newNodeKey } from './federation-for-tests.ts'
import { openSealed, openWith, privateKeyOf, SEALED_OVERHEAD_BYTES, sealTo, sealWith } from './sealed-box.ts'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

test('it is what RFC 9180 says: appendix A.2.1, base setup, sequence number 0', () => {
  const info = hex('4f6465206f6e2061204772656369616e2055726e')
  const receiver = privateKeyOf(hex('8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb'))
  const oneTime = privateKeyOf(hex('f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600'))
  const content = hex('4265617574792069732074727574682c20747275746820626561757479')
  const aad = hex('436f756e742d30')
  const enc = '1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a'
  const sealed = '1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28'
  const receiverKey = hex('4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a')
  assert.equal(Buffer.from(sealWith(oneTime, receiverKey, content, info, aad)).toString('hex'), enc + sealed)
  assert.deepEqual(openWith(receiver, hex(enc + sealed), info, aad), content)
})

test('what is sealed to a node by its id opens with the key behind it, whole and about the same thing', async () => {
  const [device, other] = [await newNodeKey(), await newNodeKey()]
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), fc.nat(), (content, about, at) => {
      const box = sealTo(device.node, content, about)
      assert.ok(box !== null && box.length === content.length + SEALED_OVERHEAD_BYTES)
      assert.deepEqual(openSealed(device.exchangeKey, box, about), content)
      assert.equal(openSealed(other.exchangeKey, box, about), null)
      assert.equal(openSealed(device.exchangeKey, box, `${about}!`), null)
      const changed = Uint8Array.from(box)
      changed[at % box.length] = (changed[at % box.length] ?? 0) ^ 1
      assert.equal(openSealed(device.exchangeKey, changed, about), null)
    }),
    { seed: 20261122, numRuns: 60 },
  )
  assert.equal(sealTo('nonsense' as never, new Uint8Array(), ''), null)
  assert.equal(openSealed(device.exchangeKey, new Uint8Array(47), ''), null)
})

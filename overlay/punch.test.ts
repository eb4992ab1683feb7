// What two nodes tell each other before they dial at once: what is not an offer is refused, and failures have a reason.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeOffer, encodeExcuse, encodeOffer, type PunchOffer, whyNotPunched } from './punch.ts'
import { encodeCbor } from './wire/codec.ts'

const OFFER: PunchOffer = { host: '1.2.3.4', port: 4001, isSteady: true }

test('an offer comes back as it was said', () => {
  for (const offer of [OFFER, { host: '2a00:1::7', port: 1, isSteady: null }]) {
    assert.deepEqual(decodeOffer(encodeOffer(offer)), { ok: true, value: offer })
  }
})

test('whatever else the other side says is refused and never thrown', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => !decodeOffer(bytes).ok))
  for (const wrong of [
    { host: 'example.org' },
    { port: 0 },
    { port: 65_536 },
    { port: 1.5 },
    { isSteady: 'yes' },
    { host: undefined },
  ]) {
    const { host = null, ...rest } = { ...OFFER, ...wrong }
    assert.equal(decodeOffer(encodeCbor({ host, ...rest })).ok, false, JSON.stringify(wrong))
  }
  assert.deepEqual(decodeOffer(encodeExcuse('no member is connected')), { ok: false, error: 'no member is connected' })
})

test('the reason names the side whose NAT gives each destination another port', () => {
  const symmetric = { ...OFFER, isSteady: false }
  assert.match(whyNotPunched(symmetric, OFFER), /NAT on this side gives/)
  assert.match(whyNotPunched(OFFER, symmetric), /NAT on its side gives/)
  assert.match(whyNotPunched(symmetric, symmetric), /on this side and on its side/)
  assert.match(whyNotPunched(OFFER, OFFER), /firewall/)
})

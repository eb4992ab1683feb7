// What two nodes tell each other before they dial at once: what is not an offer is refused, and failures have a reason.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nodeId } from './kernel/ids.ts'
import {
  chooseObservers,
  decodeOffer,
  encodeExcuse,
  encodeOffer,
  PUNCHES_AT_ONCE_MAX,
  type PunchOffer,
  whyInVain,
  whyNotAnswered,
  whyNotPunched,
} from './punch.ts'
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
  assert.deepEqual(decodeOffer(encodeExcuse('busy')), { ok: false, error: 'busy' })
  assert.deepEqual(decodeOffer(encodeCbor({ excuse: 'because' })), { ok: false, error: 'unreadable' })
})

test('the reason names the side whose NAT gives each destination another port', () => {
  const symmetric = { ...OFFER, isSteady: false }
  const why = (own: PunchOffer, theirs: PunchOffer): string => {
    const { code, sentence } = whyNotPunched(own, theirs)
    return `${code}: ${sentence}`
  }
  assert.match(why(symmetric, OFFER), /symmetric-nat: the NAT on this side gives/)
  assert.match(why(OFFER, symmetric), /symmetric-nat: the NAT on its side gives/)
  assert.match(why(symmetric, symmetric), /symmetric-nat: the NATs on both sides/)
  assert.match(why(OFFER, OFFER), /blocked: .*firewall/)
})

test('nobody dials where it is in vain: two symmetric NATs, or addresses of different families', () => {
  const [symmetric, ipv6] = [
    { ...OFFER, isSteady: false },
    { ...OFFER, host: '2a00:1::7' },
  ]
  assert.equal(whyInVain(symmetric, symmetric)?.code, 'symmetric-nat')
  assert.equal(whyInVain(OFFER, ipv6)?.code, 'address-family')
  assert.ok(whyInVain(OFFER, ipv6)?.isFinal && whyInVain(symmetric, symmetric)?.isFinal)
  // A NAT that lets in whoever was spoken to from that port takes a symmetric one's packets.
  assert.equal(whyInVain(symmetric, OFFER), null)
  assert.equal(whyInVain(OFFER, { ...OFFER, isSteady: null }), null)
})

test('of two that begin at once exactly one is answered, and a node that has enough to do says so', () => {
  const [a, b] = [nodeId('a'), nodeId('b')]
  const answering = new Set<typeof a>()
  const answers = [
    whyNotAnswered(a, b, { asking: new Set([b]), answering }),
    whyNotAnswered(b, a, { asking: new Set([a]), answering }),
  ]
  assert.deepEqual(answers, ['trying', null])
  assert.equal(whyNotAnswered(b, a, { asking: new Set(), answering: new Set([a]) }), 'trying')
  const many = new Set(Array.from({ length: PUNCHES_AT_ONCE_MAX }, (_, index) => nodeId(`n${index}`)))
  assert.equal(whyNotAnswered(b, a, { asking: many, answering }), 'busy')
})

test('a port is looked at over IPv4 where that is to be had, or as the other side was seen', () => {
  const at = (peer: string, host: string) => ({ peer: nodeId(peer), host })
  const both = [at('a', '2a00:1::1'), at('a', '1.2.3.1'), at('b', '1.2.3.2'), at('c', '1.2.3.3'), at('b', '2a00:1::2')]
  const chosen = (theirs: PunchOffer | null, observers = both): readonly string[] =>
    chooseObservers(observers, theirs).map(({ host }) => host)
  assert.deepEqual(chosen(null), ['1.2.3.1', '1.2.3.2'])
  assert.deepEqual(chosen({ ...OFFER, host: '2a00:1::7' }), ['2a00:1::1', '2a00:1::2'])
  assert.deepEqual(chosen(OFFER, [at('a', '2a00:1::1')]), ['2a00:1::1'], 'seen as it can be')
  assert.deepEqual(
    chosen(null, [at('a', '1.2.3.1'), at('a', '1.2.3.9')]),
    ['1.2.3.1'],
    'two members, not two addresses',
  )
  assert.deepEqual(chosen(null, []), [])
})

// What is believed without a signature, and what is not.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DomainPath, FederationId, NodeId, OperatorId } from '../kernel/ids.ts'
import { err, ok } from '../kernel/result.ts'
import type { UnixMillis } from '../kernel/time.ts'
import { createCodec, encodeCbor } from './codec.ts'
import { createSealer, type Opened, type Sealer, type SignerFacts } from './envelope.ts'
import { isSpokenFrame } from './frame.ts'
import { literal, object, sealed, text, whole } from './schema.ts'

interface Talk {
  readonly kind: 'test/talk'
  readonly words: string
  readonly count: number
}
interface Fact {
  readonly kind: 'test/fact'
  readonly words: string
}
interface Parcel {
  readonly kind: 'test/parcel'
  readonly fact: Opened<Fact>
}
type TestMessage = Talk | Fact | Parcel

const codec = createCodec<TestMessage>(
  {
    'test/talk': object({ kind: literal('test/talk'), words: text(), count: whole() }),
    'test/fact': object({ kind: literal('test/fact'), words: text() }),
    'test/parcel': object({ kind: literal('test/parcel'), fact: sealed<Fact>('test/fact') }),
  },
  { 'test/talk': 'spoken', 'test/fact': 'sealed', 'test/parcel': 'spoken' },
)

const factsOf = (node: string): SignerFacts => ({
  node: node as NodeId,
  operator: 'operator' as OperatorId,
  domain: '/a' as DomainPath,
  capabilities: ['work', 'lead'],
  labels: {},
  expiresAt: 1 as UnixMillis,
})

const ANNA = factsOf('anna')
const BERT = factsOf('bert')

/** Anybody's signature is their name, so that a forged one is told from a true one. */
function sealerOf(facts: SignerFacts): Sealer<TestMessage> {
  const signatureOf = (node: string): Uint8Array => new TextEncoder().encode(node)
  const signer = { facts, credentialHash: new Uint8Array(32), sign: () => signatureOf(facts.node) }
  return createSealer(codec, 'f'.repeat(64) as FederationId, signer, {
    verify: (from, _hash, _payload, signature) =>
      signature.join() === signatureOf(from).join() ? ok(factsOf(from)) : err('bad-signature'),
  })
}

const anna = sealerOf(ANNA)
const bert = sealerOf(BERT)
const talk: Talk = { kind: 'test/talk', words: 'hello', count: 1 }
const fact: Fact = { kind: 'test/fact', words: 'so it is' }

test('a spoken message is believed to be that of the peer at the other end, whoever wrote it', () => {
  const heard = bert.hear(anna.speak(talk).bytes, ANNA)
  assert.ok(heard.ok)
  assert.deepEqual([heard.value.from, heard.value.signer, heard.value.message], [ANNA.node, ANNA, talk])
  const copied = anna.hear(anna.speak(talk).bytes, BERT)
  assert.ok(copied.ok && copied.value.from === BERT.node)
})

test('any spoken message survives the way to bytes and back, and costs nothing but itself', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300, unit: 'binary' }), fc.maxSafeNat(), (words, count) => {
      const message: Talk = { kind: 'test/talk', words, count }
      const { bytes } = anna.speak(message)
      const heard = bert.hear(bytes, ANNA)
      assert.equal(bytes.length, codec.encode(message).length)
      assert.ok(heard.ok && codec.isSpoken(heard.value.message.kind))
      assert.deepEqual(heard.value.message, message)
    }),
  )
})

test('what a peer spoke without a known hello is not believed', () => {
  const heard = bert.hear(anna.speak(talk).bytes, null)
  assert.ok(!heard.ok && heard.error.kind === 'unknown-speaker')
})

test('a kind that is evidence is refused when it is merely spoken, and sealed when it is told to one peer', () => {
  const heard = bert.hear(codec.encode(fact), ANNA)
  assert.ok(!heard.ok && heard.error.kind === 'unsealed')
  const told = anna.speak(fact)
  assert.equal(isSpokenFrame(told.bytes), false)
  const opened = bert.hear(told.bytes, BERT)
  assert.ok(opened.ok && opened.value.from === ANNA.node, 'the signature counts, not the peer that delivered it')
})

test('a spoken kind is believed under a signature too, and only under a true one', () => {
  const opened = bert.open(anna.seal(talk).bytes)
  assert.ok(opened.ok && opened.value.from === ANNA.node)
  const forged = encodeCbor([1, 'anna', new Uint8Array(32), codec.encode(talk), new TextEncoder().encode('bert')])
  for (const refused of [bert.open(forged), bert.hear(forged, BERT)]) {
    assert.ok(!refused.ok && refused.error.kind === 'bad-signature')
  }
})

test('a spoken message is no envelope: not on gossip, not in the store, not inside another message', () => {
  const spoken = anna.speak(talk)
  const opened = bert.open(spoken.bytes)
  assert.ok(!opened.ok && opened.error.kind === 'malformed')
  const unsigned: Opened<Fact> = { from: ANNA.node, signer: ANNA, message: fact, bytes: codec.encode(fact) }
  const carried = bert.hear(codec.encode({ kind: 'test/parcel', fact: unsigned }), ANNA)
  assert.ok(!carried.ok && carried.error.kind === 'malformed')
})

test('an envelope inside a spoken message keeps its own signer', () => {
  const parcel: Parcel = { kind: 'test/parcel', fact: anna.seal(fact) as Opened<Fact> }
  const heard = anna.hear(bert.speak(parcel).bytes, BERT)
  assert.ok(heard.ok && heard.value.message.kind === 'test/parcel')
  assert.deepEqual([heard.value.from, heard.value.message.fact.from], [BERT.node, ANNA.node])
})

test('no bytes make hearing throw', () => {
  const { bytes } = anna.speak(talk)
  const change = fc.tuple(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 255 }))
  const damaged = fc.array(change, { minLength: 1, maxLength: 8 }).map((changes) => {
    const copy = Uint8Array.from(bytes)
    for (const [at, byte] of changes) copy[at] = byte
    return copy
  })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), damaged), (garbage) => {
      const heard = bert.hear(garbage, ANNA)
      if (!heard.ok) return
      assert.equal(heard.value.from, ANNA.node)
      assert.ok(codec.isSpoken(heard.value.message.kind))
    }),
    { numRuns: 2_000 },
  )
})

test('the signature of an envelope that comes inside others is checked once, its signer each time', () => {
  let checks = 0
  let isRevoked = false
  const signer = { facts: BERT, credentialHash: new Uint8Array(32), sign: () => new Uint8Array(1) }
  const listener = createSealer(codec, 'f'.repeat(64) as FederationId, signer, {
    standing: () => (isRevoked ? err('revoked') : ok(ANNA)),
    verify: () => {
      checks += 1
      return isRevoked ? err('revoked') : ok(ANNA)
    },
  })
  const carried = anna.seal(fact) as Opened<Fact>
  const parcel = (): Uint8Array => anna.speak({ kind: 'test/parcel', fact: carried }).bytes
  for (const expected of [1, 1]) {
    const heard = listener.hear(parcel(), ANNA)
    assert.ok(heard.ok && heard.value.message.kind === 'test/parcel')
    assert.deepEqual([heard.value.message.fact.message, checks], [fact, expected])
  }
  const forged = Uint8Array.from(carried.bytes)
  forged[forged.length - 12] = (forged[forged.length - 12] as number) ^ 1
  listener.hear(anna.speak({ kind: 'test/parcel', fact: { ...carried, bytes: forged } }).bytes, ANNA)
  assert.equal(checks, 2, 'other bytes are another envelope')
  isRevoked = true
  const refused = listener.hear(parcel(), ANNA)
  assert.ok(!refused.ok && refused.error.kind === 'revoked')
})

// Charters as operators make them, and as a forger would like them to be.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeCbor } from '../overlay/wire/codec.ts'
import { entriesOf, extend, openEntries } from './charter.ts'
import { signaturesNeeded } from './charter-authority.ts'
import { CHARTER_BYTES_MAX, type CharterEntry, operatorIdOf, signEntry, signedPart } from './charter-entry.ts'
import { packEntries, readCharterFile, unpackEntries, writeCharterFile } from './charter-file.ts'
import {
  acme,
  admitFact,
  birch,
  cedar,
  entryOn,
  genesisOf,
  mallory,
  node,
  outcomeOf,
  policyFact,
  removeFact,
  revokeFact,
  rotateFact,
  tryGenesis,
  withEntry,
} from './charter-fixture.ts'
import { nodeCrypto } from './io/crypto.ts'
import { operatorNamed } from './io/federation-for-tests.ts'

function problemOf(entries: readonly CharterEntry[]): string {
  const opened = openEntries(entries, nodeCrypto)
  return opened.ok ? 'valid' : opened.error.kind
}

const twoRevocations = () =>
  withEntry(
    withEntry(genesisOf([acme]), revokeFact(acme, node('A')), acme),
    revokeFact(acme, node('B'), node('C')),
    acme,
  )

test('a charter that was written and read again says the same, and its first hash is the federation', () => {
  const charter = twoRevocations()
  const read = unpackEntries(packEntries(entriesOf(charter)))
  assert.ok(read.ok)
  const opened = openEntries(read.value, nodeCrypto)
  assert.ok(opened.ok)
  assert.deepEqual(opened.value.view, charter.view)
  assert.equal(charter.view.federation, charter.view.hashes[0])
  assert.deepEqual([...charter.view.revokedNodes.keys()], [node('A'), node('B'), node('C')])
  const carried = readCharterFile(writeCharterFile(entriesOf(charter)))
  assert.ok(carried.ok)
  assert.deepEqual(carried.value, read.value)
})

test('two federations of one name and operator are different federations', () => {
  assert.notEqual(genesisOf([acme]).view.federation, genesisOf([acme], [acme], 2).view.federation)
})

test('a change in any field of any entry is noticed', () => {
  const entries = entriesOf(twoRevocations())
  const flipped = (bytes: Uint8Array, at = 0): Uint8Array =>
    bytes.map((byte, index) => (index === at ? byte ^ 1 : byte))
  const tamperings: Readonly<Record<string, (entry: CharterEntry) => CharterEntry>> = {
    seq: (entry) => ({ ...entry, seq: entry.seq + 1 }),
    prev: (entry) => ({ ...entry, prev: entry.prev === null ? new Uint8Array(32) : flipped(entry.prev) }),
    'missing prev': (entry) => ({ ...entry, prev: entry.prev === null ? new Uint8Array(32) : null }),
    kind: (entry) => ({ ...entry, kind: entry.kind === 'revoke' ? 'genesis' : 'revoke' }),
    body: (entry) => ({ ...entry, body: flipped(entry.body, entry.body.length - 2) }),
    signature: (entry) => ({
      ...entry,
      signatures: entry.signatures.map((one) => ({ ...one, signature: flipped(one.signature) })),
    }),
    signer: (entry) => ({ ...entry, signatures: entry.signatures.map((one) => ({ ...one, key: birch.operator })) }),
    'no signature': (entry) => ({ ...entry, signatures: [] }),
    'signature twice': (entry) => ({ ...entry, signatures: [...entry.signatures, ...entry.signatures] }),
  }
  assert.equal(problemOf(entries), 'valid')
  for (const [field, tamper] of Object.entries(tamperings)) {
    for (const index of entries.keys()) {
      const tampered = entries.map((entry, at) => (at === index ? tamper(entry) : entry))
      assert.notEqual(problemOf(tampered), 'valid', `${field} of entry ${index}`)
    }
  }
})

test('an entry that is left out or of another federation breaks the charter, and order does not matter', () => {
  const [first, second, third] = entriesOf(twoRevocations())
  assert.ok(first && second && third)
  assert.equal(problemOf([first, third]), 'broken-link')
  assert.equal(problemOf([first, third, second]), 'valid')
  assert.equal(problemOf([first, second, second, third]), 'valid')
  assert.equal(problemOf([first, second, { ...third, seq: 1 }]), 'bad-sequence')
  assert.equal(problemOf([second]), 'bad-sequence')
  assert.equal(problemOf([]), 'empty')
  const [other] = entriesOf(genesisOf([acme], [acme], 2))
  assert.equal(problemOf([first, other as CharterEntry]), 'broken-link')
})

test('a kind of entry that this version does not know is not taken in, and said so', () => {
  const charter = genesisOf([acme])
  const unsigned = { ...entryOn(charter, revokeFact(acme)), kind: 'moon', body: encodeCbor({}), signatures: [] }
  const { added, problems } = extend(charter, [signEntry(unsigned, [acme])], nodeCrypto)
  assert.equal(added.length, 0)
  assert.equal(problems[0]?.kind, 'unknown-kind')
  assert.match(problems[0]?.detail ?? '', /"moon"/)
})

test('a majority of the operators must sign what concerns all, and all of them the genesis', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((operators) => signaturesNeeded(operators)),
    [1, 2, 2, 3, 3],
  )
  assert.deepEqual(
    [1, 2, 3, 4, 6].map((operators) => signaturesNeeded(operators, 'two-thirds')),
    [1, 2, 2, 3, 4],
  )
  const three = genesisOf([acme, birch, cedar])
  assert.equal(outcomeOf(three, revokeFact(null, node('A')), acme), 'lacks 1')
  assert.equal(outcomeOf(three, revokeFact(null, node('A')), acme, cedar), 'in-force')
  assert.equal(outcomeOf(three, revokeFact(null, node('A')), acme, mallory), 'not-an-operator')
  assert.equal(outcomeOf(three, admitFact(mallory), acme), 'lacks 1')
  const unasked = tryGenesis([acme, birch], [acme])
  assert.equal(unasked.ok ? '' : unasked.error.kind, 'too-few-signatures')
})

test('an operator puts out its own devices alone, and nobody else’s', () => {
  const three = genesisOf([acme, birch, cedar])
  assert.equal(outcomeOf(three, revokeFact(birch, node('A')), birch), 'in-force')
  assert.equal(outcomeOf(three, revokeFact(birch, node('A')), acme), 'lacks 1')
  const { view } = withEntry(three, revokeFact(birch, node('A')), birch)
  assert.deepEqual([...(view.revokedNodes.get(node('A')) ?? [])], [birch.operator])
})

test('an operator is admitted only when it asked, and once', () => {
  const alone = genesisOf([acme])
  const forged = admitFact(birch)
  assert.ok(forged.kind === 'admit-operator')
  const { consent } = forged.body
  const renamed = { ...consent, request: { ...consent.request, name: 'acme' } }
  const unasked = { ...forged, body: { ...forged.body, consent: renamed } }
  assert.equal(outcomeOf(alone, unasked, acme), 'bad-body')
  const two = withEntry(alone, admitFact(birch), acme)
  assert.deepEqual(
    two.view.operators.map(({ name }) => name),
    ['acme', 'birch'],
  )
  assert.equal(outcomeOf(two, admitFact(birch), acme, birch), 'bad-body')
})

test('operators leave alone, are made to leave by the others, and the last one stays', () => {
  const three = genesisOf([acme, birch, cedar])
  assert.equal(outcomeOf(three, removeFact(cedar), acme, birch), 'in-force')
  assert.equal(outcomeOf(three, removeFact(cedar), acme, cedar), 'lacks 1', 'its own hand does not count')
  assert.equal(outcomeOf(three, removeFact(cedar, true), cedar), 'in-force')
  assert.equal(outcomeOf(three, removeFact(cedar, true), acme), 'lacks 1')
  const two = genesisOf([acme, birch])
  assert.equal(outcomeOf(two, removeFact(birch), acme), 'in-force', 'of two, the elder decides')
  assert.equal(outcomeOf(two, removeFact(acme), birch), 'lacks 1', 'and the younger does not')
  const one = withEntry(two, removeFact(birch), acme)
  assert.equal(outcomeOf(one, revokeFact(acme), birch), 'not-an-operator')
  assert.equal(outcomeOf(one, removeFact(acme, true), acme), 'bad-body')
  assert.equal(outcomeOf(one, admitFact(birch), acme), 'in-force', 'and may come back')
})

test('a key that was changed signs nothing any more, and the operator keeps its name', () => {
  const next = operatorNamed('acme, later')
  const changed = withEntry(genesisOf([acme]), rotateFact(acme, next), acme)
  const [operator] = changed.view.operators
  assert.deepEqual([operator?.id, operator?.key], [acme.operator, next.operator])
  assert.equal(outcomeOf(changed, revokeFact(acme, node('A')), acme), 'not-an-operator')
  assert.equal(outcomeOf(changed, revokeFact(acme, node('A')), next), 'in-force')
  assert.equal(outcomeOf(changed, rotateFact(acme, acme), next), 'bad-body', 'no key comes back')
  const stolen = rotateFact(acme, mallory)
  assert.ok(stolen.kind === 'rotate')
  const unproven = { ...stolen.body.consent, request: { ...stolen.body.consent.request, key: birch.operator } }
  const claimed = { ...stolen, body: { ...stolen.body, consent: unproven } }
  assert.equal(outcomeOf(genesisOf([acme]), claimed, acme), 'bad-body', 'the next key has to sign, too')
})

test('the operators may demand more signatures of each other', () => {
  const strict = withEntry(genesisOf([acme, birch, cedar]), policyFact('all'), acme, birch)
  assert.equal(outcomeOf(strict, admitFact(mallory), acme, birch), 'lacks 1')
  assert.equal(outcomeOf(strict, admitFact(mallory), acme, birch, cedar), 'in-force')
  assert.equal(outcomeOf(strict, removeFact(cedar), acme, birch), 'in-force', 'all but the one')
})

test('a genesis names at least one operator, each once, each with a key', () => {
  const short = { ...acme, operator: operatorIdOf(new Uint8Array(31)) }
  const kinds = [[], [acme, acme], [short]].map((operators) => {
    const made = tryGenesis(operators)
    return made.ok ? 'valid' : made.error.kind
  })
  assert.deepEqual(kinds, ['bad-body', 'bad-body', 'bad-body'])
})

test('bytes that are no charter, and charters with any byte changed, are refused and never throw', () => {
  const good = packEntries(entriesOf(withEntry(genesisOf([acme]), revokeFact(acme, node('A')), acme)))
  const isRefused = (bytes: Uint8Array): boolean => {
    const read = unpackEntries(bytes)
    return !read.ok || !openEntries(read.value, nodeCrypto).ok
  }
  assert.equal(isRefused(good), false)
  assert.equal(isRefused(new Uint8Array(CHARTER_BYTES_MAX + 1)), true)
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      assert.ok(isRefused(good.map((byte, index) => (index === at ? byte ^ mask : byte))))
    }),
    { seed: 1, numRuns: 300 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => assert.ok(isRefused(bytes))),
    { seed: 2, numRuns: 500 },
  )
})

test('no entry is taken in that somebody signed who had no say in its place', () => {
  const three = genesisOf([acme, birch, cedar])
  const facts = [admitFact(mallory), policyFact('all'), removeFact(acme), revokeFact(null, node('A')), revokeFact(acme)]
  const keys = [mallory, acme, birch, cedar]
  fc.assert(
    fc.property(fc.constantFrom(...facts), fc.subarray(keys), fc.boolean(), (fact, seals, isForged) => {
      const honest = entryOn(three, fact, ...seals)
      const forged = isForged ? forge(honest) : honest
      const { charter, added } = extend(three, [forged], nodeCrypto)
      const isAllowed = !isForged && !seals.includes(mallory) && enoughFor(fact, seals)
      assert.equal(added.length === 1, isAllowed)
      if (!isAllowed) assert.equal(charter, three)
    }),
    { seed: 3, numRuns: 300 },
  )
})

/** A signature of mallory's in the name of each of the others. */
function forge(entry: CharterEntry): CharterEntry {
  const signature = mallory.sign(signedPart(entry))
  return { ...entry, signatures: [acme, birch].map(({ operator }) => ({ key: operator, signature })) }
}

function enoughFor(fact: ReturnType<typeof admitFact>, seals: readonly (typeof acme)[]): boolean {
  if (fact.kind === 'revoke' && fact.body.operator !== null) return seals.includes(acme)
  return seals.filter((key) => !(fact.kind === 'remove-operator' && key === acme)).length >= 2
}

// Two entries for one place: which branch holds follows from the entries alone, and no revocation gets lost.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Charter, entriesOf, extend } from './charter.ts'
import { draftsDigest, mergeDrafts } from './charter-drafts.ts'
import type { CharterEntry } from './charter-entry.ts'
import {
  acme,
  admitFact,
  birch,
  cedar,
  entryOn,
  genesisOf,
  hashOf,
  mallory,
  merged,
  node,
  policyFact,
  removeFact,
  revokeFact,
  rotateFact,
  withEntry,
} from './charter-fixture.ts'
import { logCharter } from './charter-log.ts'
import { digestCharter, lackedBy, showCharter } from './charter-sync.ts'
import { nodeCrypto } from './io/crypto.ts'
import { operatorNamed } from './io/federation-for-tests.ts'

const names = ({ view }: Charter): readonly string[] => view.operators.map(({ name }) => name)

test('a decision of all wins over what one said alone, and the revocation beside it counts all the same', () => {
  const start = genesisOf([acme])
  const admitted = withEntry(start, admitFact(birch), acme)
  const revoked = withEntry(withEntry(start, revokeFact(acme, node('A')), acme), revokeFact(acme, node('B')), acme)
  const both = merged(revoked, admitted)
  assert.deepEqual(names(both), ['acme', 'birch'])
  assert.equal(both.view.head, admitted.view.head)
  assert.deepEqual([...both.view.revokedNodes.keys()].sort(), [node('A'), node('B')])
  assert.equal(both.view.forks.length, 1)
  const states = logCharter(both, []).entries.map(({ state }) => state)
  assert.deepEqual(states.sort(), ['in-force', 'in-force', 'kept', 'kept'])
})

test('making an operator leave wins over admitting one, and over its own attempts to stay', () => {
  const start = genesisOf([acme, birch, cedar])
  const removed = withEntry(start, removeFact(cedar), acme, birch)
  const admitted = withEntry(start, admitFact(mallory), birch, cedar)
  const stays = withEntry(start, rotateFact(cedar, operatorNamed('cedar, later')), cedar)
  for (const other of [admitted, stays]) {
    assert.deepEqual(names(merged(other, removed)), ['acme', 'birch'])
    assert.deepEqual(names(merged(removed, other)), ['acme', 'birch'])
  }
  const long = [1, 2, 3, 4].reduce(
    (charter, one) => withEntry(charter, revokeFact(cedar, node(`${one}`)), cedar),
    start,
  )
  assert.deepEqual(names(merged(removed, long)), ['acme', 'birch'], 'length is no argument')
})

test('whoever was made to leave cannot undo it by signing for an earlier place', () => {
  const start = genesisOf([acme, birch, cedar])
  const later = withEntry(withEntry(start, policyFact('two-thirds'), acme, birch), removeFact(cedar), acme, birch)
  const forked = [removeFact(cedar, true), rotateFact(cedar, mallory), revokeFact(cedar, node('A'))].map((fact) =>
    withEntry(start, fact, cedar),
  )
  for (const fork of forked) assert.equal(merged(later, fork).view.head, later.view.head)
})

/** A heap of entries with forks in it, as some operators make them who do not hear of each other. */
function thicket(choices: readonly (readonly [number, number])[]): Charter {
  let all = genesisOf([acme, birch, cedar])
  const leaves = [all]
  for (const [at, what] of choices) {
    const from = leaves[at % leaves.length] as Charter
    const [one, other] = what % 2 === 0 ? [acme, birch] : [birch, cedar]
    const fact = [
      revokeFact(one, node(`${what}`)),
      policyFact((['majority', 'two-thirds'] as const)[what % 2] ?? 'majority'),
      removeFact(cedar),
      admitFact(operatorNamed(`new ${what % 3}`)),
      rotateFact(one, operatorNamed(`${one.name} ${what}`)),
    ][what % 5] as Parameters<typeof entryOn>[1]
    const entry = entryOn(from, fact, one, other)
    const grown = extend(from, [entry], nodeCrypto)
    if (grown.added.length === 0) continue
    leaves.push(grown.charter)
    all = extend(all, [entry], nodeCrypto).charter
  }
  return all
}

test('whoever has the same entries has the same charter, in whatever order and pieces they came', () => {
  const choices = fc.array(fc.tuple(fc.nat(20), fc.nat(29)), { minLength: 1, maxLength: 14 })
  fc.assert(
    fc.property(choices, fc.infiniteStream(fc.nat()), (made, chance) => {
      const whole = thicket(made)
      const genesis = genesisOf([acme, birch, cedar])
      const waiting: CharterEntry[] = [...entriesOf(whole)]
      let grown = genesis
      for (let round = 0; waiting.length > 0 && round < 1_000; round++) {
        const at = (chance.next().value as number) % waiting.length
        const piece = waiting.slice(at, at + 1 + (round % 3))
        const { charter } = extend(grown, piece, nodeCrypto)
        grown = charter
        // What could not be placed yet comes again.
        for (const entry of piece) if (grown.placed.has(hashOf(entry))) waiting.splice(waiting.indexOf(entry), 1)
      }
      assert.deepEqual(grown.view, { ...whole.view, ...orderless(grown, whole) })
    }),
    { seed: 7, numRuns: 150 },
  )
})

/** Maps compare by their order too, which is that of arrival; their contents have to be the same. */
function orderless({ view }: Charter, { view: other }: Charter): Partial<Charter['view']> {
  for (const name of ['revokedNodes', 'revokedCredentials', 'vouchedAt', 'keys'] as const) {
    assert.deepEqual(
      new Map<unknown, unknown>([...view[name]].sort()),
      new Map<unknown, unknown>([...other[name]].sort()),
    )
  }
  const { revokedNodes, revokedCredentials, vouchedAt, keys } = view
  return { revokedNodes, revokedCredentials, vouchedAt, keys }
}

test('two charters that show each other a few hashes end up the same', () => {
  const choices = fc.array(fc.tuple(fc.nat(20), fc.nat(29)), { maxLength: 12 })
  fc.assert(
    fc.property(choices, choices, (mine, theirs) => {
      let [a, b] = [thicket(mine), thicket(theirs)]
      const [shownByA, shownByB] = [showCharter(a), showCharter(b)]
      const [toA, toB] = [lackedBy(shownByA, b), lackedBy(shownByB, a)]
      a = extend(a, toA, nodeCrypto).charter
      b = extend(b, toB, nodeCrypto).charter
      assert.equal(a.view.head, b.view.head)
      assert.deepEqual(a.view.tips, b.view.tips)
      const none = draftsDigest(new Map())
      assert.deepEqual(digestCharter(a, none, nodeCrypto), digestCharter(b, none, nodeCrypto))
      assert.deepEqual(lackedBy(showCharter(a), b), [])
    }),
    { seed: 8, numRuns: 150 },
  )
})

test('a long charter shows few hashes, and who is a little behind is sent a little', () => {
  let charter = genesisOf([acme])
  const behind: Charter[] = []
  for (let index = 0; index < 300; index++) {
    if (index === 290) behind.push(charter)
    charter = withEntry(charter, revokeFact(acme, node(`${index}`)), acme)
  }
  assert.ok(showCharter(charter).length < 25)
  const [late] = behind as [Charter]
  assert.equal(lackedBy(showCharter(late), charter).length, 10)
  assert.ok(lackedBy(showCharter(charter), late).length < 10, 'and the other way hardly anything')
})

test('drafts gather signatures in any order until they are in force', () => {
  const start = genesisOf([acme, birch, cedar])
  const fact = admitFact(mallory)
  const [byAcme, byBirch] = [entryOn(start, fact, acme), entryOn(start, fact, birch)]
  const one = mergeDrafts(new Map(), [byAcme], start, nodeCrypto)
  assert.deepEqual([one.drafts.size, one.complete.length, one.isChanged], [1, 0, true])
  assert.equal(mergeDrafts(one.drafts, [byAcme], start, nodeCrypto).isChanged, false)
  const both = mergeDrafts(one.drafts, [byBirch], start, nodeCrypto)
  assert.equal(both.complete.length, 1)
  assert.deepEqual(names(extend(start, both.complete, nodeCrypto).charter), ['acme', 'birch', 'cedar', 'mallory'])
  assert.equal(mergeDrafts(new Map(), [entryOn(start, fact)], start, nodeCrypto).drafts.size, 0, 'nobody signed')
  assert.equal(mergeDrafts(new Map(), [entryOn(start, fact, mallory)], start, nodeCrypto).drafts.size, 0)
})

test('a revocation does not stand in a draft’s way, and a decision ends it', () => {
  const start = genesisOf([acme, birch, cedar])
  const { drafts } = mergeDrafts(new Map(), [entryOn(start, admitFact(mallory), acme)], start, nodeCrypto)
  const revoked = withEntry(start, revokeFact(cedar, node('A')), cedar)
  const kept = mergeDrafts(drafts, [entryOn(start, admitFact(mallory), birch)], revoked, nodeCrypto)
  const { charter } = extend(revoked, kept.complete, nodeCrypto)
  assert.deepEqual(names(charter), ['acme', 'birch', 'cedar', 'mallory'])
  assert.equal(charter.view.revokedNodes.has(node('A')), true)
  const decided = withEntry(start, policyFact('all'), acme, birch)
  assert.equal(mergeDrafts(drafts, [], decided, nodeCrypto).drafts.size, 0)
})

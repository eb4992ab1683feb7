// For tests: operators whose keys follow from their names, and charters that they sign.

import assert from 'node:assert/strict'
import type { NodeId } from '../overlay/kernel/ids.ts'
import { type Charter, entriesOf, extend, foundWith, placeEntry } from './charter.ts'
import {
  type CharterEntry,
  type CharterFact,
  draftEntry,
  entryHash,
  giveConsent,
  signEntry,
  type Threshold,
} from './charter-entry.ts'
import { nodeCrypto } from './io/crypto.ts'
import { operatorNamed } from './io/federation-for-tests.ts'
import type { OperatorKey } from './io/key-file.ts'

export const acme = operatorNamed('acme')
export const birch = operatorNamed('birch')
export const cedar = operatorNamed('cedar')
export const mallory = operatorNamed('mallory')
export const node = (name: string): NodeId => `12D3KooW${name}` as NodeId

export function genesisOf(operators: readonly OperatorKey[], seals = operators, nonce = 1): Charter {
  const made = tryGenesis(operators, seals, nonce)
  assert.ok(made.ok, made.ok ? '' : made.error.detail)
  return made.value
}

export function tryGenesis(operators: readonly OperatorKey[], seals = operators, nonce = 1) {
  const named = operators.map((key) => ({ id: key.operator, name: key.name }))
  const body = { name: 'Green Fields', nonce: new Uint8Array(32).fill(nonce), at: 1_000, operators: named }
  return foundWith(body, seals, nodeCrypto)
}

export const revokeFact = (by: OperatorKey | null, ...nodes: readonly NodeId[]): CharterFact => ({
  kind: 'revoke',
  body: { operator: by?.operator ?? null, nodes, credentials: [], reason: 'lost', at: 2_000 },
})
export const admitFact = (whom: OperatorKey): CharterFact => ({
  kind: 'admit-operator',
  body: { consent: giveConsent({ key: whom.operator, name: whom.name, at: 1_500 }, whom), at: 2_000 },
})
export const removeFact = (whom: OperatorKey, isLeaving = false): CharterFact => ({
  kind: 'remove-operator',
  body: { operator: whom.operator, isLeaving, reason: '', at: 2_000 },
})
export const rotateFact = (operator: OperatorKey, next: OperatorKey, isDropped = false): CharterFact => {
  const consent = giveConsent({ key: next.operator, name: next.name, at: 2_000 }, next)
  return { kind: 'rotate', body: { operator: operator.operator, consent, isDropped, at: 2_000 } }
}
export const policyFact = (threshold: Threshold): CharterFact => ({ kind: 'policy', body: { threshold, at: 2_000 } })

/** An entry on top of a charter's head. */
export function entryOn(charter: Charter, fact: CharterFact, ...seals: readonly OperatorKey[]): CharterEntry {
  return signEntry(draftEntry(charter.view.length, charter.view.head, fact), seals)
}

/** The charter with that entry; fails when it is not taken in. */
export function withEntry(charter: Charter, fact: CharterFact, ...seals: readonly OperatorKey[]): Charter {
  const entry = entryOn(charter, fact, ...seals)
  const { charter: longer, added, problems } = extend(charter, [entry], nodeCrypto)
  assert.equal(added.length, 1, problems[0]?.detail ?? 'it lacks signatures')
  return longer
}

/** What is wrong with an entry on top of a charter, or `in-force`, or how many signatures are missing. */
export function outcomeOf(charter: Charter, fact: CharterFact, ...seals: readonly OperatorKey[]): string {
  const entry = entryOn(charter, fact, ...seals)
  const { drafts, added, problems } = extend(charter, [entry], nodeCrypto)
  if (added.length > 0) return 'in-force'
  const head = charter.placed.get(charter.view.head)
  const placed = drafts.length === 0 || head === undefined ? null : placeEntry(head, entry, nodeCrypto)
  if (!placed?.ok) return problems[0]?.kind ?? 'nothing'
  const { needed, signed } = placed.value.standing
  return `lacks ${needed - signed.length}`
}

/** All entries of several charters in one. */
export const merged = (...charters: readonly [Charter, ...Charter[]]): Charter =>
  charters.reduce((one, other) => extend(one, entriesOf(other), nodeCrypto).charter)

export const hashOf = (entry: CharterEntry): string => entryHash(entry, nodeCrypto)

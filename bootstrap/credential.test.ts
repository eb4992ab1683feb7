// What claims are worth under a charter, and whom a hello lets in.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath, FederationId, NodeId, OperatorId } from '../overlay/kernel/ids.ts'
import { type CharterView, EVERYBODY } from './charter.ts'
import {
  admitAtHello,
  CLOCK_SKEW_MS,
  CREDENTIAL_BYTES_MAX,
  CREDENTIAL_LIFETIME_MS,
  type CredentialClaims,
  checkClaims,
  draftClaims,
  isDueForRenewal,
  MEMBER_CAPABILITIES,
  readClaims,
} from './credential.ts'

const peer = '12D3KooWA' as NodeId
const operator = 'uAcme' as OperatorId
const federation = 'f0'.repeat(32) as FederationId
const charter: CharterView = {
  federation,
  name: 'Green Fields',
  head: federation,
  length: 1,
  hashes: [federation],
  operators: [{ id: operator, key: operator, name: 'acme' }],
  keys: new Map([[operator, { operator, isDropped: false }]]),
  threshold: 'majority',
  revokedNodes: new Map(),
  revokedCredentials: new Map(),
  forks: [],
  tips: [federation],
  vouchedAt: new Map(),
}
const bearer = { node: peer, operator, issuer: operator, hashHex: 'aa', delegate: null }
const ISSUED = 1_700_000_000_000
const EXPIRES = ISSUED + CREDENTIAL_LIFETIME_MS
const domain = '/home' as DomainPath
const claims = {
  ...draftClaims(
    { sub: peer, federation, domain, capabilities: ['work'], labels: { site: 'a' }, name: 'shed' },
    ISSUED,
  ),
  iss: operator,
}

const verdict = (changes: Partial<CredentialClaims>): string => {
  const facts = checkClaims({ ...claims, ...changes }, charter)
  return facts.ok ? 'ok' : facts.error.code
}

function hello(circumstances: { wall?: number; metBefore?: boolean; peer?: NodeId }, view = charter): string {
  const facts = checkClaims(claims, view)
  assert.ok(facts.ok)
  const defaults = { peer, bearer, wall: ISSUED, metBefore: false }
  const admitted = admitAtHello(facts.value, view, { ...defaults, ...circumstances })
  return admitted.ok ? 'ok' : admitted.error.code
}

test('claims are worth what the charter gives them', () => {
  assert.equal(verdict({}), 'ok')
  assert.equal(verdict({ iss: 'uMallory' as OperatorId }), 'forged')
  assert.equal(verdict({ federation: '00'.repeat(32) as FederationId }), 'other-federation')
  assert.equal(verdict({ domain: '/' as DomainPath }), 'forged')
  assert.equal(verdict({ domain: '/Not Good' as DomainPath }), 'forged')
  assert.equal(verdict({ exp: claims.iat }), 'forged')
})

test('a credential is for the node that shows it', () => {
  assert.equal(hello({}), 'ok')
  assert.equal(hello({ peer: '12D3KooWB' as NodeId }), 'forged')
})

test('a revoked node and a revoked credential are refused, whether met before or not', () => {
  const other = 'uBirch' as OperatorId
  const byAll = new Set([EVERYBODY])
  assert.equal(hello({ metBefore: true }, { ...charter, revokedNodes: new Map([[peer, byAll]]) }), 'revoked')
  assert.equal(hello({}, { ...charter, revokedNodes: new Map([[peer, new Set([operator])]]) }), 'revoked')
  assert.equal(hello({}, { ...charter, revokedNodes: new Map([[peer, new Set([other])]]) }), 'ok', 'not theirs to say')
  assert.equal(hello({ metBefore: true }, { ...charter, revokedCredentials: new Map([['aa', byAll]]) }), 'revoked')
  assert.equal(hello({}, { ...charter, revokedCredentials: new Map([['bb', byAll]]) }), 'ok')
})

test('the devices of an operator that left, or gave up its key, are out', () => {
  const another = { id: 'uBirch' as OperatorId, key: 'uBirch' as OperatorId, name: 'birch' }
  assert.equal(hello({ metBefore: true }, { ...charter, operators: [another] }), 'revoked')
  const dropped = new Map([[operator, { operator, isDropped: true }]])
  assert.equal(hello({ metBefore: true }, { ...charter, keys: dropped }), 'revoked')
  const [acme] = charter.operators
  assert.ok(acme)
  const kept = { ...charter, operators: [{ ...acme, key: 'uNext' as OperatorId }] }
  assert.equal(hello({}, kept), 'ok', 'a key that was merely changed still stands behind what it signed')
})

test('a delegate enrols for its own operator, hands on no more than it may, and makes no delegates', () => {
  const facts = checkClaims({ ...claims, capabilities: [...MEMBER_CAPABILITIES, 'enrol', 'camera'] }, charter)
  assert.ok(facts.ok)
  const delegate = facts.value
  const via = (changes: Partial<CredentialClaims>, by = delegate): string => {
    const checked = checkClaims({ ...claims, ...changes }, charter, by)
    return checked.ok ? 'ok' : checked.error.code
  }
  assert.equal(via({}), 'ok')
  assert.equal(via({ capabilities: ['camera'] }), 'ok')
  assert.equal(via({ capabilities: ['enrol'] }), 'forged')
  assert.equal(via({ capabilities: ['moon'] }), 'forged')
  assert.equal(via({}, { ...delegate, capabilities: ['work'] }), 'forged')
  assert.equal(via({}, { ...delegate, operator: 'uBirch' as OperatorId }), 'forged')
  const after = delegate.expiresAt / 1_000 + CLOCK_SKEW_MS / 1_000 + 1
  assert.equal(via({ iat: after, exp: after + 1 }), 'forged', 'it had expired itself')
})

test('an expired credential is refused from a stranger and accepted from a member that was met', () => {
  const late = EXPIRES + CLOCK_SKEW_MS + 1
  assert.equal(hello({ wall: EXPIRES + CLOCK_SKEW_MS }), 'ok')
  assert.equal(hello({ wall: late }), 'expired')
  assert.equal(hello({ wall: late, metBefore: true }), 'ok')
})

test('a device whose clock is years behind still believes its peers', () => {
  assert.equal(hello({ wall: 0 }), 'ok')
})

test('a credential is due for renewal in the last third of its life', () => {
  const facts = { expiresAt: EXPIRES }
  assert.equal(isDueForRenewal(facts, ISSUED), false)
  assert.equal(isDueForRenewal(facts, EXPIRES - CREDENTIAL_LIFETIME_MS / 3 + 1), true)
})

test('a payload that is not claims names what is wrong with it', () => {
  const problemOf = (payload: unknown): string => {
    const read = readClaims(new TextEncoder().encode(typeof payload === 'string' ? payload : JSON.stringify(payload)))
    return read.ok ? 'ok' : read.error
  }
  assert.equal(problemOf(claims), 'ok')
  assert.match(problemOf({ ...claims, sub: 7 }), /^sub: /)
  assert.match(problemOf({ ...claims, labels: { a: 1 } }), /^labels\.a: /)
  assert.match(problemOf({ ...claims, exp: -1 }), /^exp: /)
  assert.match(problemOf('{'), /not JSON/)
  assert.match(problemOf('null'), /object/)
  assert.match(problemOf('x'.repeat(CREDENTIAL_BYTES_MAX + 1)), /bytes/)
  assert.equal(readClaims(new Uint8Array([0xff, 0xfe])).ok, false)
})

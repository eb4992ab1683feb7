// The desk counts: who comes with which invite, how often, and when.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import {
  createEnrolment,
  decodeIssued,
  type EnrolmentState,
  EXPIRED_INVITE_MEMORY_MS,
  encodeIssued,
  INVITE_USES_MAX,
  INVITES_MAX,
  type IssuedInvite,
  issue,
  redeem,
} from './enrolment.ts'

const EXPIRES = 10_000
const secretHash = new Uint8Array(32).fill(9)
const node = (name: string): NodeId => name as NodeId

function invite(number: number, uses: number, expiresAt = EXPIRES): IssuedInvite {
  const id = new Uint8Array(8)
  new DataView(id.buffer).setUint32(0, number)
  const domain = '/home' as DomainPath
  return { id, secretHash, domain, capabilities: ['work'], labels: {}, usesLeft: uses, expiresAt, joined: [] }
}

/** Redeems and goes on with the new state; the refusal's code, or whether a use was counted. */
function desk(...invites: readonly IssuedInvite[]) {
  let state: EnrolmentState = createEnrolment(invites)
  return {
    state: () => state,
    ask: (name: string, wall = 0, changes: Partial<Parameters<typeof redeem>[1]> = {}): string => {
      const request = { inviteId: invite(1, 1).id, secretHash, node: node(name), isRevoked: false, ...changes }
      const redeemed = redeem(state, request, wall)
      if (!redeemed.ok) return redeemed.error.code
      state = redeemed.value.state
      return redeemed.value.isNew ? 'counted' : 'known'
    },
  }
}

test('an invite admits as many nodes as it has uses', () => {
  const { ask } = desk(invite(1, 2))
  assert.deepEqual([ask('a'), ask('b'), ask('c')], ['counted', 'counted', 'used-up-invite'])
})

test('the same node with the same invite again costs no use, also when the invite is used up', () => {
  const { ask, state } = desk(invite(1, 1))
  assert.deepEqual([ask('a'), ask('a'), ask('a'), ask('b')], ['counted', 'known', 'known', 'used-up-invite'])
  assert.deepEqual(state().slots[0]?.joined, ['a'])
})

test('an expired invite admits nobody, not even those it admitted before, and is forgotten in the end', () => {
  const { ask } = desk(invite(1, 5))
  assert.equal(ask('a', EXPIRES), 'counted')
  assert.equal(ask('a', EXPIRES + 1), 'expired-invite')
  assert.equal(ask('b', EXPIRES + 1), 'expired-invite')
  assert.equal(ask('b', EXPIRES + EXPIRED_INVITE_MEMORY_MS + 1), 'unknown-invite')
})

test('who does not know the secret learns nothing about the invite', () => {
  const { ask } = desk(invite(1, 0))
  const wrong = { secretHash: new Uint8Array(32) }
  assert.equal(ask('a', 0, wrong), 'wrong-secret')
  assert.equal(ask('a', EXPIRES + 1, wrong), 'wrong-secret')
  assert.equal(ask('a', 0, { inviteId: invite(2, 1).id }), 'unknown-invite')
  assert.equal(ask('a', 0, { inviteId: new Uint8Array(0) }), 'unknown-invite')
})

test('a revoked node is not admitted by any invite', () => {
  assert.equal(desk(invite(1, 1)).ask('a', 0, { isRevoked: true }), 'revoked-node')
})

test('when all places are taken the longest expired invite makes room, and an open one never does', () => {
  let state = createEnrolment([])
  for (let number = 0; number < INVITES_MAX; number++) {
    const change = issue(state, invite(number, 1, number === 7 ? 50 : number === 9 ? 60 : EXPIRES), 0)
    assert.equal(change?.slot, number)
    state = change?.state ?? state
  }
  assert.equal(issue(state, invite(1_000, 1), 40), null)
  assert.equal(issue(state, invite(1_000, 1), 100)?.slot, 7)
  assert.equal(issue(state, invite(1_000, 1), 100)?.state.slots.length, INVITES_MAX)
})

test('the fullest invite that may be can be stored and read again', () => {
  const joined = Array.from({ length: INVITE_USES_MAX }, (_, index) => node(`${index}`.padStart(52, '1')))
  const full = { ...invite(1, 0), joined }
  const read = decodeIssued(encodeIssued(full))
  assert.ok(read.ok)
  assert.deepEqual(read.value, full)
  assert.equal(decodeIssued(new Uint8Array([1, 2, 3])).ok, false)
})

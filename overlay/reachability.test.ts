// Whether a node can be dialled from outside, from what members see of it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type NodeId, nodeId } from './kernel/ids.ts'
import {
  ANSWER_AGE_MS_MAX,
  createReachability,
  lacksIpv4,
  type ReachabilityEffect,
  type ReachabilityInput,
  reachedAt,
  standingOf,
  step,
  UNANSWERED_RETRY_MS_MAX,
  UNANSWERED_RETRY_MS_MIN,
  UNREACHED_RETRY_MS,
  wakeAt,
} from './reachability.ts'

const LAN = '192.168.1.2'
const OUTSIDE = '1.2.3.4'
const [A, B, C] = ['a', 'b', 'c'].map(nodeId) as [NodeId, NodeId, NodeId]

function reach(...own: readonly string[]) {
  let state = createReachability()
  let now = 0
  const asked = new Map<NodeId, number>()
  const tell = (input: ReachabilityInput): readonly ReachabilityEffect[] => {
    const next = step(state, input, { now, wall: 0, random: { next: () => 0.5 } })
    state = next.state
    for (const { peer, question } of next.effects) asked.set(peer, question)
    return next.effects
  }
  tell({ kind: 'own-addresses', addresses: own })
  return {
    tell,
    seen: (peer: NodeId, address: string) => tell({ kind: 'seen', peer, address }).map((effect) => effect.peer),
    question: (peer: NodeId) => asked.get(peer) ?? 0,
    /** To the latest question, or to an earlier one. */
    answer: (peer: NodeId, isReached: boolean | null, question = asked.get(peer) ?? 0) =>
      tell({ kind: 'answered', peer, question, isReached }),
    next: () => {
      const due = wakeAt(state)
      assert.ok(due !== null)
      const waited = due - now
      now = due
      return { waited, asked: tell({ kind: 'wake' }).map(({ peer }) => peer) }
    },
    standing: () => standingOf(state),
    reachedAt: () => reachedAt(state),
    lacksIpv4: () => lacksIpv4(state),
  }
}

test('a node that members dial back where they see it is open', () => {
  const node = reach(OUTSIDE)
  assert.deepEqual(node.seen(A, OUTSIDE), [A])
  assert.equal(node.standing(), 'unknown')
  node.answer(A, true)
  assert.equal(node.standing(), 'open')
  assert.deepEqual(node.reachedAt(), [OUTSIDE])
})

test('a node that is seen under an address not its own is closed until somebody gets through there', () => {
  const node = reach(LAN)
  node.seen(A, OUTSIDE)
  assert.equal(node.standing(), 'closed')
  node.answer(A, true)
  assert.equal(node.standing(), 'open', 'a port is forwarded')
})

test('a neighbour on the same network that gets through does not make a node behind a NAT open', () => {
  const node = reach(LAN)
  node.seen(A, LAN)
  node.answer(A, true)
  assert.equal(node.standing(), 'open')
  node.seen(B, OUTSIDE)
  node.answer(B, false)
  assert.equal(node.standing(), 'closed')
})

test('a firewall without a NAT closes a node too, and who gets through outweighs who does not', () => {
  const node = reach(OUTSIDE)
  node.seen(A, OUTSIDE)
  node.answer(A, false)
  assert.equal(node.standing(), 'closed')
  node.seen(B, OUTSIDE)
  node.answer(B, true)
  assert.equal(node.standing(), 'open')
})

test('of those that see the same address two are asked, and another one when one of them goes', () => {
  const node = reach(OUTSIDE)
  assert.deepEqual([node.seen(A, OUTSIDE), node.seen(B, OUTSIDE), node.seen(C, OUTSIDE)], [[A], [B], []])
  assert.deepEqual(
    node.tell({ kind: 'gone', peer: A }).map(({ peer }) => peer),
    [C],
  )
})

test('who could not dial back is asked again at growing distances, who was silent soon, who could later', () => {
  const node = reach(OUTSIDE)
  node.seen(A, OUTSIDE)
  node.answer(A, false)
  assert.deepEqual(node.next(), { waited: UNREACHED_RETRY_MS, asked: [A] })
  node.answer(A, false)
  assert.deepEqual(node.next(), { waited: 2 * UNREACHED_RETRY_MS, asked: [A] })
  node.answer(A, null)
  assert.deepEqual(node.next(), { waited: UNANSWERED_RETRY_MS_MIN, asked: [A] })
  node.answer(A, null)
  assert.deepEqual(node.next(), { waited: 2 * UNANSWERED_RETRY_MS_MIN, asked: [A] })
  for (let silence = 0; silence < 10; silence++) {
    node.answer(A, null)
    assert.ok(node.next().waited <= UNANSWERED_RETRY_MS_MAX)
  }
  node.answer(A, true)
  assert.deepEqual(node.next(), { waited: ANSWER_AGE_MS_MAX, asked: [A] })
})

test('on another network nothing that was seen before counts', () => {
  const node = reach(OUTSIDE)
  node.seen(A, OUTSIDE)
  node.answer(A, true)
  assert.deepEqual(
    node.tell({ kind: 'own-addresses', addresses: [LAN] }).map(({ peer }) => peer),
    [A],
  )
  assert.deepEqual(node.reachedAt(), [])
  assert.equal(node.standing(), 'closed')
})

test('a port that a router forwards is tried at once, by those who did not get through before', () => {
  const node = reach(LAN)
  node.seen(A, OUTSIDE)
  node.answer(A, false)
  assert.equal(node.standing(), 'closed')
  assert.deepEqual(
    node.tell({ kind: 'forwarding-changed', address: OUTSIDE }).map(({ peer }) => peer),
    [A],
  )
  node.answer(A, true)
  assert.equal(node.standing(), 'open')
  assert.deepEqual(node.reachedAt(), [OUTSIDE])
})

test('when a router forwards a port, or on another network, it is asked anew, and earlier answers do not count', () => {
  for (const change of [
    { kind: 'forwarding-changed', address: OUTSIDE } as const,
    { kind: 'own-addresses', addresses: ['192.168.9.9'] } as const,
    { kind: 'seen', peer: A, address: '5.6.7.8' } as const,
  ]) {
    const node = reach(LAN)
    node.seen(A, OUTSIDE)
    const before = node.question(A)
    const [again, ...others] = node.tell(change)
    assert.deepEqual([again?.peer, others], [A, []], `${change.kind}: without waiting for the answer`)
    assert.deepEqual(node.answer(A, change.kind !== 'forwarding-changed', before), [])
    assert.deepEqual(node.reachedAt(), [])
    node.answer(A, true)
    assert.equal(node.standing(), 'open')
  }
})

test('a device that has IPv6 only is told from one that has both, IPv4 only, or nothing but loopback', () => {
  assert.ok(reach('127.0.0.1', '::1', '2a00:1::10').lacksIpv4())
  for (const own of [['2a00:1::10', LAN], [LAN], ['127.0.0.1', '::1'], []]) assert.ok(!reach(...own).lacksIpv4())
})

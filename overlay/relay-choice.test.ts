// Which relays a node takes places on: the nearest, two of them, and others when they go.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type NodeId, nodeId } from './kernel/ids.ts'
import {
  createRelayChoice,
  KEPT_MS_MIN,
  REFUSED_RETRY_MS_MAX,
  REFUSED_RETRY_MS_MIN,
  type RelayChoiceInput,
  step,
  wakeAt,
} from './relay-choice.ts'

const [A, B, C, D] = ['a', 'b', 'c', 'd'].map(nodeId) as [NodeId, NodeId, NodeId, NodeId]

/** A choice whose reservations are granted when `grant` says so; effects are shown as `+a` and `-a`. */
function choice() {
  let state = createRelayChoice()
  let now = 0
  const tell = (input: RelayChoiceInput): readonly string[] => {
    const next = step(state, input, { now, wall: 0, random: { next: () => 0.5 } })
    state = next.state
    return next.effects.map(({ kind, peer }) => `${kind === 'reserve' ? '+' : '-'}${peer}`)
  }
  return {
    tell,
    offer: (peer: NodeId, rttMs: number) => [
      ...tell({ kind: 'offer', peer, isOffered: true }),
      ...tell({ kind: 'round-trip', peer, ms: rttMs }),
    ],
    need: () => tell({ kind: 'needed', isNeeded: true }),
    hold: (...peers: readonly NodeId[]) => tell({ kind: 'held', peers }),
    pass: (ms: number) => {
      now += ms
      return tell({ kind: 'wake' })
    },
    due: () => wakeAt(state),
  }
}

test('while a node can be dialled it asks no relay', () => {
  const relays = choice()
  assert.deepEqual(relays.offer(A, 10), [])
  assert.equal(relays.due(), null)
})

test('the two nearest of those that offer are asked', () => {
  const relays = choice()
  relays.offer(A, 80)
  relays.offer(B, 10)
  relays.offer(C, 30)
  assert.deepEqual(relays.need(), ['+b', '+c'])
})

test('the first that offers is asked before it was measured, for nobody reaches this node till then', () => {
  const relays = choice()
  relays.need()
  assert.deepEqual(relays.tell({ kind: 'offer', peer: A, isOffered: true }), ['+a'])
})

test('when a relay goes, the next takes its place at once', () => {
  const relays = choice()
  for (const [index, peer] of [A, B, C].entries()) relays.offer(peer, 10 + index)
  relays.need()
  relays.hold(A, B)
  assert.deepEqual(relays.tell({ kind: 'offer', peer: A, isOffered: false }), ['+c'])
})

test('who refuses is passed over and asked again soon, then less and less often', () => {
  const relays = choice()
  relays.offer(A, 10)
  relays.need()
  assert.deepEqual(relays.tell({ kind: 'answered', peer: A, isHeld: false }), [])
  assert.equal(relays.due(), REFUSED_RETRY_MS_MIN)
  assert.deepEqual(relays.offer(B, 20), ['+b'])
  assert.deepEqual(relays.pass(REFUSED_RETRY_MS_MIN), ['+a'])
  for (let asked = 2; asked < 10; asked++) {
    relays.tell({ kind: 'answered', peer: A, isHeld: false })
    const wait = Math.min(REFUSED_RETRY_MS_MAX, REFUSED_RETRY_MS_MIN * 2 ** (asked - 1))
    assert.deepEqual([relays.pass(wait - 1), relays.pass(1)], [[], ['+a']])
  }
})

test('a place that was lost before it was told of is asked for again', () => {
  const relays = choice()
  relays.offer(A, 10)
  assert.deepEqual(relays.need(), ['+a'])
  relays.hold()
  assert.deepEqual(relays.tell({ kind: 'answered', peer: A, isHeld: false }), [])
  assert.deepEqual(relays.pass(REFUSED_RETRY_MS_MIN), ['+a'])
  relays.tell({ kind: 'answered', peer: A, isHeld: true })
  assert.deepEqual(relays.hold(), ['+a'])
})

test('a much nearer relay takes the place of the farther one, but not at once and not for little', () => {
  const relays = choice()
  relays.offer(A, 100)
  relays.offer(B, 60)
  relays.need()
  relays.hold(A, B)
  assert.deepEqual(relays.offer(C, 20), [])
  assert.deepEqual(relays.pass(KEPT_MS_MIN), ['-a', '+c'])
  relays.hold(B, C)
  relays.pass(KEPT_MS_MIN)
  assert.deepEqual(relays.offer(D, 59), [])
})

test('a node that can be dialled again gives its places up', () => {
  const relays = choice()
  relays.offer(A, 10)
  relays.need()
  relays.hold(A)
  assert.deepEqual(relays.tell({ kind: 'needed', isNeeded: false }), ['-a'])
})

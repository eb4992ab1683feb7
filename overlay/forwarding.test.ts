// When a router is asked to forward a port, and for how long what it said counts.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createForwarding,
  FORWARDING_RETRY_MS,
  type Forwarded,
  type ForwardingInput,
  step,
  wakeAt,
} from './forwarding.ts'

const PORT = 4001
const forwarded: Forwarded = { host: '1.2.3.4', port: 4001, lifetimeS: 7200 }

function forwarding() {
  let state = createForwarding()
  let now = 0
  const tell = (input: ForwardingInput): readonly number[] => {
    const next = step(state, input, { now, wall: 0, random: { next: () => 0.5 } })
    state = next.state
    return next.effects.map(({ external }) => external)
  }
  return {
    tell,
    closed: (isClosed = true) => tell({ kind: 'closed', isClosed, port: PORT }),
    answer: (what: Forwarded | null, round = state.round) => tell({ kind: 'answered', round, forwarded: what }),
    pass: (ms: number) => {
      now += ms
      return tell({ kind: 'wake' })
    },
    until: (at: number) => {
      now = at
      return tell({ kind: 'wake' })
    },
    due: () => wakeAt(state),
    held: () => state.forwarded,
    round: () => state.round,
  }
}

test('a node that can be dialled asks for nothing', () => {
  const one = forwarding()
  assert.deepEqual(one.closed(false), [])
  assert.equal(one.due(), null)
})

test('a node that cannot be dialled asks once, for the port that it listens on', () => {
  const one = forwarding()
  assert.deepEqual(one.closed(), [PORT])
  assert.deepEqual(one.closed(), [])
})

test('a forwarded port is renewed at half of its time, also though the node is open by it', () => {
  const one = forwarding()
  one.closed()
  one.answer({ ...forwarded, port: 5000 })
  assert.deepEqual(one.closed(false), [])
  assert.equal(one.due(), 3_600_000)
  assert.deepEqual(one.pass(3_600_000), [5000], 'the port that it has')
})

test('without an answer another port is asked for, later each time', () => {
  const one = forwarding()
  one.closed()
  one.answer(null)
  assert.equal(one.due(), FORWARDING_RETRY_MS)
  assert.deepEqual(one.pass(FORWARDING_RETRY_MS), [33_280])
  one.answer(null)
  assert.equal(one.due(), 3 * FORWARDING_RETRY_MS)
})

test('a forwarded port that could not be renewed counts until its time is over', () => {
  const one = forwarding()
  one.closed()
  one.answer(forwarded)
  one.pass(3_600_000)
  one.answer(null)
  assert.deepEqual(one.held(), forwarded)
  while (one.held() !== null) {
    const due = one.due()
    assert.ok(due !== null && due <= 7_200_000)
    if (one.until(due).length > 0) one.answer(null)
  }
  assert.equal(one.held(), null)
})

test('on another network all begins anew, and what the router of the former one says does not count', () => {
  const one = forwarding()
  one.closed()
  const former = one.round()
  one.tell({ kind: 'moved' })
  one.answer(forwarded, former)
  assert.equal(one.held(), null)
  assert.deepEqual(one.closed(), [PORT])
})

// Whom to dial and when: new addresses, back-off, and the search for a direct path.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createDialPlan,
  DIAL_BACKOFF_MS_MAX,
  DIALS_AT_ONCE_MAX,
  type DialOutcome,
  type DialPlanEffect,
  type DialPlanInput,
  type DialPlanState,
  IN_VAIN_FAILURES,
  REFUSED_RETRY_MS,
  step,
  UNREADY_RETRY_MS,
  UNREADY_TRIES_MAX,
  UPGRADE_BACKOFF_MS_MAX,
  UPGRADE_BACKOFF_MS_MIN,
  UPGRADE_FIRST_MS,
  wakeAt,
  YIELD_MS,
} from './dial-plan.ts'
import { nodeId } from './kernel/ids.ts'

const A = nodeId('a')
const B = nodeId('b')
const ADDRESS = '/ip4/10.0.0.2/tcp/4001'
const RELAYED = '/ip4/10.0.0.9/tcp/4001/p2p/r/p2p-circuit'
const MIDDLE = { next: () => 0.5 }

/** A plan with its clock; chance is always in the middle, so a wait is exactly its nominal length. */
function planFor(self = A, peer = B) {
  let state: DialPlanState = createDialPlan(self)
  let now = 0
  let attempt = 0
  const tell = (input: DialPlanInput): readonly DialPlanEffect[] => {
    const next = step(state, input, { now, wall: 0, random: MIDDLE })
    state = next.state
    for (const effect of next.effects) if (effect.peer === peer && !effect.besides) attempt = effect.attempt
    return next.effects
  }
  /** What came of the latest dial, or of an earlier one. */
  const end = (outcome: DialOutcome, of = attempt) => tell({ kind: 'dialled', peer, attempt: of, outcome })
  return {
    tell,
    want: (...addresses: string[]) => tell({ kind: 'want', peers: [{ peer, addresses }] }),
    end,
    fail: (outcome: DialOutcome = 'failed') => end(outcome),
    attempt: () => attempt,
    connect: (path: 'direct' | 'relay' = 'direct') => tell({ kind: 'connected', peer, path }),
    /** Goes to the next thing that is due; says how long that took. */
    next: () => {
      const due = wakeAt(state)
      assert.ok(due !== null, 'nothing is due')
      const waited = due - now
      now = due
      return { waited, effects: tell({ kind: 'wake' }) }
    },
    due: () => wakeAt(state),
  }
}

const dials = (effects: readonly DialPlanEffect[]): number => effects.filter(({ kind }) => kind === 'dial').length

test('a wanted peer is dialled at once by the lower id, and a little later by the higher', () => {
  assert.equal(dials(planFor(A).want(ADDRESS)), 1)
  const higher = planFor(nodeId('c'))
  assert.equal(dials(higher.want(ADDRESS)), 0)
  assert.equal(higher.next().waited, YIELD_MS)
})

test('a failed dial is repeated at growing distances up to the cap', () => {
  const plan = planFor()
  plan.want(ADDRESS)
  const waits = Array.from({ length: 9 }, () => {
    plan.fail()
    return plan.next().waited
  })
  assert.deepEqual(waits.slice(0, 4), [250, 500, 1_000, 2_000])
  assert.equal(waits.at(-1), DIAL_BACKOFF_MS_MAX)
})

test('a new address is tried at once, a known one does not shorten the wait', () => {
  const plan = planFor()
  plan.want(ADDRESS)
  for (let i = 0; i < 5; i++) {
    plan.fail()
    plan.next()
  }
  plan.fail()
  assert.equal(dials(plan.want(ADDRESS)), 0)
  assert.equal(dials(plan.want(ADDRESS, '/ip4/10.0.0.3/tcp/1')), 1)
})

test('an address found on the local network counts for wanted peers only', () => {
  const plan = planFor()
  assert.equal(dials(plan.tell({ kind: 'discovered', target: { peer: B, addresses: [ADDRESS] } })), 0)
  plan.want()
  plan.fail()
  assert.equal(dials(plan.tell({ kind: 'discovered', target: { peer: B, addresses: [ADDRESS] } })), 1)
})

test('what was found last is tried with what was named, whoever wants the peer anew', () => {
  const plan = planFor()
  const found = (host: number) =>
    plan.tell({ kind: 'discovered', target: { peer: B, addresses: [`/ip4/192.168.7.${host}/tcp/1`] } })
  plan.want(ADDRESS)
  plan.fail()
  assert.equal(dials(found(1)), 1)
  plan.fail()
  assert.equal(dials(found(1)), 0, 'it was tried')
  const [dial] = found(2)
  assert.deepEqual(dial?.addresses, [ADDRESS, '/ip4/192.168.7.2/tcp/1'])
  plan.fail()
  assert.equal(dials(plan.want(ADDRESS)), 0)
  assert.deepEqual(plan.next().effects[0]?.addresses, [ADDRESS, '/ip4/192.168.7.2/tcp/1'])
})

test('a lost peer is dialled again; one that nobody wants is not', () => {
  const plan = planFor()
  plan.want(ADDRESS)
  plan.connect()
  plan.end('connected')
  assert.equal(plan.due(), null)
  plan.tell({ kind: 'disconnected', peer: B })
  assert.equal(plan.next().waited, 250)
  plan.tell({ kind: 'want', peers: [] })
  plan.tell({ kind: 'disconnected', peer: B })
  assert.equal(plan.due(), null)
})

test('when the device gains an address, whoever has no direct path is dialled anew, and no wait counts', () => {
  const plan = planFor()
  plan.want(ADDRESS)
  for (let failures = 0; failures < 8; failures++) {
    plan.fail()
    plan.next()
  }
  plan.fail()
  plan.tell({ kind: 'address-gained' })
  assert.equal(plan.next().waited, UPGRADE_FIRST_MS)
  const besides = plan.tell({ kind: 'address-gained' })
  assert.deepEqual(
    besides.map(({ addresses, besides }) => ({ addresses, besides })),
    [{ addresses: [ADDRESS], besides: true }],
    'the dial that runs began where nothing may answer',
  )
  plan.connect()
  plan.tell({ kind: 'address-gained' })
  assert.equal(plan.due(), null)
})

test('a peer that refused us is left alone for long', () => {
  const plan = planFor()
  plan.want(ADDRESS)
  plan.fail('refused')
  assert.equal(plan.next().waited, REFUSED_RETRY_MS)
})

test('a direct path to a peer behind a relay is tried at once, and then at growing distances up to the cap', () => {
  const plan = planFor()
  plan.want(RELAYED, ADDRESS)
  plan.connect('relay')
  plan.end('connected')
  const { waited, effects } = plan.next()
  assert.equal(waited, UPGRADE_FIRST_MS)
  assert.deepEqual(effects, [
    { kind: 'dial', peer: B, attempt: 2, addresses: [ADDRESS], upgrade: true, punch: true, besides: false },
  ])
  const waits = Array.from({ length: 9 }, () => {
    plan.fail()
    return plan.next().waited
  })
  assert.deepEqual(waits.slice(0, 3), [4_000, 8_000, 16_000])
  assert.equal(waits.at(-1), UPGRADE_BACKOFF_MS_MAX)
  plan.connect('direct')
  plan.end('connected')
  assert.equal(plan.due(), null)
})

test('where no direct path can come about, the next attempt waits for a minute or for a new address', () => {
  const plan = planFor()
  plan.want(RELAYED)
  plan.connect('relay')
  plan.end('connected')
  plan.next()
  plan.fail('in-vain')
  assert.equal(plan.next().waited, UPGRADE_BACKOFF_MS_MIN * 2 ** IN_VAIN_FAILURES)
  plan.fail('in-vain')
  assert.equal(plan.next().waited, UPGRADE_BACKOFF_MS_MIN * 2 ** (IN_VAIN_FAILURES + 1))
  plan.fail('in-vain')
  assert.equal(dials(plan.want(RELAYED, ADDRESS)), 1)
})

test('of two nodes that only a relay connects the lower one begins to dial at once, the other when it has not', () => {
  const plan = planFor(B, A)
  plan.want(RELAYED)
  plan.connect('relay')
  plan.end('connected')
  assert.deepEqual(plan.next().effects, [
    { kind: 'dial', peer: A, attempt: 1, addresses: [], upgrade: true, punch: false, besides: false },
  ])
  plan.fail()
  assert.deepEqual(plan.next().effects, [
    { kind: 'dial', peer: A, attempt: 2, addresses: [], upgrade: true, punch: true, besides: false },
  ])
})

test('a direct address that turns up while both sides dial each other is dialled besides, at once and once', () => {
  const plan = planFor()
  plan.want(RELAYED)
  plan.connect('relay')
  plan.end('connected')
  plan.next()
  const [dial, ...others] = plan.want(RELAYED, ADDRESS)
  assert.deepEqual(others, [])
  const besides = { upgrade: true, punch: false, besides: true }
  assert.deepEqual(dial, { kind: 'dial', peer: B, attempt: 2, addresses: [ADDRESS], ...besides })
  assert.deepEqual(plan.want(RELAYED, ADDRESS), [])
  plan.connect('direct')
  plan.fail()
  assert.equal(plan.due(), null)
})

test('an address that turns up while the first dial hangs is dialled besides, a relayed one too', () => {
  const plan = planFor()
  plan.want('/ip4/192.168.1.2/tcp/4001')
  const [dial, ...others] = plan.want('/ip4/192.168.1.2/tcp/4001', ADDRESS, RELAYED)
  assert.deepEqual(others, [])
  assert.deepEqual([dial?.addresses, dial?.upgrade, dial?.besides], [[ADDRESS, RELAYED], false, true])
})

test('a first dial that hangs keeps nobody from the search for a direct path, and its end does not count', () => {
  const plan = planFor()
  plan.want(ADDRESS)
  const hanging = plan.attempt()
  plan.connect('relay')
  const { waited, effects } = plan.next()
  assert.deepEqual([waited, effects[0]?.punch], [UPGRADE_FIRST_MS, true])
  plan.end('failed', hanging)
  assert.equal(plan.due(), null, 'the search still runs')
  plan.fail()
  assert.equal(plan.next().waited, UPGRADE_BACKOFF_MS_MIN)
})

test('an attempt for which a side was not ready is repeated soon, and after some such counts as failed', () => {
  const plan = planFor()
  plan.want(RELAYED)
  plan.connect('relay')
  plan.next()
  const waits = Array.from({ length: UNREADY_TRIES_MAX + 2 }, () => {
    plan.fail('unready')
    return plan.next().waited
  })
  assert.deepEqual(waits, [UNREADY_RETRY_MS, 2_000, 4_000, UPGRADE_BACKOFF_MS_MIN, 2 * UPGRADE_BACKOFF_MS_MIN])
})

test('at most so many dials run at once', () => {
  const plan = planFor()
  const peers = Array.from({ length: 40 }, (_, i) => ({ peer: nodeId(`n${i}`), addresses: [ADDRESS] }))
  assert.equal(dials(plan.tell({ kind: 'want', peers })), DIALS_AT_ONCE_MAX)
  assert.equal(dials(plan.tell({ kind: 'dialled', peer: nodeId('n0'), attempt: 1, outcome: 'failed' })), 1)
})

test('while as many dials run as may, the next is not waited for by the clock', () => {
  const plan = planFor()
  const peers = Array.from({ length: DIALS_AT_ONCE_MAX + 1 }, (_, index) => ({
    peer: nodeId(`p${index}`),
    addresses: [],
  }))
  plan.tell({ kind: 'want', peers })
  assert.equal(plan.due(), null)
  const effects = plan.tell({ kind: 'dialled', peer: nodeId('p0'), attempt: 1, outcome: 'failed' })
  assert.deepEqual(dials(effects), 1)
})

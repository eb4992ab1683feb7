// One store on its own: what it keeps, what it spreads, what it refuses, and what it forgets.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeId, OperatorId } from '../overlay/kernel/ids.ts'
import { nodeId } from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { storePrefix } from './admit.ts'
import {
  ADOPT_WITHIN_MS,
  INSTANCES_PER_SIGNER_MAX,
  PROOF_RETRY_MS,
  RECORDS_MAX,
  TOMBSTONE_KEPT_MS,
  WAITING_RECORDS_MAX,
} from './constants.ts'
import { digestBytes, emptyDigest } from './digest.ts'
import type { RegistryMessage } from './messages.ts'
import type { SealedRecord } from './record.ts'
import {
  BERLIN,
  contextAt,
  createFederation,
  createTestLeaders,
  instanceRecord,
  MUNICH,
  placementRecord,
  ROOT_DOMAIN,
  START_WALL,
  sealRecord,
  serviceNumber,
  specRecord,
  type TestNode,
  WEB,
} from './record-fixtures.ts'
import type { StoreEffect, StoreInput, StoreState } from './state.ts'
import { createStore, step, wakeAt } from './store.ts'

const federation = createFederation()
const a = federation.addNode('a', BERLIN)
const b = federation.addNode('b', BERLIN)
const c = federation.addNode('c', MUNICH, { operator: 'operator-b' as OperatorId })

const open = (loaded: readonly SealedRecord[] = [], leaders = createTestLeaders({ 1: nodeId('b') })) =>
  createStore({ domain: ROOT_DOMAIN, self: a.facts, loaded, leaders: leaders.book, preset: 'lan' }, contextAt(0))

/** Gives a store some inputs at some time; what it asked for, also once its writes were done. */
function give(state: StoreState, inputs: readonly StoreInput[], now = 10) {
  const given = giveWithoutDisk(state, inputs, now)
  const written = giveWithoutDisk(given.state, syncedIn(given.effects), now)
  const effects = [...given.effects, ...written.effects]
  return { state: written.state, effects, kinds: effects.map((effect) => effect.kind) }
}

function giveWithoutDisk(state: StoreState, inputs: readonly StoreInput[], now = 10) {
  let next = state
  const effects: StoreEffect[] = []
  for (const input of inputs) {
    const transition = step(next, input, contextAt(now))
    next = transition.state
    effects.push(...transition.effects)
  }
  return { state: next, effects }
}

const syncedIn = (effects: readonly StoreEffect[]): readonly StoreInput[] =>
  effects.flatMap((effect) => (effect.kind === 'persist' ? effect.then : [])).filter((next) => next.kind === 'synced')

const own = (opened: SealedRecord): StoreInput => ({ kind: 'record', opened, from: null })
const gossiped = (opened: SealedRecord, from: NodeId = nodeId('b')): StoreInput => ({ kind: 'record', opened, from })
const said = (node: TestNode, message: RegistryMessage): StoreInput => ({
  kind: 'message',
  opened: node.sealer.seal(message) as Opened<RegistryMessage>,
})
const push = (node: TestNode, record: SealedRecord): StoreInput =>
  said(node, { kind: 'registry/push', domain: ROOT_DOMAIN, record })

const refusalsIn = (effects: readonly StoreEffect[]) =>
  effects.flatMap((effect) => (effect.kind === 'record-refused' ? [effect.code] : []))
const changesIn = (effects: readonly StoreEffect[]) =>
  effects.flatMap((effect) => (effect.kind === 'record-changed' ? [effect.key] : []))

test('a spec of this node is on disk before it is spread, and before anybody here acts on it', () => {
  const record = sealRecord(a, specRecord(START_WALL))
  const { state, effects } = giveWithoutDisk(open(), [own(record)])
  const [persist] = effects
  assert.equal(effects.length, 1)
  assert.equal(persist?.kind, 'persist')
  assert.equal(persist.key, `${storePrefix(ROOT_DOMAIN)}spec/${WEB}/operator-a`)
  assert.deepEqual(persist.value, record.bytes)
  assert.equal(persist.sync, true)
  assert.equal(state.view.spec(WEB), null, 'not before the disk has it')
  assert.deepEqual(digestBytes(state.table.digest), digestBytes(emptyDigest()))

  const kept = give(state, syncedIn(effects))
  assert.deepEqual(kept.effects[0], { kind: 'publish-sealed', domain: '/', topic: 'record', opened: record })
  assert.deepEqual(changesIn(kept.effects), [`spec/${WEB}`])
  assert.equal(kept.state.view.spec(WEB), record)
  assert.equal(kept.state.view.get(`spec/${WEB}`), record)
})

test('of specs that are being written, and one that came meanwhile, the latest counts', () => {
  const [first, second, third] = [1, 2, 3].map((later) => sealRecord(a, specRecord(START_WALL + later)))
  assert.ok(first && second && third)
  const busy = giveWithoutDisk(open(), [own(second)])
  const older = giveWithoutDisk(busy.state, [own(first)])
  assert.deepEqual(refusalsIn(older.effects), ['older'], 'it would be written last')
  const passedBy = give(giveWithoutDisk(busy.state, [gossiped(third, nodeId('a'))]).state, syncedIn(busy.effects))
  assert.deepEqual(passedBy.kinds, [])
  assert.equal(passedBy.state.view.spec(WEB), third)

  const writing = giveWithoutDisk(open(), [own(second)])
  const both = giveWithoutDisk(writing.state, [own(third)])
  const half = give(both.state, syncedIn(writing.effects))
  assert.equal(half.state.view.spec(WEB), null, 'the latest is still to be written')
  assert.equal(give(half.state, syncedIn(both.effects)).state.view.spec(WEB), third)
})

test('an order of this leader is spread without waiting for the disk, a report of this node only after it', () => {
  const leaders = createTestLeaders({})
  leaders.prove(7, nodeId('a'))
  const order = sealRecord(a, placementRecord(7))
  const { effects } = give(open([], leaders), [own(order)])
  const publish = { kind: 'publish-sealed', domain: '/', topic: 'record', opened: order }
  assert.deepEqual(effects[0]?.kind === 'persist' && effects[0].then, [])
  assert.deepEqual(effects[1], publish)
  const pushed = give(open([], leaders), [push(a, order)]).effects[0]
  assert.equal(pushed?.kind === 'persist' && pushed.then.length, 2, 'what another pushed is kept before it is spread')
  const report = give(open([], leaders), [own(sealRecord(a, instanceRecord(1)))]).effects
  assert.deepEqual(
    report.map(({ kind }) => kind),
    ['persist', 'record-changed'],
  )
})

test('what came by gossip is kept and not published again', () => {
  const { effects } = give(open(), [gossiped(sealRecord(b, specRecord(START_WALL)))])
  const [persist] = effects
  assert.equal(persist?.kind === 'persist' && persist.sync, false)
  assert.deepEqual(persist?.kind === 'persist' && persist.then, [])
})

test('a record that is known or older changes nothing, and its author is told that it is older', () => {
  const later = sealRecord(b, specRecord(START_WALL + 2))
  const earlier = sealRecord(b, specRecord(START_WALL + 1))
  const { state } = give(open(), [gossiped(later)])
  assert.deepEqual(give(state, [gossiped(later), gossiped(earlier)]).effects, [])
  assert.deepEqual(refusalsIn(give(state, [own(earlier)]).effects), ['older'])
})

test('a push is acknowledged once it is kept, again when it is repeated, and with the code when it is refused', () => {
  const record = sealRecord(b, specRecord(START_WALL))
  const writing = giveWithoutDisk(open(), [push(b, record)])
  const [persist] = writing.effects
  assert.equal(persist?.kind === 'persist' && persist.sync, true)
  const repeated = giveWithoutDisk(writing.state, [push(b, record)])
  assert.deepEqual(repeated.effects, [], 'not before it is written')
  const first = give(repeated.state, syncedIn(writing.effects))
  assert.deepEqual(first.kinds, ['publish-sealed', 'send', 'send', 'record-changed'])
  const [, answer] = first.effects
  assert.equal(answer?.kind === 'send' && answer.message.kind === 'registry/pushed' && answer.message.refusal, null)
  assert.deepEqual(give(first.state, [push(b, record)]).kinds, ['send'])
  const foreign = give(first.state, [push(c, sealRecord(c, specRecord(START_WALL + 5)))])
  const refusal = foreign.effects.find((effect) => effect.kind === 'send')
  assert.equal(refusal?.message.kind === 'registry/pushed' && refusal.message.refusal, 'not-owner')
  assert.equal(foreign.state.view.spec(WEB), record)
})

test('a placement waits for the proof of its leader, asks for it, and is admitted when it comes', () => {
  const leaders = createTestLeaders({})
  const record = sealRecord(b, placementRecord(7))
  const waiting = give(open([], leaders), [gossiped(record), gossiped(record)])
  const wanted = { kind: 'leader-wanted', domain: '/', fence: { epoch: 1, term: 7 }, from: 'b' }
  assert.deepEqual(waiting.effects, [wanted], 'once for all that wait')
  assert.deepEqual(give(waiting.state, [gossiped(record)], 10 + PROOF_RETRY_MS).effects, [wanted], 'and again later')
  assert.deepEqual(give(waiting.state, [{ kind: 'leaders-changed' }]).effects, [])
  leaders.prove(7, nodeId('b'))
  const proven = give(waiting.state, [{ kind: 'leaders-changed' }])
  assert.deepEqual(changesIn(proven.effects), [`placement/${WEB}#0`])
  assert.equal(proven.state.view.placement(WEB, 0), record)
  assert.equal(proven.state.waiting.size, 0)
})

test('a placement that waited for somebody who turns out not to have led is refused', () => {
  const leaders = createTestLeaders({})
  const waiting = give(open([], leaders), [gossiped(sealRecord(b, placementRecord(7)))])
  leaders.prove(7, nodeId('c'))
  assert.deepEqual(refusalsIn(give(waiting.state, [{ kind: 'leaders-changed' }]).effects), ['not-leader'])
})

test('at the limit of waiting placements the one that waited longest is dropped', () => {
  const record = sealRecord(b, placementRecord(7))
  const numbered = (number: number): SealedRecord => ({
    ...record,
    message: placementRecord(7, { number }),
  })
  let { state } = give(open([], createTestLeaders({})), [])
  for (let number = 0; number <= WAITING_RECORDS_MAX; number++) state = give(state, [gossiped(numbered(number))]).state
  assert.equal(state.waiting.size, WAITING_RECORDS_MAX)
  const numbers = [...state.waiting.values()].map((one) => (one.record as typeof record).message.number)
  assert.deepEqual([numbers[0], numbers.at(-1)], [1, WAITING_RECORDS_MAX])
})

test('a removal holds off older versions for its time, and then is forgotten on disk too', () => {
  const live = sealRecord(b, specRecord(START_WALL + 1))
  const removed = sealRecord(b, specRecord(START_WALL + 2, { spec: null }))
  const { state } = give(open(), [gossiped(live), gossiped(removed)], 10)
  assert.deepEqual(give(state, [gossiped(live)], 20).effects, [])
  assert.equal(wakeAt(state), 10 + TOMBSTONE_KEPT_MS)
  assert.deepEqual(give(state, [{ kind: 'wake' }], 9 + TOMBSTONE_KEPT_MS).effects, [])
  const over = give(state, [{ kind: 'wake' }], 10 + TOMBSTONE_KEPT_MS)
  assert.deepEqual(over.kinds, ['persist', 'record-changed'])
  assert.equal(over.effects[0]?.kind === 'persist' && over.effects[0].value, null)
  assert.equal(over.state.view.spec(WEB), null)
  assert.equal(wakeAt(over.state), null)
})

test('removals that were read from disk go first when they are the older ones', () => {
  const day = 24 * 3_600_000
  const removedAt = (ageDays: number, number: number): SealedRecord =>
    sealRecord(b, specRecord(START_WALL - ageDays * day, { service: serviceNumber(number), spec: null }))
  const state = open([removedAt(1, 1), removedAt(6, 2), removedAt(30, 3)])
  assert.equal(wakeAt(state), 0)
  const { state: later, effects } = give(state, [{ kind: 'wake' }], 1)
  assert.deepEqual(changesIn(effects), [`spec/${serviceNumber(3)}`])
  assert.equal(wakeAt(later), TOMBSTONE_KEPT_MS - 6 * day)
})

test('what the disk held is there at once, without proof, and sets the clock', () => {
  const records = [
    sealRecord(b, specRecord(START_WALL + 7)),
    sealRecord(b, placementRecord(99)),
    sealRecord(b, instanceRecord(1)),
  ]
  const state = open(records, createTestLeaders({}))
  assert.deepEqual(state.clock, { wall: START_WALL + 7, counter: 0 })
  assert.equal(state.view.placement(WEB, 0), records[1])
  assert.deepEqual(state.view.placedOn(BERLIN), [records[1]])
  assert.deepEqual(state.view.instances(WEB), [records[2]])
  assert.deepEqual([...state.view.allInstances()], [records[2]])
  assert.deepEqual([...state.view.specs()], [records[0]])
})

test('a withdrawn or moved placement leaves its child', () => {
  const moved = sealRecord(b, placementRecord(1, { sequence: 2, child: MUNICH }))
  const { state } = give(open(), [gossiped(sealRecord(b, placementRecord(1))), gossiped(moved)])
  assert.deepEqual(state.view.placedOn(BERLIN), [])
  assert.deepEqual(state.view.placedOn(MUNICH), [moved])
  const withdrawn = sealRecord(b, placementRecord(1, { sequence: 3, child: null }))
  const after = give(state, [gossiped(withdrawn)]).state
  assert.deepEqual(after.view.placedOn(MUNICH), [])
  assert.deepEqual(after.view.placements(WEB), [withdrawn])
})

test('a signer at its limit may change what it holds and add nothing', () => {
  const many = Array.from({ length: INSTANCES_PER_SIGNER_MAX }, (_, number) => ({
    ...sealRecord(b, instanceRecord(1, { number: 0 })),
    message: instanceRecord(1, { number }),
    bytes: new Uint8Array([number >> 8, number & 255]),
  }))
  const state = open(many)
  const added = give(state, [gossiped(sealRecord(b, instanceRecord(1, { number: 99_000 })))])
  assert.deepEqual(refusalsIn(added.effects), ['signer-limit'])
  const changed = give(state, [gossiped(sealRecord(b, instanceRecord(2, { number: 5 })))])
  assert.deepEqual(changesIn(changed.effects), [`instance/${WEB}#5/b`])
  assert.deepEqual(refusalsIn(give(state, [gossiped(sealRecord(a, instanceRecord(1)))]).effects), [])
})

test('in a full store deletions make room, the oldest first, and without any a new record is refused', () => {
  const placed = (number: number, child: typeof BERLIN | null): SealedRecord => ({
    ...sealRecord(b, placementRecord(1)),
    message: placementRecord(1, { number, child }),
    bytes: new Uint8Array([number >> 16, number >> 8, number & 255]),
  })
  const live = Array.from({ length: RECORDS_MAX - 1 }, (_, number) => placed(number, BERLIN))
  const withDeletion = open([...live, placed(RECORDS_MAX, null)])
  const spec = sealRecord(b, specRecord(START_WALL))
  const first = give(withDeletion, [gossiped(spec)])
  assert.deepEqual(changesIn(first.effects), [`placement/${WEB}#${RECORDS_MAX}`, `spec/${WEB}`])
  assert.equal(first.state.table.entries.size, RECORDS_MAX)
  const second = give(first.state, [gossiped(sealRecord(b, instanceRecord(1)))])
  assert.deepEqual(refusalsIn(second.effects), ['store-full'])
})

test('a node that was revoked runs nothing, and its operator signs its specs again under the same claim', () => {
  const spec = sealRecord(b, specRecord(START_WALL))
  const { state } = give(open(), [gossiped(spec), gossiped(sealRecord(b, instanceRecord(1)))])
  const forgotten = give(state, [{ kind: 'forget-signer', node: nodeId('b') }])
  assert.deepEqual(changesIn(forgotten.effects), [`instance/${WEB}#0/b`])
  assert.equal(forgotten.state.view.spec(WEB), spec, 'its service goes on')
  assert.deepEqual(digestBytes(forgotten.state.table.digest), digestBytes(emptyDigest()), 'and is not shown')
  const late = give(forgotten.state, [gossiped(sealRecord(b, instanceRecord(2)))])
  assert.deepEqual(refusalsIn(late.effects), ['revoked-signer'])

  const dueAt = wakeAt(forgotten.state) ?? Infinity
  assert.ok(dueAt <= 10 + ADOPT_WITHIN_MS)
  const adopted = give(forgotten.state, [{ kind: 'wake' }], dueAt)
  const [author] = adopted.effects
  assert.ok(author?.kind === 'author' && author.record.kind === 'record/spec')
  assert.deepEqual(author.record.claimed, spec.message.clock)
  assert.deepEqual(author.record.spec, spec.message.spec)
  const signedAgain = sealRecord(a, author.record)
  const after = give(adopted.state, [own(signedAgain)], dueAt)
  assert.equal(after.state.view.spec(WEB), signedAgain)
  assert.deepEqual(give(after.state, [{ kind: 'wake' }], dueAt + 60_000).effects, [])
  assert.equal(wakeAt(give(after.state, [{ kind: 'wake' }], dueAt + 60_000).state), null)
})

test('what another operator or another node of ours signed again is left alone', () => {
  const foreign = sealRecord(c, specRecord(START_WALL))
  const { state } = give(open(), [gossiped(foreign), { kind: 'forget-signer', node: nodeId('c') }])
  assert.equal(wakeAt(state), null)
})

test('a takeover by an earlier claim is told to people', () => {
  const second = sealRecord(c, specRecord(START_WALL + 5))
  const first = sealRecord(b, specRecord(START_WALL + 1))
  const { effects, state } = give(open(), [gossiped(second), gossiped(first)])
  const events = effects.flatMap((effect) => (effect.kind === 'emit' ? [effect.event.name] : []))
  assert.deepEqual(events, ['service-changed-owner'])
  assert.equal(state.view.spec(WEB), first)
  assert.deepEqual(
    changesIn(
      give(state, [gossiped(sealRecord(c, specRecord(START_WALL + 9, { claimed: second.message.clock })))]).effects,
    ),
    [],
  )
})

test('a stranger to the domain is not shown what the store holds', () => {
  const cluster = createStore(
    { domain: BERLIN, self: a.facts, loaded: [], leaders: createTestLeaders({}).book, preset: 'lan' },
    contextAt(0),
  )
  const { state } = give(cluster, [gossiped(sealRecord(b, instanceRecord(1)))])
  const digest: RegistryMessage = {
    kind: 'registry/digest',
    domain: BERLIN,
    buckets: digestBytes(emptyDigest()),
  }
  assert.deepEqual(give(state, [said(c, digest)]).effects, [])
  assert.deepEqual(give(state, [said(b, digest)]).kinds, ['send'])
})

test('a message for another domain is passed over', () => {
  const record = sealRecord(b, specRecord(START_WALL, { domain: MUNICH }))
  assert.deepEqual(give(open(), [said(b, { kind: 'registry/push', domain: MUNICH, record })]).effects, [])
})

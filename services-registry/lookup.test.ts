// Names asked for up the tree, answers kept for a while, and changes told to those who asked.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import { nodeId } from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import {
  ANSWER_GATHER_MS,
  INTEREST_MS,
  INTERESTS_PER_ASKER_MAX,
  LOOKUP_CACHE_MISS_MS,
  LOOKUP_CACHE_MS,
  LOOKUP_DEADLINE_MS,
} from './constants.ts'
import {
  createLookup,
  type LookupEffect,
  type LookupInput,
  type LookupState,
  type Resolved,
  step,
  wakeAt,
} from './lookup.ts'
import type { AnswerMessage, LookupMessage } from './messages.ts'
import type { SealedRecord } from './record.ts'
import {
  BERLIN,
  contextAt,
  createFederation,
  instanceRecord,
  placementRecord,
  ROOT_DOMAIN,
  START_WALL,
  sealRecord,
  serviceNumber,
  specRecord,
  type TestNode,
  WEB,
} from './record-fixtures.ts'
import { createTable, putRecord, viewOf } from './table.ts'

const federation = createFederation()
const asker = federation.addNode('asker', BERLIN)
const leader = federation.addNode('leader', BERLIN)
const root = federation.addNode('root', '/munich' as DomainPath)

const spec = sealRecord(leader, specRecord(START_WALL))
const instance = sealRecord(leader, instanceRecord(1))

/** A node that looks names up; what it holds can be added to. */
function createLooker(node: TestNode) {
  const table = createTable(ROOT_DOMAIN)
  const views = [viewOf(table)]
  const options = { self: { ...node.facts, domain: BERLIN }, stores: () => views }
  let state: LookupState = createLookup(options)
  return {
    node,
    put: (record: SealedRecord) => putRecord(table, record, Infinity),
    give: (input: LookupInput, now: number): readonly LookupEffect[] => {
      const stepped = step(state, input, contextAt(now))
      state = stepped.state
      return stepped.effects
    },
    wakeAt: () => wakeAt(state),
  }
}
type Looker = ReturnType<typeof createLooker>

const resolve = (requestId: number, service = WEB): LookupInput => ({ kind: 'resolve', service, requestId })
const led = (domain: DomainPath, node: NodeId | null): LookupInput => ({ kind: 'leader', domain, node })

/** What one says, as the other hears it. */
const heard = (from: Looker, effects: readonly LookupEffect[]): LookupInput => {
  const [effect] = effects
  assert.ok(effect?.kind === 'send')
  const opened = from.node.sealer.open(from.node.sealer.seal(effect.message).bytes)
  assert.ok(opened.ok)
  return { kind: 'message', opened: opened.value as Opened<LookupMessage | AnswerMessage> }
}
const outcomesIn = (effects: readonly LookupEffect[]): readonly Resolved[] =>
  effects.filter((effect) => effect.kind === 'resolved')
const namesIn = (outcome: Resolved | undefined) => outcome?.records?.map((record) => record.message.kind)

test('what a store of this node knows is answered at once', () => {
  const looker = createLooker(asker)
  looker.put(spec)
  assert.deepEqual(looker.give(resolve(7), 0), [
    { kind: 'resolved', requestId: 7, service: WEB, records: [spec], reason: null, isAbsent: false },
  ])
})

test('the leader of the cluster is asked, and its answer serves all who wait and those who come later', () => {
  const [looker, answerer] = [createLooker(asker), createLooker(leader)]
  for (const record of [spec, instance, sealRecord(leader, placementRecord(1))]) answerer.put(record)
  looker.give(led(BERLIN, nodeId('leader')), 0)
  const asked = looker.give(resolve(1), 0)
  assert.deepEqual(looker.give(resolve(2), 5), [])
  const outcomes = outcomesIn(looker.give(heard(answerer, answerer.give(heard(looker, asked), 6)), 10))
  assert.deepEqual(
    outcomes.map((outcome) => outcome.requestId),
    [1, 2],
  )
  assert.deepEqual(namesIn(outcomes[0]), ['record/spec', 'record/instance', 'record/placement'])
  assert.deepEqual(namesIn(outcomesIn(looker.give(resolve(3), 9 + LOOKUP_CACHE_MS))[0])?.length, 3)
  assert.equal(looker.give(resolve(4), 10 + LOOKUP_CACHE_MS)[0]?.kind, 'send')
})

test('who wants to change a service asks anew, and takes the earlier answer only when nobody can be asked', () => {
  const [looker, answerer] = [createLooker(asker), createLooker(leader)]
  answerer.put(spec)
  looker.give(led(BERLIN, nodeId('leader')), 0)
  looker.give(heard(answerer, answerer.give(heard(looker, looker.give(resolve(1), 0)), 1)), 2)
  assert.equal(looker.give(resolve(2), 3)[0]?.kind, 'resolved')
  const fresh = (requestId: number): LookupInput => ({ kind: 'resolve', service: WEB, requestId, isFresh: true })
  assert.equal(looker.give(fresh(3), 4)[0]?.kind, 'send')
  const late = outcomesIn(looker.give({ kind: 'wake' }, 4 + LOOKUP_DEADLINE_MS))
  assert.deepEqual(namesIn(late[0]), ['record/spec'])
})

test('where the first leader knows nothing or is silent, the next one up the tree is asked', () => {
  for (const isSilent of [true, false]) {
    const [looker, near, far] = [createLooker(asker), createLooker(leader), createLooker(root)]
    far.put(spec)
    looker.give(led(BERLIN, nodeId('leader')), 0)
    looker.give(led(ROOT_DOMAIN, nodeId('root')), 0)
    const first = looker.give(resolve(1), 0)
    assert.equal(looker.wakeAt(), LOOKUP_DEADLINE_MS)
    const second = isSilent
      ? looker.give({ kind: 'wake' }, LOOKUP_DEADLINE_MS)
      : looker.give(heard(near, near.give(heard(looker, first), 1)), 2)
    assert.equal(second[0]?.kind === 'send' && second[0].to, 'root')
    const outcomes = outcomesIn(looker.give(heard(far, far.give(heard(looker, second), 3)), 2_500))
    assert.deepEqual(namesIn(outcomes[0]), ['record/spec'])
    assert.equal(looker.wakeAt(), null)
  }
})

test('an unknown name is believed to be unknown for a moment only', () => {
  const [looker, answerer] = [createLooker(asker), createLooker(leader)]
  looker.give(led(BERLIN, nodeId('leader')), 0)
  const answer = answerer.give(heard(looker, looker.give(resolve(1), 0)), 1)
  const [outcome] = outcomesIn(looker.give(heard(answerer, answer), 2))
  assert.equal(outcome?.records, null)
  assert.match(outcome?.reason ?? '', /no service shop\.prod\.web\.prod is known/)
  assert.equal(looker.give(resolve(2), 1 + LOOKUP_CACHE_MISS_MS)[0]?.kind, 'resolved')
  assert.equal(looker.give(resolve(3), 2 + LOOKUP_CACHE_MISS_MS)[0]?.kind, 'send')
})

test('with nobody to ask the reason is said, and an old answer is better than none', () => {
  const [looker, answerer] = [createLooker(asker), createLooker(leader)]
  assert.match(outcomesIn(looker.give(resolve(1), 0))[0]?.reason ?? '', /no leader of \/berlin is known yet/)
  answerer.put(spec)
  looker.give(led(BERLIN, nodeId('leader')), 0)
  looker.give(heard(answerer, answerer.give(heard(looker, looker.give(resolve(2), 0)), 1)), 0)
  const later = 2 * LOOKUP_CACHE_MS
  looker.give(resolve(3), later)
  const [stale] = outcomesIn(looker.give({ kind: 'wake' }, later + LOOKUP_DEADLINE_MS))
  assert.deepEqual(namesIn(stale), ['record/spec'])
  assert.match(stale?.reason ?? '', /known 122 s ago/)
  looker.give(resolve(4, serviceNumber(1)), later)
  const [none] = outcomesIn(looker.give({ kind: 'wake' }, later + 2 * LOOKUP_DEADLINE_MS))
  assert.match(none?.reason ?? '', /no leader up the tree answered/)
})

test('who asked is told of changes, gathered for a moment, until some time after it asked last', () => {
  const [looker, answerer] = [createLooker(asker), createLooker(leader)]
  answerer.put(spec)
  looker.give(led(BERLIN, nodeId('leader')), 0)
  looker.give(heard(answerer, answerer.give(heard(looker, looker.give(resolve(1), 0)), 0)), 0)
  answerer.put(instance)
  answerer.give({ kind: 'record-changed', service: WEB }, 100)
  answerer.give({ kind: 'record-changed', service: WEB }, 120)
  assert.equal(answerer.wakeAt(), 100 + ANSWER_GATHER_MS)
  const told = answerer.give({ kind: 'wake' }, 100 + ANSWER_GATHER_MS)
  assert.equal(told.length, 1)
  looker.give(heard(answerer, told), 200)
  assert.deepEqual(namesIn(outcomesIn(looker.give(resolve(2), 300))[0]), ['record/spec', 'record/instance'])
  answerer.give({ kind: 'record-changed', service: WEB }, INTEREST_MS)
  assert.equal(answerer.wakeAt(), null)
})

test('that an instance takes calls is told at once, and what follows within a moment is gathered', () => {
  const [looker, answerer] = [createLooker(asker), createLooker(leader)]
  answerer.put(spec)
  looker.give(led(BERLIN, nodeId('leader')), 0)
  looker.give(heard(answerer, answerer.give(heard(looker, looker.give(resolve(1), 0)), 0)), 0)
  const changed = (isUrgent: boolean): LookupInput => ({ kind: 'record-changed', service: WEB, isUrgent })
  assert.deepEqual(answerer.give(changed(false), 100), [])
  answerer.put(instance)
  const told = answerer.give(changed(true), 110)
  assert.equal(told.length, 1)
  looker.give(heard(answerer, told), 112)
  assert.deepEqual(namesIn(outcomesIn(looker.give(resolve(2), 113))[0]), ['record/spec', 'record/instance'])
  assert.equal(answerer.wakeAt(), null, 'what was gathered before went with it')
  for (let more = 0; more < 100; more++) assert.deepEqual(answerer.give(changed(true), 120), [])
  assert.equal(answerer.wakeAt(), 120 + ANSWER_GATHER_MS)
  assert.equal(answerer.give({ kind: 'wake' }, 120 + ANSWER_GATHER_MS).length, 1)
  assert.equal(answerer.give(changed(true), 121 + ANSWER_GATHER_MS).length, 1)
})

test('an older answer that arrives later does not bring an older version back', () => {
  const [looker, answerer] = [createLooker(asker), createLooker(leader)]
  answerer.put(spec)
  looker.give(led(BERLIN, nodeId('leader')), 0)
  const early = answerer.give(heard(looker, looker.give(resolve(1), 0)), 0)
  const changed = sealRecord(leader, specRecord(START_WALL + 5))
  looker.give(heard(answerer, early), 1)
  answerer.put(changed)
  answerer.give({ kind: 'record-changed', service: WEB }, 1)
  looker.give(heard(answerer, answerer.give({ kind: 'wake' }, 100)), 101)
  looker.give(heard(answerer, early), 102)
  assert.deepEqual(outcomesIn(looker.give(resolve(2), 103))[0]?.records, [changed])
})

test('an answer that nobody asked for, of another or with words that its signer may not say, changes nothing', () => {
  const looker = createLooker(asker)
  looker.give(led(BERLIN, nodeId('leader')), 0)
  looker.give(resolve(1), 0)
  const unable = federation.addNode('unable', BERLIN, { capabilities: [] })
  const answer = (records: readonly SealedRecord[]): AnswerMessage => ({
    kind: 'registry/answer',
    domain: BERLIN,
    service: WEB,
    requestId: 1,
    records,
    found: true,
  })
  const from = (node: TestNode, records: readonly SealedRecord[]): LookupInput => ({
    kind: 'message',
    opened: node.sealer.seal(answer(records)) as Opened<AnswerMessage>,
  })
  assert.deepEqual(looker.give(from(root, [spec]), 1), [])
  const forged = [sealRecord(unable, specRecord(START_WALL + 9)), sealRecord(unable, instanceRecord(1)), spec]
  const other = sealRecord(leader, specRecord(START_WALL, { service: serviceNumber(3) }))
  assert.deepEqual(outcomesIn(looker.give(from(leader, [...forged, other]), 2))[0]?.records, [spec])
})

test('one asker cannot fill the memory of who asked', () => {
  const answerer = createLooker(leader)
  for (let number = 0; number <= INTERESTS_PER_ASKER_MAX; number++) {
    const message: LookupMessage = {
      kind: 'registry/lookup',
      domain: BERLIN,
      service: serviceNumber(number),
      requestId: number,
    }
    answerer.give({ kind: 'message', opened: asker.sealer.seal(message) as Opened<LookupMessage> }, 0)
  }
  answerer.give({ kind: 'record-changed', service: serviceNumber(INTERESTS_PER_ASKER_MAX) }, 1)
  assert.equal(answerer.wakeAt(), null)
  answerer.give({ kind: 'record-changed', service: serviceNumber(0) }, 1)
  assert.notEqual(answerer.wakeAt(), null)
})

test('an answer about a service with more instances than fit names those that run first', () => {
  const [looker, answerer] = [createLooker(asker), createLooker(leader)]
  answerer.put(spec)
  for (let number = 0; number < 300; number++) {
    const state = number >= 290 ? 'running' : 'starting'
    answerer.put(sealRecord(leader, instanceRecord(1, { number, state })))
  }
  looker.give(led(BERLIN, nodeId('leader')), 0)
  const answer = answerer.give(heard(looker, looker.give(resolve(1), 0)), 1)
  const [outcome] = outcomesIn(looker.give(heard(answerer, answer), 2))
  const states = outcome?.records?.slice(1, 11).map((record) => 'state' in record.message && record.message.state)
  assert.deepEqual(new Set(states), new Set(['running']))
  assert.ok((outcome?.records?.length ?? 0) < 300)
})

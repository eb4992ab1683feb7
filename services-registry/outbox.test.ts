// Handing records on to stores held elsewhere, until somebody has them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeId } from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { OUTBOX_RECORDS_MAX, PUSH_RETRY_MS_MAX, PUSH_RETRY_MS_MIN } from './constants.ts'
import { hashBytes, packHashes } from './digest.ts'
import type { PushedMessage } from './messages.ts'
import {
  createOutbox,
  OUTBOX_PREFIX,
  type OutboxEffect,
  type OutboxInput,
  type OutboxState,
  step,
  wakeAt,
} from './outbox.ts'
import type { SealedRecord } from './record.ts'
import {
  BERLIN,
  contextAt,
  createFederation,
  instanceRecord,
  MUNICH,
  ROOT_DOMAIN,
  START_WALL,
  sealRecord,
  serviceNumber,
  specRecord,
  type TestNode,
  WEB,
} from './record-fixtures.ts'
import { keyOf } from './table.ts'

const federation = createFederation()
const self = federation.addNode('self', BERLIN)
const first = federation.addNode('first', MUNICH)
const second = federation.addNode('second', MUNICH)
const record = sealRecord(self, specRecord(START_WALL))

function give(state: OutboxState, inputs: readonly OutboxInput[], now = 0) {
  const effects: OutboxEffect[] = []
  let next = state
  for (const input of inputs) {
    const stepped = step(next, input, contextAt(now))
    next = stepped.state
    effects.push(...stepped.effects)
  }
  return { state: next, effects: flat(effects) }
}
const flat = (effects: readonly OutboxEffect[]): readonly OutboxEffect[] =>
  effects.flatMap((effect) => (effect.kind === 'persist' ? [effect, ...flat(effect.then)] : [effect]))

const holders: OutboxInput = { kind: 'holders', domain: ROOT_DOMAIN, nodes: [nodeId('first'), nodeId('second')] }
const submit = (opened: SealedRecord): OutboxInput => ({ kind: 'submit', domain: ROOT_DOMAIN, opened })
const pushed = (from: TestNode, refusal: string | null, about: SealedRecord = record): OutboxInput => {
  const mark = packHashes([hashBytes(about.bytes)])
  const message: PushedMessage = { kind: 'registry/pushed', domain: ROOT_DOMAIN, key: keyOf(about), mark, refusal }
  return { kind: 'message', opened: from.sealer.seal(message) as Opened<PushedMessage> }
}
const askedIn = (effects: readonly OutboxEffect[]) =>
  effects.flatMap((effect) => (effect.kind === 'send' ? [effect.to as string] : []))
const outcomesIn = (effects: readonly OutboxEffect[]) =>
  effects.flatMap((effect) => (effect.kind === 'submitted' ? [effect.refusal] : []))

test('a spec is on disk before it is said, and stays there until a holder took it in', () => {
  const { state, effects } = give(createOutbox([]), [holders, submit(record)])
  assert.deepEqual(
    effects.map((effect) => effect.kind),
    ['persist', 'send'],
  )
  const [persist] = effects
  const key = `${OUTBOX_PREFIX}///spec/${WEB}/operator-a`
  assert.deepEqual(persist?.kind === 'persist' && [persist.key, persist.sync], [key, true])
  const taken = give(state, [pushed(first, null)])
  assert.deepEqual(outcomesIn(taken.effects), [null])
  assert.equal(taken.effects[0]?.kind === 'persist' && taken.effects[0].value, null)
  assert.equal(wakeAt(taken.state), null)
})

test('without an answer the next holder is asked, with growing pauses', () => {
  let { state } = give(createOutbox([]), [holders, submit(record)])
  const asked: string[] = []
  const pauses: number[] = []
  let now = 0
  for (let times = 0; times < 8; times++) {
    const dueAt = wakeAt(state) ?? Infinity
    pauses.push(dueAt - now)
    now = dueAt
    const woken = give(state, [{ kind: 'wake' }], now)
    state = woken.state
    asked.push(...askedIn(woken.effects))
  }
  assert.deepEqual(asked.slice(0, 3), ['second', 'first', 'second'])
  assert.deepEqual(pauses.slice(0, 3), [PUSH_RETRY_MS_MIN, PUSH_RETRY_MS_MIN * 2, PUSH_RETRY_MS_MIN * 4])
  assert.equal(pauses.at(-1), PUSH_RETRY_MS_MAX)
})

test('with no holder known it waits, and is said when one is, also after a restart', () => {
  const kept = give(createOutbox([]), [submit(record)])
  assert.deepEqual(askedIn(kept.effects), [])
  assert.equal(wakeAt(kept.state), null)
  assert.deepEqual(askedIn(give(kept.state, [holders]).effects), ['first'])
  assert.deepEqual(askedIn(give(createOutbox([record]), [holders]).effects), ['first'])
  assert.deepEqual(askedIn(give(createOutbox([record]), [holders, holders]).effects), ['first'])
})

test('a refusal ends it, one that may pass does not, and only who was asked counts', () => {
  const { state } = give(createOutbox([]), [holders, submit(record)])
  assert.deepEqual(give(state, [pushed(second, null)]).effects, [])
  assert.deepEqual(give(state, [pushed(first, 'wait')]).effects, [])
  assert.deepEqual(outcomesIn(give(state, [pushed(first, 'not-owner')]).effects), ['not-owner'])
})

test('a later version takes the place of an earlier one, whose answer no longer counts', () => {
  const later = sealRecord(self, specRecord(START_WALL + 1))
  const { state, effects } = give(createOutbox([]), [holders, submit(record), submit(later), submit(record)])
  assert.equal(askedIn(effects).length, 2)
  assert.deepEqual(give(state, [pushed(first, null, record)]).effects, [])
  assert.deepEqual(outcomesIn(give(state, [pushed(first, null, later)]).effects), [null])
})

test('a full outbox says so', () => {
  let { state } = give(createOutbox([]), [holders])
  for (let number = 0; number < OUTBOX_RECORDS_MAX; number++) {
    const message = instanceRecord(1, { service: serviceNumber(number) })
    state = give(state, [submit({ ...record, message })]).state
  }
  assert.deepEqual(outcomesIn(give(state, [submit(record)]).effects), ['outbox-full'])
})

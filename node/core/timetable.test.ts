// When the parts of a node are asked anew what they want, and when what they said still holds.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concernedBy, createTimetable } from './timetable.ts'

function setUp() {
  const state = { dueAt: 10 as number | null, asked: 0, revision: 0, members: new Map<string, unknown>() }
  const part = {
    wakeAt: () => {
      state.asked += 1
      return state.dueAt
    },
  }
  const later = { wakeAt: () => 50 }
  const book = { revision: () => state.revision }
  const parts = { placing: [later], others: [part] }
  return { state, timetable: createTimetable(parts, book as never, () => state.members as never) }
}

test('parts that nothing was told are asked once', () => {
  const { state, timetable } = setUp()
  assert.deepEqual([timetable.at(), timetable.at(), state.asked], [10, 10, 1])
})

test('a part that was told something is asked again', () => {
  const { state, timetable } = setUp()
  timetable.at()
  state.dueAt = null
  timetable.touch('all')
  assert.deepEqual([timetable.at(), state.asked], [50, 2])
})

test('what placing was told the others are not asked about', () => {
  const { state, timetable } = setUp()
  timetable.at()
  timetable.touch('placing')
  assert.deepEqual([timetable.at(), state.asked], [10, 1])
})

test('another leader and another number of members are asked about, whoever was told of them', () => {
  const { state, timetable } = setUp()
  timetable.at()
  state.revision += 1
  timetable.at()
  state.members.set('a', {})
  timetable.at()
  assert.equal(state.asked, 3)
})

test('what is said of records concerns all parts, what devices have those that place, and talk of seats none', () => {
  const said = (kind: string) => concernedBy({ kind: 'message', opened: { message: { kind } } } as never)
  const [nobody, placing, all] = [
    ['election/heartbeat', 'membership/probe'],
    ['placement/summary', 'placement/aggregate'],
    ['record/spec', 'registry/digest', 'placement/ask', 'node/where'],
  ]
  assert.deepEqual(nobody?.map(said), ['nobody', 'nobody'])
  assert.deepEqual(placing?.map(said), ['placing', 'placing'])
  assert.deepEqual(all?.map(said), ['all', 'all', 'all', 'all'])
  assert.equal(concernedBy({ kind: 'hand-over' } as never), 'all')
})

test('a timetable that was not told of what a part was told is found out', () => {
  const { state, timetable } = setUp()
  timetable.at()
  assert.equal(timetable.isTrue(), true)
  state.dueAt = 5
  assert.equal(timetable.isTrue(), false)
  timetable.touch('all')
  assert.equal(timetable.isTrue(), true)
})

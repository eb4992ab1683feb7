// Who hears an announcement: its domain always, everybody below the parent only what is new.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Announcement } from '../../election/index.ts'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { createAnnouncer, RETOLD_EVERY } from './announcing.ts'
import { factsOf } from './world.test-kit.ts'

const { node } = factsOf('a1', '/a')
const announcement = (sequence: number, changes: Partial<Announcement> = {}): Announcement => ({
  kind: 'election/announcement',
  domain: '/a' as DomainPath,
  line: 'line',
  epoch: 1,
  term: 1,
  leader: node,
  electors: [node],
  predecessor: null,
  votes: [],
  grants: [],
  established: true,
  sequence,
  node,
  name: 'a1',
  addresses: [],
  fitness: 1,
  ...changes,
})
const shown = (topics: ReturnType<ReturnType<typeof createAnnouncer>>): readonly string[] =>
  topics.map(({ domain, topic }) => `${domain} ${topic}`)

test('a leader that goes on leading is a sign of life for its domain and for who deals with its siblings', () => {
  const topicsFor = createAnnouncer()
  assert.deepEqual(shown(topicsFor(announcement(1))), ['/a leader', '/ leader'])
  for (let sequence = 2; sequence <= RETOLD_EVERY; sequence++) {
    assert.deepEqual(shown(topicsFor(announcement(sequence))), ['/a leader', '/ summary'])
  }
  assert.deepEqual(shown(topicsFor(announcement(RETOLD_EVERY + 1))), ['/a leader', '/ leader'])
  assert.deepEqual(shown(topicsFor(announcement(RETOLD_EVERY + 2))), ['/a leader', '/ summary'])
})

test('everybody hears at once of another term, other electors, other addresses and another line', () => {
  for (const changes of [
    { term: 2 },
    { epoch: 2 },
    { electors: [] },
    { addresses: ['/ip4/192.0.2.1'] },
    { line: 'b' },
  ]) {
    const topicsFor = createAnnouncer()
    topicsFor(announcement(1))
    assert.deepEqual(shown(topicsFor(announcement(2, changes))), ['/a leader', '/ leader'])
    assert.deepEqual(shown(topicsFor(announcement(3, changes))), ['/a leader', '/ summary'])
  }
})

test('the root has nobody above it', () => {
  assert.deepEqual(shown(createAnnouncer()(announcement(1, { domain: '/' as DomainPath }))), ['/ leader'])
})

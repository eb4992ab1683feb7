// Who hears an announcement: its domain always, everybody below the parent only what is new.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Announcement, createLeaderBook, ELECTION_TIMINGS, type LeaderBookView } from '../../election/index.ts'
import type { DomainPath, NodeId } from '../../overlay/kernel/ids.ts'
import type { Opened } from '../../overlay/wire/envelope.ts'
import { type Announcer, createAnnouncer, RETOLD_EVERY, retoldEvery } from './announcing.ts'
import type { CoreEffect } from './effects.ts'
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
const { lan, wan, metered } = ELECTION_TIMINGS
const announcerWith = (book: LeaderBookView): Announcer => createAnnouncer(node, book, lan)
const sealed = (message: Announcement) => ({ message, from: node }) as Opened<Announcement>
const receivers = (effects: readonly CoreEffect[]) =>
  effects.flatMap((effect) => (effect.kind === 'send' ? [effect.to] : []))
const shown = (topics: ReturnType<Announcer['topicsFor']>): readonly string[] =>
  topics.map(({ domain, topic }) => `${domain} ${topic}`)

test('where nobody knows who votes above, whoever deals with the siblings hears the signs of life', () => {
  const { topicsFor } = announcerWith(createLeaderBook())
  assert.deepEqual(shown(topicsFor(announcement(1))), ['/a leader', '/ leader'])
  for (let sequence = 2; sequence <= RETOLD_EVERY; sequence++) {
    assert.deepEqual(shown(topicsFor(announcement(sequence))), ['/a leader', '/ summary'])
  }
  assert.deepEqual(shown(topicsFor(announcement(RETOLD_EVERY + 1))), ['/a leader', '/ leader'])
  assert.deepEqual(shown(topicsFor(announcement(RETOLD_EVERY + 2))), ['/a leader', '/ summary'])
})

test('everybody hears at once of another term, other addresses and another line', () => {
  for (const changes of [{ term: 2 }, { epoch: 2 }, { addresses: ['/ip4/192.0.2.1'] }, { line: 'b' }]) {
    const { topicsFor } = announcerWith(createLeaderBook())
    topicsFor(announcement(1))
    assert.deepEqual(shown(topicsFor(announcement(2, changes))), ['/a leader', '/ leader'])
    assert.deepEqual(shown(topicsFor(announcement(3, changes))), ['/a leader', '/ summary'])
  }
})

test('the root has nobody above it', () => {
  assert.deepEqual(shown(announcerWith(createLeaderBook()).topicsFor(announcement(1, { domain: '/' as DomainPath }))), [
    '/ leader',
  ])
})

/** A book in which the root has these electors, each spoken for by a node. */
function bookWith(speakers: Readonly<Record<string, NodeId>>): LeaderBookView {
  const root = announcement(1, { domain: '/' as DomainPath, electors: Object.keys(speakers) as DomainPath[] })
  return {
    ...createLeaderBook(),
    leaderOf: (domain) =>
      domain === '/' ? { announcement: root, opened: null as never, heardAt: 0, spokenAt: 0 } : null,
    nodeOf: (child) => speakers[child] ?? null,
    domains: () => ['/' as DomainPath, ...(Object.keys(speakers) as DomainPath[])],
  }
}

test('who votes above is handed the signs of life, and nobody what everybody is told', () => {
  const [b1, c1] = [factsOf('b1', '/b').node, factsOf('c1', '/c').node]
  const { topicsFor, handed } = announcerWith(bookWith({ '/a': node, '/b': b1, '/c': c1 }))
  assert.deepEqual(shown(topicsFor(announcement(1))), ['/a leader', '/ leader'])
  assert.deepEqual(receivers(handed(sealed(announcement(1)))), [])
  assert.deepEqual(shown(topicsFor(announcement(2))), ['/a leader'])
  assert.deepEqual(receivers(handed(sealed(announcement(2)))), [b1, c1])
  assert.deepEqual(shown(topicsFor(announcement(3, { term: 2 }))), ['/a leader', '/ leader'])
  assert.deepEqual(receivers(handed(sealed(announcement(3, { term: 2 })))), [])
})

test('of many children each is told again less often, and still while it is believed', () => {
  for (const timing of [lan, wan, metered]) {
    assert.equal(retoldEvery(1, timing), RETOLD_EVERY)
    const most = retoldEvery(10_000, timing)
    assert.ok(most === RETOLD_EVERY || (most + 1) * timing.announceMs <= timing.quorumLossMs.above, `${most}`)
  }
  assert.equal(retoldEvery(50, lan), 15)
})

test('everybody hears of electors once no more of them came, and of a leader once it may give orders', () => {
  const { topicsFor } = announcerWith(createLeaderBook())
  assert.deepEqual(shown(topicsFor(announcement(1, { established: false }))), ['/a leader', '/ summary'])
  assert.deepEqual(shown(topicsFor(announcement(2))), ['/a leader', '/ leader'])
  const [two, three] = [{ electors: [node, factsOf('a2', '/a').node] }, { electors: [] }]
  assert.deepEqual(shown(topicsFor(announcement(3, two))), ['/a leader', '/ summary'])
  assert.deepEqual(shown(topicsFor(announcement(4, three))), ['/a leader', '/ summary'])
  assert.deepEqual(shown(topicsFor(announcement(5, three))), ['/a leader', '/ leader'])
})

// When a newcomer may take its seat: by whose word, and how long it waits for one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LeaderBookView } from '../../election/index.ts'
import type { DomainPath, NodeId } from '../../overlay/kernel/ids.ts'
import { createArrival } from './arrival.ts'

const cluster = '/eu/berlin' as DomainPath
const [host, regional, highest] = ['host', 'regional', 'highest'] as readonly string[] as readonly NodeId[]
const PATIENCE_MS = 60_000

/** A book of nothing but who leads which domain. */
function bookOf(leaders: Readonly<Record<string, NodeId | undefined>>): LeaderBookView {
  const leaderOf = (domain: DomainPath) => {
    const node = leaders[domain]
    return node === undefined ? null : { announcement: { node } }
  }
  return { leaderOf } as unknown as LeaderBookView
}

test('a newcomer has arrived as soon as its cluster has a leader, whoever spoke', () => {
  const leaders: Record<string, NodeId | undefined> = {}
  const arrival = createArrival(bookOf(leaders), cluster, PATIENCE_MS)
  assert.equal(arrival.isOver(0), false)
  leaders[cluster] = host
  assert.equal(arrival.isOver(0), true)
})

test('it waits until the leader of the nearest domain above that is led has spoken', () => {
  const leaders: Record<string, NodeId | undefined> = { '/': highest }
  const arrival = createArrival(bookOf(leaders), cluster, PATIENCE_MS)
  arrival.onHeard(host as NodeId, 0)
  assert.equal(arrival.isOver(PATIENCE_MS - 1), false)
  arrival.onHeard(highest as NodeId, 0)
  assert.equal(arrival.isOver(1), true)
  leaders['/eu'] = regional
  assert.equal(arrival.isOver(1), false, 'who leads above /eu need not know of /eu/berlin')
  arrival.onHeard(regional as NodeId, 0)
  assert.equal(arrival.isOver(1), true)
})

test('what was said before the connection closed may be old', () => {
  const arrival = createArrival(bookOf({ '/': highest }), cluster, PATIENCE_MS)
  arrival.onHeard(highest as NodeId, 0)
  arrival.onClosed(highest as NodeId)
  assert.equal(arrival.isOver(1), false)
})

test('with members who know no leader it gives up after its patience, and without anybody never', () => {
  const arrival = createArrival(bookOf({}), cluster, PATIENCE_MS)
  assert.equal(arrival.wakeAt(), null)
  assert.equal(arrival.isOver(10 * PATIENCE_MS), false)
  arrival.onHeard(host as NodeId, 1_000)
  assert.equal(arrival.wakeAt(), 1_000 + PATIENCE_MS)
  assert.equal(arrival.isOver(999 + PATIENCE_MS), false)
  assert.equal(arrival.isOver(1_000 + PATIENCE_MS), true)
})

test('what others handed on shows that somebody is there, and nothing of what the leader knows', () => {
  const arrival = createArrival(bookOf({ '/': highest }), cluster, PATIENCE_MS)
  arrival.onHeard(null, 1_000)
  assert.equal(arrival.wakeAt(), 1_000 + PATIENCE_MS)
  assert.equal(arrival.isOver(999 + PATIENCE_MS), false)
  assert.equal(arrival.isOver(1_000 + PATIENCE_MS), true)
})

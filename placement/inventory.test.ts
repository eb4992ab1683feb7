// What children say of themselves: who may say it, which word counts, and what a domain makes of it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type DomainPath, nodeId, ROOT } from '../overlay/kernel/ids.ts'
import type { LeaderBook } from '../services-registry/leaders.ts'
import { AGGREGATE_LABELS_MAX, INVENTORY_CHILDREN_MAX } from './constants.ts'
import { createInventory, forgetChild, noteAggregate, noteSummary } from './inventory.ts'
import { NOTHING } from './need.ts'
import { factsOf, openedBy, summaryOf } from './placement-fixtures.ts'
import {
  aggregateChangedEnough,
  changedEnough,
  foldAggregate,
  foldAggregates,
  type NodeSummary,
  publishAt,
} from './summary.ts'

const A = '/a' as DomainPath
const LEADERS: LeaderBook = { leaderAt: (_, fence) => nodeId(fence.term === 1 ? 'a1' : 'a2') }

const said = (
  from: string,
  changes: { child?: string; incarnation?: number; sequence?: number; domain?: DomainPath } = {},
) => {
  const { child = from, incarnation = 1, sequence = 1, domain = A } = changes
  const summary = summaryOf(from)
  const message = { kind: 'placement/summary' as const, domain, child: nodeId(child), incarnation, sequence, summary }
  return openedBy(factsOf(from, domain), message)
}

const folded = (from: string, term: number, sequence: number, child: DomainPath = A) => {
  const aggregate = foldAggregate([summaryOf('x')], child)
  const message = {
    kind: 'placement/aggregate' as const,
    domain: ROOT,
    child,
    fence: { epoch: 1, term },
    sequence,
    aggregate,
  }
  return openedBy(factsOf(from, A), message)
}

test('a node speaks for itself only, and in its own cluster', () => {
  const inventory = createInventory(A)
  assert.equal(noteSummary(inventory, said('a1'), 0), 'noted')
  assert.equal(noteSummary(inventory, said('a1', { child: 'a2' }), 0), 'not-its-own')
  assert.equal(noteSummary(inventory, said('b1', { domain: '/b' as DomainPath }), 0), 'not-its-own')
})

test('the later word counts: by incarnation, then sequence', () => {
  const inventory = createInventory(A)
  assert.equal(noteSummary(inventory, said('a1', { sequence: 5 }), 10), 'noted')
  assert.equal(noteSummary(inventory, said('a1', { sequence: 4 }), 20), 'older')
  assert.equal(noteSummary(inventory, said('a1', { incarnation: 2, sequence: 1 }), 30), 'noted')
  assert.equal(inventory.rows.get(nodeId('a1'))?.arrivedAt, 30)
})

test('a domain is spoken for by its proven leader, and a newer leader replaces an older one', () => {
  const inventory = createInventory(ROOT)
  assert.equal(noteAggregate(inventory, folded('a1', 1, 9), LEADERS, 0), 'noted')
  assert.equal(noteAggregate(inventory, folded('a2', 1, 10), LEADERS, 0), 'unproven')
  assert.equal(noteAggregate(inventory, folded('a2', 2, 1), LEADERS, 0), 'noted')
  assert.equal(noteAggregate(inventory, folded('a1', 1, 11), LEADERS, 0), 'older')
  assert.equal(noteAggregate(inventory, folded('a1', 1, 1, '/b' as DomainPath), LEADERS, 0), 'not-its-own')
})

test('an inventory has a limit', () => {
  const inventory = createInventory(A)
  for (let number = 0; number < INVENTORY_CHILDREN_MAX; number++) noteSummary(inventory, said(`n${number}`), 0)
  assert.equal(noteSummary(inventory, said('one-more'), 0), 'full')
  assert.equal(noteSummary(inventory, said('n1', { sequence: 2 }), 0), 'noted')
  forgetChild(inventory, nodeId('n1'))
  assert.equal(noteSummary(inventory, said('one-more'), 0), 'noted')
})

test('an aggregate has the totals, the largest slot per runtime and architecture, and the labels', () => {
  const reserved = { ...NOTHING, vcpus: 3, memoryMb: 1_000 }
  const aggregate = foldAggregate(
    [
      summaryOf('1', { labels: { zone: 'eu' }, reserved }),
      summaryOf('2', { cores: 2, labels: { zone: 'eu', tier: 'edge' }, pressure: 1 }),
      summaryOf('3', { architecture: 'x64', pressure: 2 }),
    ],
    A,
  )
  assert.equal(aggregate.nodes, 3)
  assert.equal(aggregate.pressed, 2)
  assert.equal(aggregate.tainted, 1)
  assert.equal(aggregate.total.vcpus, 10)
  assert.deepEqual(aggregate.labels, ['tier=edge', 'zone=eu'])
  assert.deepEqual(
    aggregate.slots.map(({ architecture, free }) => [architecture, free.vcpus, free.memoryMb]),
    [
      ['arm64', 2, 3_600],
      ['x64', 0, 0],
    ],
  )
})

test('folding in two levels is folding at once', () => {
  const summary = fc.record({
    cores: fc.nat(64),
    zone: fc.constantFrom('a', 'b', 'c'),
    architecture: fc.constantFrom('x64', 'arm64'),
  })
  const make = ({ cores, zone, architecture }: { cores: number; zone: string; architecture: string }): NodeSummary =>
    summaryOf('x', { cores, architecture, labels: { zone } })
  fc.assert(
    fc.property(fc.array(summary, { minLength: 1 }), fc.nat(), (all, cut) => {
      const summaries = all.map(make)
      const at = cut % summaries.length
      const halves = foldAggregates([foldAggregate(summaries.slice(0, at), A), foldAggregate(summaries.slice(at), A)])
      const whole = foldAggregate(summaries, A)
      const sorted = (aggregate: typeof whole) => ({
        ...aggregate,
        slots: [...aggregate.slots].sort((a, b) => (a.architecture < b.architecture ? -1 : 1)),
      })
      assert.deepEqual(sorted(halves), sorted(whole))
    }),
    { seed: 20261121, numRuns: 200 },
  )
})

test('too many labels are cut, and the aggregate says so', () => {
  const summaries = Array.from({ length: AGGREGATE_LABELS_MAX + 1 }, (_, index) =>
    summaryOf('x', { labels: { n: `${index}` } }),
  )
  const aggregate = foldAggregate(summaries, A)
  assert.equal(aggregate.labels.length, AGGREGATE_LABELS_MAX)
  assert.ok(aggregate.labelsCut)
})

test('more than 5 % of something is news, and so is any change of state', () => {
  const before = summaryOf('x', { cpuUsed: 0.5 })
  const isNews = (changes: Partial<NodeSummary>): boolean => changedEnough(before, { ...before, ...changes })
  assert.equal(isNews({}), false)
  assert.equal(isNews({ cpuUsed: 0.54 }), false)
  assert.equal(isNews({ cpuUsed: 0.56 }), true)
  assert.equal(isNews({ memoryMb: { total: 4_000, free: 2_850 } }), false)
  assert.equal(isNews({ memoryMb: { total: 4_000, free: 2_750 } }), true)
  assert.equal(isNews({ pressure: 1 }), true)
  assert.equal(isNews({ labels: { a: 'b' } }), true)
  assert.equal(isNews({ runtimes: [] }), true)
  assert.equal(isNews({ temperatureC: 50 }), true, 'a sensor that appeared')
  assert.equal(isNews({ reserved: { ...NOTHING, vcpus: 0.1, memoryMb: 0 } }), false)
  assert.equal(isNews({ reserved: { ...NOTHING, vcpus: 1, memoryMb: 0 } }), true)
})

test('an aggregate is news when a slot or a fact of it moved', () => {
  const before = foldAggregate([summaryOf('1')], A)
  assert.equal(aggregateChangedEnough(before, foldAggregate([summaryOf('1')], A)), false)
  assert.equal(aggregateChangedEnough(before, foldAggregate([summaryOf('1', { cores: 8 })], A)), true)
  assert.equal(aggregateChangedEnough(before, foldAggregate([summaryOf('1'), summaryOf('2')], A)), true)
})

test('news is published at the fastest pace, and no news at the slowest', () => {
  assert.equal(publishAt(null, false, 5, 1_000, 30_000), 5)
  assert.equal(publishAt(100, true, 5_000, 1_000, 30_000), 1_100)
  assert.equal(publishAt(100, false, 5_000, 1_000, 30_000), 30_100)
})

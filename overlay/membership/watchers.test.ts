// The rings give everybody enough watchers, spread the duty, and change little when somebody comes or goes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type NodeId, nodeId } from '../kernel/ids.ts'
import { WATCHERS_PER_NODE } from './constants.ts'
import { buildRings, updateRings, watchedIn, watchersIn } from './watchers.ts'

const nodes = (count: number): readonly NodeId[] =>
  Array.from({ length: count }, (_, index) => nodeId(`12D3KooW${index}`))

test('with up to five nodes everybody watches everybody', () => {
  for (let count = 1; count <= 5; count++) {
    const all = nodes(count)
    const rings = buildRings(all)
    for (const subject of all) {
      assert.deepEqual(
        watchersIn(rings, subject),
        all.filter((node) => node !== subject),
      )
    }
  }
})

test('with more, everybody has exactly four watchers, never itself, never one twice', () => {
  const property = fc.property(fc.integer({ min: 6, max: 60 }), (count) => {
    const all = nodes(count)
    const rings = buildRings(all)
    for (const subject of all) {
      const watchers = watchersIn(rings, subject)
      assert.equal(new Set(watchers).size, WATCHERS_PER_NODE)
      assert.ok(!watchers.includes(subject))
    }
  })
  fc.assert(property, { seed: 20261121, numRuns: 30 })
})

test('the order in which nodes are known makes no difference', () => {
  const all = nodes(40)
  const [one, other] = [buildRings(all), buildRings(all.toReversed())]
  for (const subject of all) assert.deepEqual(watchersIn(one, subject), watchersIn(other, subject))
})

test('rings that were brought up to date are those that would be made anew', () => {
  const all = nodes(20)
  const moves = fc.array(fc.record({ node: fc.constantFrom(...all), isMember: fc.boolean() }))
  const property = fc.property(fc.subarray([...all]), moves, (before, moved) => {
    const members = new Set(before)
    let rings = buildRings(before)
    for (const { node, isMember } of moved) {
      rings = updateRings(rings, node, isMember)
      if (isMember) members.add(node)
      else members.delete(node)
      assert.deepEqual(rings, buildRings(members))
    }
  })
  fc.assert(property, { seed: 20261122, numRuns: 200 })
})

test('who watches and who is watched are two readings of the same rings', () => {
  const all = nodes(40)
  const property = fc.property(fc.subarray([...all]), fc.subarray([...all]), (members, others) => {
    const rings = buildRings(members)
    for (const watcher of all) {
      const watched = [...new Set([...members, ...others])].filter((one) => watchersIn(rings, one).includes(watcher))
      assert.deepEqual(watchedIn(rings, others, watcher).toSorted(), watched.toSorted())
    }
  })
  fc.assert(property, { seed: 20261122, numRuns: 200 })
})

test('who watches is watched, but where a neighbour was passed over', () => {
  const all = nodes(50)
  const rings = buildRings(all)
  const pairs = all.flatMap((subject) => watchersIn(rings, subject).map((watcher) => [watcher, subject] as const))
  const oneWay = pairs.filter(([watcher, subject]) => !watchersIn(rings, watcher).includes(subject))
  assert.ok(oneWay.length <= pairs.length / 20, `${oneWay.length} of ${pairs.length}`)
})

test('no node of a thousand watches more than a few times its share', () => {
  const all = nodes(1_000)
  const rings = buildRings(all)
  const duties = new Map<NodeId, number>()
  for (const subject of all)
    for (const watcher of watchersIn(rings, subject)) duties.set(watcher, (duties.get(watcher) ?? 0) + 1)
  assert.ok(Math.max(...duties.values()) <= 6 * WATCHERS_PER_NODE)
})

test('when one of a hundred goes, hardly any watchers change', () => {
  const all = nodes(100)
  const [before, after] = [buildRings(all), buildRings(all.slice(1))]
  const moved = all.slice(1).filter((subject) => {
    const was = watchersIn(before, subject)
    return watchersIn(after, subject).some((watcher) => !was.includes(watcher))
  })
  assert.ok(moved.length <= 16, `${moved.length} of 99 have another watcher`)
})

test('who is off the rings still has watchers: those who would be its neighbours', () => {
  const all = nodes(50)
  const gone = all[7] as NodeId
  const without = buildRings(all.filter((node) => node !== gone))
  assert.deepEqual(watchersIn(without, gone), watchersIn(buildRings(all), gone))
})

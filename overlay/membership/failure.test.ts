// Stories of doubt: who is dead is found out quickly, who is merely slow, paused or badly connected is not killed.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeId } from '../kernel/ids.ts'
import { MEMBERSHIP_TIMING } from './constants.ts'
import { type Cluster, createMeetingCluster } from './fixtures.ts'
import { rosterOf } from './membership.ts'
import { aliveNodes, type MemberState } from './roster.ts'

/** When `viewer` first concluded that `subject` is in a state, in ms after `since`; null for never. */
function whenSeen(cluster: Cluster, viewer: NodeId, subject: NodeId, to: MemberState, since: number): number | null {
  const seen = cluster.log.find(
    ({ at, on, effect }) =>
      at >= since && on === viewer && effect.kind === 'roster-changed' && effect.node === subject && effect.to === to,
  )
  return seen === undefined ? null : seen.at - since
}

const nodesOf = (cluster: Cluster): readonly [NodeId, NodeId, NodeId, ...NodeId[]] =>
  cluster.nodes as unknown as readonly [NodeId, NodeId, NodeId, ...NodeId[]]

const incarnationOf = (cluster: Cluster, viewer: NodeId, subject: NodeId): number | undefined =>
  rosterOf(cluster.stateOf(viewer)).get(subject)?.incarnation

test('a quiet cluster stays as it is: nobody is doubted in three minutes', () => {
  const cluster = createMeetingCluster(5)
  const before = cluster.log.length
  cluster.run(180_000)
  const doubts = cluster.log.slice(before).filter(({ effect }) => effect.kind === 'roster-changed')
  assert.deepEqual(doubts, [])
})

test('a killed process is dead for all within half a second', () => {
  for (const size of [3, 4, 5, 9]) {
    const cluster = createMeetingCluster(size)
    const [, victim] = nodesOf(cluster)
    const since = cluster.now()
    cluster.kill(victim)
    cluster.run(1_000)
    assert.deepEqual(cluster.views(victim), ['dead'], `of ${size}`)
    for (const node of cluster.nodes.filter((one) => one !== victim)) {
      const ms = whenSeen(cluster, node, victim, 'dead', since)
      assert.ok(ms !== null && ms >= 300 && ms <= 500, `of ${size}, ${node}: ${ms} ms`)
    }
  }
})

test('a node whose power is cut is dead for all within a few seconds', () => {
  const cluster = createMeetingCluster(5)
  const [, victim] = nodesOf(cluster)
  cluster.kill(victim, { silently: true })
  // A turn of its watchers and two lost probes, then the suspicion.
  cluster.run(4_000)
  assert.deepEqual(cluster.views(victim), ['suspect'])
  cluster.run(3_500)
  assert.deepEqual(cluster.views(victim), ['dead'])
})

test('where nobody is doubted, probes leave when the process wakes anyway: at full intervals of its clock', () => {
  const cluster = createMeetingCluster(5)
  cluster.run(10_000)
  const [before, since] = [cluster.log.length, cluster.now()]
  cluster.run(60_000)
  const probes = cluster.log
    .slice(before)
    .filter(({ effect }) => effect.kind === 'send' && effect.message.kind === 'membership/probe')
  assert.deepEqual(new Set(probes.map(({ at }) => at % MEMBERSHIP_TIMING.lan.probeTimeoutMs)), new Set([0]))
  const each = probes.length / cluster.nodes.length / ((cluster.now() - since) / 1_000)
  assert.ok(each > 0.4 && each < 0.6, `${each} probes for each member and second, and each is a sign of life of two`)
})

test('its watchers together probe a member about once a second, however many they are', () => {
  for (const size of [3, 5, 12]) {
    const cluster = createMeetingCluster(size)
    cluster.run(10_000)
    const before = cluster.sent.get('membership/probe') ?? 0
    cluster.run(60_000)
    const perMember = ((cluster.sent.get('membership/probe') ?? 0) - before) / 60 / size
    assert.ok(perMember > 0.4 && perMember < 1.2, `of ${size}: ${perMember} a second`)
  }
})

test('a node probes at one beat, not each whom it watches at another moment', () => {
  const cluster = createMeetingCluster(30)
  cluster.run(30_000)
  const since = cluster.now()
  cluster.run(60_000)
  const probes = cluster.log.filter(
    ({ at, effect }) => at >= since && effect.kind === 'send' && effect.message.kind === 'membership/probe',
  )
  const moments = new Set(probes.map(({ at, on }) => `${on} ${at}`))
  const perNode = [probes.length, moments.size].map((count) => count / 60 / 30) as [number, number]
  assert.ok(perNode[0] < 0.75 && perNode[1] < 0.4, `${perNode[0]} probes at ${perNode[1]} moments a second`)
})

test('of two nodes one may die: the lone witness waits the longest, then decides', () => {
  const cluster = createMeetingCluster(2)
  const [one, other] = nodesOf(cluster)
  cluster.kill(other)
  cluster.run(2_900)
  assert.equal(cluster.view(one, other), 'suspect')
  cluster.run(200)
  assert.equal(cluster.view(one, other), 'dead')
})

test('a node paused for three seconds is not dead for anybody, and is alive again after', () => {
  const cluster = createMeetingCluster(4)
  const [, paused] = nodesOf(cluster)
  const since = cluster.now()
  cluster.pause(paused, 3_000)
  cluster.run(6_000)
  assert.deepEqual(cluster.views(paused), ['alive'])
  for (const node of cluster.nodes) {
    assert.equal(whenSeen(cluster, node, paused, 'dead', since), null)
    for (const other of cluster.nodes) {
      if (other !== node)
        assert.equal(whenSeen(cluster, paused, other, 'suspect', since), null, 'the sleeper doubts itself')
    }
  }
})

test('one watcher without a path does not kill whom the others reach', () => {
  const cluster = createMeetingCluster(5)
  const [watcher, subject] = nodesOf(cluster)
  const since = cluster.now()
  cluster.lose((from, to) => (from === watcher && to === subject) || (from === subject && to === watcher))
  cluster.disconnect(watcher, subject)
  cluster.run(120_000)
  for (const node of cluster.nodes) assert.equal(whenSeen(cluster, node, subject, 'dead', since), null)
  assert.ok(cluster.log.some(({ effect }) => effect.kind === 'roster-changed' && effect.to === 'suspect'))
})

test('one broken path costs little: refutations become rare', () => {
  const cluster = createMeetingCluster(5)
  const [watcher, subject] = nodesOf(cluster)
  cluster.lose((from, to) => (from === watcher && to === subject) || (from === subject && to === watcher))
  cluster.disconnect(watcher, subject)
  const before = incarnationOf(cluster, subject, subject) ?? 0
  cluster.run(300_000)
  const refutations = (incarnationOf(cluster, subject, subject) ?? 0) - before
  assert.ok(refutations > 1 && refutations < 40, `${refutations} in five minutes`)
})

test('who hears that it is suspected contradicts with a higher incarnation that is on its disk first', () => {
  const cluster = createMeetingCluster(3)
  const [watcher, subject, third] = nodesOf(cluster)
  const before = incarnationOf(cluster, third, subject) ?? 0
  // Between two moments at which probes leave: a sign of life would take the report back before it is said.
  cluster.run(50)
  const start = cluster.log.length
  cluster.disconnect(watcher, subject)
  cluster.run(200)
  assert.equal(incarnationOf(cluster, third, subject), before + 1)
  const said = cluster.log.slice(start).filter(({ on }) => on === subject)
  const persisted = said.findIndex(({ effect }) => effect.kind === 'persist' && effect.key.endsWith('/incarnation'))
  const authored = said.findIndex(
    ({ effect }) => effect.kind === 'author' && effect.message.kind === 'membership/member',
  )
  assert.ok(persisted >= 0 && authored > persisted)
  cluster.run(5_000)
  assert.deepEqual(cluster.views(subject), ['alive'])
})

test('two halves that were cut apart and took each other for dead become one again', () => {
  const cluster = createMeetingCluster(8)
  const isLeft = (node: NodeId): boolean => cluster.nodes.indexOf(node) < 4
  cluster.lose((from, to) => isLeft(from) !== isLeft(to))
  for (const one of cluster.nodes) {
    for (const other of cluster.nodes) if (isLeft(one) && !isLeft(other)) cluster.disconnect(one, other)
  }
  cluster.run(120_000)
  for (const node of cluster.nodes) {
    const alive = aliveNodes(rosterOf(cluster.stateOf(node)))
    assert.equal(alive.length, 4, node)
    assert.ok(alive.every((one) => isLeft(one) === isLeft(node)))
  }
  cluster.lose(() => false)
  cluster.run(60_000)
  for (const node of cluster.nodes) assert.equal(aliveNodes(rosterOf(cluster.stateOf(node))).length, 8, node)
})

test('with a tenth of all messages lost nobody is taken for dead, and the dead still are', () => {
  const cluster = createMeetingCluster(6, 'lan', 5)
  const [, victim] = nodesOf(cluster)
  cluster.lose((_from, _to, random) => random.next() < 0.1)
  const since = cluster.now()
  cluster.run(120_000)
  const deaths = cluster.log.filter(({ effect }) => effect.kind === 'roster-changed' && effect.to === 'dead')
  assert.deepEqual(deaths, [])
  cluster.kill(victim)
  cluster.run(5_000)
  assert.deepEqual(cluster.views(victim), ['dead'])
  assert.ok(cluster.now() > since)
})

test('any traffic counts as a sign of life, so that a busy cluster is not probed', () => {
  const cluster = createMeetingCluster(3)
  cluster.sent.clear()
  for (let second = 0; second < 20; second++) {
    for (const node of cluster.nodes) {
      for (const peer of cluster.nodes) if (peer !== node) cluster.input(node, { kind: 'heard', peer })
    }
    cluster.run(500)
  }
  assert.equal(cluster.sent.get('membership/probe') ?? 0, 0)
})

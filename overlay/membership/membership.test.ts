// Stories of coming and going: joining, leaving, starting again, being forgotten, and what is said of oneself.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeId } from '../kernel/ids.ts'
import { FITNESS_MS_PER_MEMBER, MEMBERSHIP_TIMING } from './constants.ts'
import { type Cluster, createCluster, createMeetingCluster, domain, sealerOf } from './fixtures.ts'
import { refusalsOf, rosterOf, wakeAt } from './membership.ts'
import { aliveNodes, type MemberState, watchedBy, watchersOf } from './roster.ts'

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

test('who joins through one member is soon known to all, and knows all', () => {
  const cluster = createCluster(9)
  for (const node of cluster.nodes) cluster.boot(node)
  cluster.run(1_000)
  for (const node of cluster.nodes) assert.equal(aliveNodes(rosterOf(cluster.stateOf(node))).length, 9, node)
})

test('a node that starts again at once has a higher incarnation, and nobody takes it for dead', () => {
  const cluster = createMeetingCluster(4)
  const [, node, viewer] = nodesOf(cluster)
  const before = incarnationOf(cluster, viewer, node) ?? 0
  const since = cluster.now()
  cluster.kill(node)
  cluster.run(100)
  cluster.boot(node)
  cluster.run(3_000)
  assert.deepEqual(cluster.views(node), ['alive'])
  assert.ok((incarnationOf(cluster, viewer, node) ?? 0) > before)
  for (const other of cluster.nodes) assert.equal(whenSeen(cluster, other, node, 'dead', since), null)
  assert.equal(aliveNodes(rosterOf(cluster.stateOf(node))).length, 4, 'it knows its cluster again')
})

test('a dead node that starts again is alive again for all', () => {
  const cluster = createMeetingCluster(5)
  const [, node] = nodesOf(cluster)
  cluster.kill(node)
  cluster.run(60_000)
  assert.deepEqual(cluster.views(node), ['dead'])
  cluster.boot(node)
  cluster.run(2_000)
  assert.deepEqual(cluster.views(node), ['alive'])
})

test('a node rebooted with no network knows its cluster, and in time that it is alone', () => {
  const cluster = createMeetingCluster(5)
  const [, node] = nodesOf(cluster)
  cluster.kill(node)
  cluster.run(5_000)
  cluster.lose((from, to) => from === node || to === node)
  cluster.boot(node)
  assert.equal(aliveNodes(rosterOf(cluster.stateOf(node))).length, 5)
  cluster.run(30_000)
  assert.deepEqual(aliveNodes(rosterOf(cluster.stateOf(node))), [node])
})

test('who leaves is said to have left, and is never suspected', () => {
  const cluster = createMeetingCluster(4)
  const [, node] = nodesOf(cluster)
  const since = cluster.now()
  cluster.input(node, { kind: 'leave' })
  cluster.run(50)
  cluster.kill(node)
  cluster.run(20_000)
  assert.deepEqual(cluster.views(node), ['left'])
  assert.equal(wakeAt(cluster.stateOf(node)), null)
  for (const other of cluster.nodes) assert.equal(whenSeen(cluster, other, node, 'suspect', since), null)
  cluster.boot(node)
  cluster.run(1_000)
  assert.deepEqual(cluster.views(node), ['alive'])
})

test('anti-entropy heals what gossip missed', () => {
  const cluster = createMeetingCluster(6)
  const [, node] = nodesOf(cluster)
  cluster.loseGossip(true)
  cluster.lose((_from, _to, random) => random.next() < 0.5)
  cluster.input(node, { kind: 'self-changed', addresses: ['/ip4/10.0.0.1/tcp/1'] })
  cluster.run(2_000)
  cluster.lose(() => false)
  cluster.run(120_000)
  for (const viewer of cluster.nodes) {
    assert.deepEqual(rosterOf(cluster.stateOf(viewer)).get(node)?.addresses, ['/ip4/10.0.0.1/tcp/1'], viewer)
  }
})

test('a member that was revoked is off the roster and does not come back', () => {
  const cluster = createMeetingCluster(4)
  const [, revoked] = nodesOf(cluster)
  const others = cluster.nodes.filter((node) => node !== revoked)
  cluster.kill(revoked)
  for (const node of others) cluster.input(node, { kind: 'removed', node: revoked })
  cluster.run(90_000)
  assert.deepEqual(cluster.views(revoked), [null])
})

test('a member that was put out and admitted again is back with what it says next, in the same life', () => {
  const cluster = createMeetingCluster(3)
  const [viewer, other] = nodesOf(cluster)
  const statement = rosterOf(cluster.stateOf(viewer)).get(other)?.opened
  assert.ok(statement)
  cluster.input(viewer, { kind: 'removed', node: other })
  cluster.input(viewer, { kind: 'message', opened: statement })
  assert.equal(cluster.view(viewer, other), null)
  cluster.input(viewer, { kind: 'readmitted', node: other })
  cluster.input(viewer, { kind: 'message', opened: statement })
  assert.equal(cluster.view(viewer, other), 'alive')
})

test('the dead are forgotten after a day, and old statements of theirs stay refused', () => {
  const cluster = createMeetingCluster(3, 'metered')
  const [viewer, victim] = nodesOf(cluster)
  const old = rosterOf(cluster.stateOf(viewer)).get(victim)?.opened
  assert.ok(old)
  cluster.kill(victim)
  cluster.run(86_400_000 + 200_000)
  assert.deepEqual(cluster.views(victim), [null])
  cluster.input(viewer, { kind: 'message', opened: old })
  assert.equal(cluster.view(viewer, victim), null)
  assert.equal(refusalsOf(cluster.stateOf(viewer)).get('forgotten'), 1)
})

test('changes of oneself are gathered: many in a second make two statements, and fitness alone can wait', () => {
  const cluster = createMeetingCluster(3)
  const [node] = nodesOf(cluster)
  const start = cluster.log.length
  const authored = () => cluster.log.slice(start).filter(({ on, effect }) => on === node && effect.kind === 'author')
  for (let change = 1; change <= 9; change++) cluster.input(node, { kind: 'self-changed', name: `name ${change}` })
  cluster.run(3_000)
  assert.equal(authored().length, 2)
  for (let change = 1; change <= 9; change++) cluster.input(node, { kind: 'self-changed', fitness: change / 10 })
  cluster.input(node, { kind: 'self-changed', fitness: 0.91 })
  cluster.run(3_000)
  assert.equal(authored().length, 2)
  cluster.run(MEMBERSHIP_TIMING.lan.fitnessGapMs)
  assert.equal(authored().length, 3)
  assert.equal(rosterOf(cluster.stateOf(cluster.nodes[1] as NodeId)).get(node)?.fitness, 0.9)
})

test('in a large cluster a new fitness is said less often', () => {
  const size = 16
  const cluster = createMeetingCluster(size)
  const [node] = nodesOf(cluster)
  cluster.run(2 * size * FITNESS_MS_PER_MEMBER)
  const start = cluster.log.length
  const authored = () => cluster.log.slice(start).filter(({ on, effect }) => on === node && effect.kind === 'author')
  for (let change = 1; change <= 9; change++) cluster.input(node, { kind: 'self-changed', fitness: change / 10 })
  assert.equal(authored().length, 1)
  for (let change = 9; change >= 1; change--) cluster.input(node, { kind: 'self-changed', fitness: change / 10 })
  cluster.run(MEMBERSHIP_TIMING.lan.fitnessGapMs + 1_000)
  assert.equal(authored().length, 1)
  cluster.run(size * FITNESS_MS_PER_MEMBER)
  assert.equal(authored().length, 2)
})

test('a statement about somebody else, or of another domain, is refused', () => {
  const cluster = createMeetingCluster(3)
  const [viewer, subject, liar] = nodesOf(cluster)
  const true_ = rosterOf(cluster.stateOf(viewer)).get(subject)?.opened
  assert.ok(true_)
  const forged = sealerOf(liar).seal({ ...true_.message, incarnation: 99 })
  cluster.input(viewer, { kind: 'message', opened: forged })
  const foreign = sealerOf(subject, '/paris' as typeof domain).seal({ ...true_.message, incarnation: 99 })
  cluster.input(viewer, { kind: 'message', opened: foreign })
  assert.equal(rosterOf(cluster.stateOf(viewer)).get(subject)?.incarnation, true_.message.incarnation)
  assert.equal(refusalsOf(cluster.stateOf(viewer)).get('not-authentic'), 2)
})

test('a data folder put back from a copy does not make a node fall behind itself', () => {
  const cluster = createMeetingCluster(3)
  const [viewer, node] = nodesOf(cluster)
  for (let life = 0; life < 3; life++) {
    cluster.kill(node)
    cluster.boot(node)
    cluster.run(500)
  }
  const before = incarnationOf(cluster, viewer, node) ?? 0
  const high = rosterOf(cluster.stateOf(node)).get(node)?.opened
  assert.ok(high)
  const ahead = sealerOf(node).seal({ ...high.message, incarnation: before + 10 })
  cluster.input(viewer, { kind: 'message', opened: ahead })
  cluster.run(40_000)
  assert.equal(incarnationOf(cluster, viewer, node), before + 11)
  assert.deepEqual(cluster.views(node), ['alive'])
})

test('the watchers of a node are the same in the view of all', () => {
  const cluster = createMeetingCluster(9)
  const [subject] = nodesOf(cluster)
  const sets = cluster.nodes.map((node) => [...watchersOf(rosterOf(cluster.stateOf(node)), subject)].sort().join())
  assert.equal(new Set(sets).size, 1)
  for (const watcher of (sets[0] ?? '').split(',') as NodeId[]) {
    assert.ok(watchedBy(rosterOf(cluster.stateOf(watcher)), watcher).includes(subject))
  }
})

test('the same seed makes the same run', () => {
  const runs = [1, 2].map(() => {
    const cluster = createMeetingCluster(5, 'lan', 42)
    cluster.lose((_from, _to, random) => random.next() < 0.2)
    cluster.run(30_000)
    return JSON.stringify(cluster.log.map(({ at, on, effect }) => [at, on, effect.kind]))
  })
  assert.equal(runs[0], runs[1])
})

test('a node of another cluster may introduce members to each other, but has no say of its own', () => {
  const cluster = createMeetingCluster(3)
  const [viewer, subject] = nodesOf(cluster)
  const held = rosterOf(cluster.stateOf(viewer)).get(subject)?.opened
  assert.ok(held)
  const stranger = sealerOf('stranger' as NodeId, '/paris' as typeof domain)
  const newer = sealerOf(subject).seal({ ...held.message, version: held.message.version + 1, name: 'renamed' })
  const words = {
    kind: 'membership/report',
    domain,
    subject,
    verdict: 'unreachable',
    cause: 'connection-closed',
  } as const
  const report = stranger.seal({ ...words, incarnation: held.message.incarnation, sequence: 1 })
  const entries = { kind: 'membership/entries', domain, members: [newer], reports: [report] } as never
  cluster.input(viewer, { kind: 'message', opened: stranger.seal(entries) })
  assert.equal(rosterOf(cluster.stateOf(viewer)).get(subject)?.name, 'renamed')
  assert.equal(cluster.view(viewer, subject), 'alive')
  assert.equal(cluster.view(viewer, 'stranger' as NodeId), null)
})

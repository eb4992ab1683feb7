// Instances that move while they run: the new one runs before the old one ends, whoever leads meanwhile. The fleet
// (fleet-harness.ts) logs every start and stop.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, type NodeId, nodeId, ROOT, serviceId } from '../overlay/kernel/ids.ts'
import type { FleetOptions } from './device-harness.ts'
import { Fleet } from './fleet-harness.ts'
import { migrate, previousPlaces, setIntake } from './move-harness.ts'
import { HEALTHCHECK, specOf } from './placement-fixtures.ts'

const WEB = serviceId('shop.prod.web.prod')

const nodesOf = (running: readonly string[]): string[] => running.map((one) => one.split('@')[1] as string).sort()
const homeOf = (fleet: Fleet): NodeId => nodeId(nodesOf(fleet.running())[0] as string)

/** One instance of a service of the root, which runs and has settled. */
function deployed(options: FleetOptions = {}, replicas = 1): Fleet {
  const fleet = new Fleet(options)
  fleet.submit(specOf({ replicas }))
  fleet.until('it runs', () => fleet.running().length === replicas, 30_000)
  fleet.run(12_000)
  return fleet
}

/** Runs until it is on exactly one other node, and requires that it never ran on none. */
function movesFrom(fleet: Fleet, home: NodeId, limitMs = 30_000): NodeId {
  fleet.until(
    `it left ${home}`,
    () => {
      assert.ok(fleet.running().length >= 1, 'it runs at every moment')
      return fleet.running().length === 1 && homeOf(fleet) !== home
    },
    limitMs,
  )
  fleet.run(12_000)
  assert.equal(fleet.running().length, 1, 'and stays there')
  return homeOf(fleet)
}

/** No placement remembers a former place once the move is over. */
const isSettled = (fleet: Fleet): boolean => previousPlaces(fleet).length === 0

test('a moved instance runs at its new place before it ends at the old one, in the same cluster first', () => {
  const fleet = deployed()
  const home = homeOf(fleet)
  migrate(fleet, WEB, 0)
  const next = movesFrom(fleet, home)
  assert.equal(next.slice(0, 1), home.slice(0, 1))
  assert.deepEqual(fleet.log.slice(1), [`start ${WEB}#0@${next}`, `stop ${WEB}#0@${home}`])
  assert.equal(fleet.moved.at(-1)?.outcome, 'moving')
  assert.ok(isSettled(fleet))
})

test('both copies take calls for a second, so that everybody hears of the new one', () => {
  const fleet = deployed()
  migrate(fleet, WEB, 0)
  fleet.until('two run', () => fleet.running().length === 2)
  const took = fleet.until('one runs', () => fleet.running().length === 1)
  assert.ok(took >= 950, `the old one ended after ${took} ms`)
})

test('an instance moves to the cluster that is named, and that one says when it runs', () => {
  const fleet = deployed()
  const home = homeOf(fleet)
  const goal = home.startsWith('b') ? '/c' : '/b'
  migrate(fleet, WEB, 0, goal)
  const next = movesFrom(fleet, home)
  assert.equal(next.slice(0, 1), goal.slice(1))
  assert.ok(isSettled(fleet))
})

test('an instance moves to the very device that is named, in whatever cluster', () => {
  const fleet = deployed()
  for (const goal of ['device-b2', 'device-b3', 'device-c1', 'device-a2']) {
    const home = homeOf(fleet)
    migrate(fleet, WEB, 0, goal)
    assert.equal(movesFrom(fleet, home), goal.slice('device-'.length))
  }
})

test('a move that nobody can take is refused with all reasons, and nothing changes', () => {
  const fleet = deployed()
  const before = fleet.running()
  migrate(fleet, WEB, 0, 'device-z9')
  fleet.until('it is answered', () => fleet.moved.length > 0)
  const [answer] = fleet.moved
  assert.equal(answer?.outcome, 'refused')
  assert.match(answer?.reason ?? '', /in \/\w: 0 of 3 devices: .*not meant by --to device-z9.*; in \/: 0 of/)
  fleet.run(20_000)
  assert.deepEqual(fleet.running(), before)
})

test('a request that is repeated moves an instance once', () => {
  const fleet = deployed()
  const home = homeOf(fleet)
  for (let times = 0; times < 4; times++) {
    migrate(fleet, WEB, 0, null, { requestId: 'once' })
    fleet.run(2_000)
  }
  movesFrom(fleet, home)
  assert.equal(fleet.log.filter((line) => line.startsWith('start')).length, 2)
})

test('what does not run at its new place stays at the old one', () => {
  let home = ''
  const fleet = deployed({
    script: (node) => (home === '' || node === home ? { kind: 'runs' } : { kind: 'fails', detail: 'no such image' }),
  })
  home = homeOf(fleet)
  migrate(fleet, WEB, 0)
  fleet.until('it was tried', () => fleet.log.length > 1)
  for (let step = 0; step < 60; step++) {
    fleet.run(500)
    assert.ok(nodesOf(fleet.running()).includes(home), 'it never stopped')
  }
  assert.deepEqual(nodesOf(fleet.running()), [home])
  assert.ok(isSettled(fleet))
  const placed = fleet.store(nodeId(home), `/${home[0]}` as DomainPath).placement(WEB, 0)
  assert.match(placed?.message.reason ?? '', /it stays here/)
})

test('with a health check the old one goes on until the new one has passed it', () => {
  const fleet = new Fleet()
  fleet.submit(specOf({ healthcheck: HEALTHCHECK }))
  fleet.until('it runs', () => fleet.running().length === 1, 30_000)
  fleet.tellHealth('web', true)
  fleet.run(12_000)
  const home = homeOf(fleet)
  migrate(fleet, WEB, 0)
  fleet.run(20_000)
  assert.equal(fleet.running().length, 2, 'nobody has said that the new one is healthy')
  fleet.tellHealth('web', true)
  movesFrom(fleet, home)
  assert.ok(isSettled(fleet))
})

test('a job that is done where it was moved to ends where it was, and its move is over', () => {
  let home = nodeId('nobody')
  const fleet = new Fleet({
    script: (node) => ({ kind: 'exits', code: 0, afterMs: home === 'nobody' || node === home ? 600_000 : 200 }),
  })
  fleet.submit(specOf({ kind: 'job' }))
  fleet.until('it runs', () => fleet.running().length === 1, 30_000)
  home = homeOf(fleet)
  fleet.run(12_000)
  migrate(fleet, WEB, 0)
  fleet.until('nothing runs any more', () => fleet.running().length === 0, 20_000)
  fleet.run(5_000)
  assert.ok(isSettled(fleet), previousPlaces(fleet).join())
})

test('when the device that it moves to dies first, it stays', () => {
  const fleet = deployed()
  const home = homeOf(fleet)
  const goal = nodeId([`${home[0]}2`, `${home[0]}3`].find((id) => id !== home) as string)
  migrate(fleet, WEB, 0, goal)
  fleet.until('it is under way', () => !isSettled(fleet))
  fleet.kill(goal)
  for (let step = 0; step < 60; step++) {
    fleet.run(500)
    assert.deepEqual(nodesOf(fleet.running()), [home])
  }
  assert.ok(isSettled(fleet))
})

test('the next leader of each domain finishes a move that it finds', () => {
  const fleet = deployed()
  const home = homeOf(fleet)
  const goal = home.startsWith('b') ? '/c' : '/b'
  migrate(fleet, WEB, 0, goal)
  fleet.until('it is under way', () => !isSettled(fleet))
  fleet.elect(ROOT, nodeId(`${home[0]}3`))
  fleet.elect(goal as DomainPath, nodeId(`${goal.slice(1)}3`))
  const next = movesFrom(fleet, home, 60_000)
  assert.equal(next.slice(0, 1), goal.slice(1))
  assert.ok(isSettled(fleet))
})

test('the device that is left goes on after a reboot, until the new one runs', () => {
  let works = true
  const fleet = deployed({ script: () => (works ? { kind: 'runs' } : { kind: 'exits', afterMs: 100, code: 1 }) })
  const home = homeOf(fleet)
  const cluster = `/${home[0]}` as DomainPath
  for (const domain of [cluster, ROOT]) fleet.elect(domain, nodeId(`${home[0]}${home.endsWith('3') ? 2 : 3}`))
  fleet.run(12_000)
  works = false
  migrate(fleet, WEB, 0)
  fleet.until('it is under way', () => !isSettled(fleet))
  works = true
  fleet.kill(home)
  fleet.boot(home)
  movesFrom(fleet, home, 60_000)
})

test('a drained device gives away all that it runs, and takes nothing', () => {
  const fleet = deployed({}, 6)
  const home = homeOf(fleet)
  setIntake(fleet, home, 'draining')
  fleet.until(
    'it is empty',
    () => {
      assert.equal(new Set(fleet.running().map((one) => one.split('@')[0])).size, 6, 'all six run at every moment')
      return !nodesOf(fleet.running()).includes(home)
    },
    30_000,
  )
  fleet.submit(specOf({ replicas: 9 }))
  fleet.until('nine run', () => fleet.running().length === 9)
  assert.ok(!nodesOf(fleet.running()).includes(home))
})

test('when no device of its cluster is left, what a drained device runs moves to another cluster', () => {
  const fleet = deployed()
  const cluster = `/${homeOf(fleet)[0]}`
  for (const { id, domain } of fleet.devices.values()) if (domain === cluster) setIntake(fleet, id, 'draining')
  fleet.until('it left the cluster', () => fleet.running().length === 1 && !homeOf(fleet).startsWith(cluster.slice(1)))
  fleet.run(12_000)
  assert.equal(fleet.running().length, 1)
  assert.ok(isSettled(fleet))
})

test('what found no place at first leaves a drained device as soon as there is one, each instance for itself', () => {
  const fleet = deployed({ clusters: ['/a', '/b'] as DomainPath[], nodesPerCluster: 1 }, 4)
  assert.deepEqual(nodesOf(fleet.running()), ['a1', 'a1', 'b1', 'b1'])
  setIntake(fleet, nodeId('a1'), 'cordoned')
  fleet.run(3_000)
  setIntake(fleet, nodeId('b1'), 'draining')
  fleet.run(20_000)
  assert.deepEqual(nodesOf(fleet.running()), ['a1', 'a1', 'b1', 'b1'])
  assert.equal(new Set(fleet.moved.map(({ number }) => number)).size, 2, 'the device is told of both why they stay')
  setIntake(fleet, nodeId('a1'), 'open')
  fleet.until('they have left', () => nodesOf(fleet.running()).join() === 'a1,a1,a1,a1', 60_000)
})

/** An instance runs at both places of its move, and nobody has heard of the new one. */
function cutWhileMoving() {
  const fleet = deployed({ clusters: ['/a', '/b'] as DomainPath[], nodesPerCluster: 1 })
  const home = homeOf(fleet)
  const other = nodeId(home === 'a1' ? 'b1' : 'a1')
  const cluster = `/${other[0]}` as DomainPath
  fleet.elect(ROOT, home)
  fleet.run(5_000)
  migrate(fleet, WEB, 0)
  fleet.until('both run', () => fleet.running().length === 2)
  fleet.cut(cluster)
  return { fleet, home, other, cluster }
}

test('a move ends also when the device that it went to is drained before anybody heard that it runs there', () => {
  const { fleet, home, other, cluster } = cutWhileMoving()
  setIntake(fleet, home, 'cordoned')
  setIntake(fleet, other, 'draining')
  fleet.run(5_000)
  fleet.heal(cluster)
  fleet.until('the old one has ended', () => nodesOf(fleet.running()).join() === other, 60_000)
  assert.ok(isSettled(fleet))
})

test('a newer version that the new place does not take during a move runs where it was before', () => {
  const { fleet, home, other, cluster } = cutWhileMoving()
  setIntake(fleet, other, 'draining')
  fleet.submit(specOf({ environment: { VERSION: '2' } }))
  fleet.run(5_000)
  fleet.heal(cluster)
  fleet.until('only the new version runs', () => fleet.versionsOf('web').join() === '2', 60_000)
  assert.equal(homeOf(fleet), home)
  fleet.run(12_000)
  assert.ok(isSettled(fleet))
})

test('what cannot leave a drained device stays and says why', () => {
  const fleet = new Fleet()
  fleet.submit(specOf({ constraints: [{ kind: 'direct', node: 'device-b2', cluster: null, clusters: [] }] }))
  fleet.until('it runs', () => fleet.running().length === 1, 30_000)
  setIntake(fleet, nodeId('b2'), 'draining')
  fleet.until('its device is told why', () => fleet.moved.length > 0, 60_000)
  assert.match(fleet.moved[0]?.reason ?? '', /not selected by node device-b2/)
  assert.deepEqual(nodesOf(fleet.running()), ['b2'])
})

test('a cordoned device keeps what it runs and takes nothing new', () => {
  const fleet = deployed({}, 3)
  const before = fleet.running()
  const home = homeOf(fleet)
  for (const { id } of fleet.devices.values()) setIntake(fleet, id, 'cordoned')
  fleet.run(3_000)
  fleet.submit(specOf({ name: 'api' }))
  fleet.until('it is refused', () => [...fleet.pending.values()].some((reason) => reason.includes('are cordoned')))
  assert.deepEqual(fleet.running(), before)
  fleet.submit(specOf({ replicas: 3, environment: { VERSION: '2' } }))
  fleet.until('the new version runs', () => fleet.versionsOf('web').filter((one) => one === '2').length === 3)
  assert.ok(nodesOf(fleet.running()).includes(home), 'a new version takes the place of the old one')
})

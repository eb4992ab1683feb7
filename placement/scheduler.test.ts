// Leaders and workers together: one root, three clusters, nine nodes, in virtual time (fleet-harness.ts). The harness
// ends a test whenever a device has promised more than it has.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, nodeId, ROOT, serviceId } from '../overlay/kernel/ids.ts'
import { Fleet } from './fleet-harness.ts'
import { specOf } from './placement-fixtures.ts'
import { SPEC_DEFAULTS } from './spec.ts'

const WEB = serviceId('shop.prod.web.prod')
const IN_PLACE = { ...SPEC_DEFAULTS.update, order: 'stop-first' as const }
const A = '/a' as DomainPath
const B = '/b' as DomainPath

const nodesOf = (running: readonly string[]): string[] => running.map((one) => one.split('@')[1] as string).sort()
const clustersOf = (running: readonly string[]): string[] => nodesOf(running).map((node) => node.slice(0, 1))
const numbersOf = (running: readonly string[]): string[] => running.map((one) => one.split(/[#@]/)[1] as string).sort()

function deployed(replicas: number, fleet = new Fleet()): Fleet {
  fleet.submit(specOf({ replicas }))
  fleet.until(`${replicas} run`, () => fleet.running().length === replicas, 30_000)
  fleet.run(3_000)
  return fleet
}

test('replicas of a service submitted to the root run, spread over the clusters', () => {
  const fleet = deployed(3)
  assert.deepEqual(clustersOf(fleet.running()), ['a', 'b', 'c'])
  assert.equal(fleet.log.length, 3)
})

test('more replicas than clusters are spread over the nodes of each cluster', () => {
  const fleet = deployed(9)
  assert.equal(new Set(nodesOf(fleet.running())).size, 9)
})

test('a placement says where and why', () => {
  const fleet = deployed(1)
  const root = fleet.store(nodeId('a1'), ROOT).placement(WEB, 0)?.message
  const cluster = fleet.store(nodeId('a1'), A).placement(WEB, 0)?.message
  assert.equal(root?.child, '/a')
  assert.match(root?.reason ?? '', /^on \/a, offered by device-a\d: best-fit/)
  assert.match(cluster?.reason ?? '', /^on device-a\d: best-fit 0\.\d\d \(fit .*no other replica there\)$/)
})

test('a service submitted to a cluster runs there, also while the cluster is an island', () => {
  const fleet = new Fleet()
  fleet.cut(B)
  fleet.submit(specOf(), B)
  fleet.until('it runs', () => fleet.running().length === 1, 5_000)
  assert.deepEqual(clustersOf(fleet.running()), ['b'])
})

test('an instance of a dead node runs elsewhere within seconds, and the others stay where they are', () => {
  const fleet = deployed(9)
  const before = fleet.running()
  fleet.kill(nodeId('b3'))
  const took = fleet.until('nine run again', () => fleet.running().length === 9, 10_000)
  assert.ok(took <= 1_000, `took ${took} ms, 500 of them to notice`)
  assert.equal(new Set(numbersOf(fleet.running())).size, 9)
  assert.equal(fleet.running().filter((one) => before.includes(one)).length, 8)
})

test('a returning node stops the copy that has moved away', () => {
  const fleet = deployed(1)
  const home = nodeId(nodesOf(fleet.running())[0] as string)
  fleet.elect(A, nodeId('a3'))
  fleet.elect(ROOT, nodeId('a3'))
  fleet.kill(home)
  fleet.until('it runs elsewhere', () => fleet.running().length === 1, 10_000)
  fleet.boot(home)
  fleet.until(
    'one copy is left',
    () => fleet.running().length === 1 && fleet.log.some((line) => line === `stop ${WEB}#0@${home}`),
  )
  assert.notEqual(nodesOf(fleet.running())[0], home)
})

test('a node that comes back before anyone missed it starts again what it ran, and nothing moves', () => {
  const fleet = deployed(2)
  const before = fleet.running()
  const home = nodeId(nodesOf(before)[0] as string)
  fleet.kill(home)
  fleet.boot(home)
  fleet.run(10_000)
  assert.deepEqual(fleet.running(), before)
})

test('the services of a silent cluster run in the others, and its own copies end when it returns', () => {
  const fleet = deployed(3)
  fleet.cut(B)
  fleet.until('the root has moved it', () => clustersOf(fleet.running()).filter((name) => name !== 'b').length === 3)
  assert.equal(fleet.running().length, 4, 'the island keeps what it runs')
  fleet.heal(B)
  fleet.until('one copy each', () => fleet.running().length === 3)
  fleet.run(5_000)
  assert.deepEqual(numbersOf(fleet.running()), ['0', '1', '2'])
})

test('a cluster that loses power is replaced by the others', () => {
  const fleet = deployed(3)
  for (const node of ['c1', 'c2', 'c3']) fleet.kill(nodeId(node))
  fleet.until('three run', () => fleet.running().length === 3)
  assert.ok(!clustersOf(fleet.running()).includes('c'))
})

test('scaling down stops the highest numbers and leaves the others running', () => {
  const fleet = deployed(5)
  const kept = fleet.running().filter((one) => Number(numbersOf([one])[0]) < 2)
  fleet.submit(specOf({ replicas: 2 }))
  fleet.until('two run', () => fleet.running().length === 2)
  fleet.run(5_000)
  assert.deepEqual(fleet.running(), kept)
  assert.equal(fleet.log.filter((line) => line.startsWith('start')).length, 5, 'nothing was started anew')
})

test('scaling up starts only what is missing', () => {
  const fleet = deployed(2)
  fleet.submit(specOf({ replicas: 4 }))
  fleet.until('four run', () => fleet.running().length === 4)
  fleet.run(5_000)
  assert.equal(fleet.log.length, 4)
})

test('a removed service stops everywhere', () => {
  const fleet = deployed(4)
  fleet.remove(specOf())
  fleet.until('none runs', () => fleet.running().length === 0, 10_000)
  fleet.run(5_000)
  for (const node of ['a1', 'b1', 'c1']) assert.equal(fleet.use(nodeId(node)).reserved.memoryMb, 0)
  assert.equal(fleet.pending.size, 0)
})

test('a new version replaces the old one in place', () => {
  const fleet = deployed(3)
  const before = fleet.running()
  fleet.submit(specOf({ replicas: 3, environment: { VERSION: '2' }, update: IN_PLACE }))
  fleet.until('all were started again', () => fleet.log.filter((line) => line.startsWith('start')).length === 6)
  fleet.run(3_000)
  assert.deepEqual(fleet.running(), before)
})

test('a new version of a service that fills its device replaces the old one in place', () => {
  const fleet = new Fleet()
  fleet.submit(specOf({ memoryMb: 3_000 }))
  fleet.until('it runs', () => fleet.running().length === 1)
  fleet.run(5_000)
  const before = fleet.running()
  fleet.submit(specOf({ memoryMb: 3_200, update: IN_PLACE }))
  fleet.until('it was started again', () => fleet.log.length === 3 && fleet.running().length === 1)
  assert.deepEqual(fleet.running(), before)
})

test('everything comes about although every third message is lost', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const fleet = new Fleet({ seed, loss: 0.33 })
    fleet.submit(specOf({ replicas: 6 }))
    fleet.until(`six run (seed ${seed})`, () => fleet.running().length === 6, 120_000)
    fleet.submit(specOf({ replicas: 2 }))
    fleet.until(`two run (seed ${seed})`, () => fleet.running().length === 2, 120_000)
    fleet.remove(specOf())
    fleet.until(`none runs (seed ${seed})`, () => fleet.running().length === 0, 120_000)
  }
})

test('what finds no place is pending and says what ruled out how many devices', () => {
  const fleet = new Fleet()
  fleet.devices.forEach((device, id) => {
    if (id.startsWith('a')) device.summary = { ...device.summary, runtimes: [] }
  })
  fleet.run(3_000)
  fleet.submit(specOf({ memoryMb: 4_096 }))
  fleet.until('it is pending', () => fleet.pending.size === 1)
  const reason = fleet.pending.get(`${WEB}#0@a1`)
  assert.equal(
    reason,
    '0 of 9 devices: 6 lack memory (need 4096 MB, most free 3600 MB on /b), 3 do not offer the runtime process',
  )
})

test('the reasons of several clusters add up to all devices, whatever each lacks', () => {
  const fleet = new Fleet()
  fleet.devices.forEach((device, id) => {
    if (id === 'b1' || id === 'c2') device.summary = { ...device.summary, runtimes: [] }
    if (id === 'a3') device.summary = { ...device.summary, pressure: 2 }
    if (id === 'c1') device.summary = { ...device.summary, memoryMb: { total: 20_000, free: 20_000 }, cores: 1 }
  })
  fleet.run(3_000)
  fleet.submit(specOf({ memoryMb: 4_096, vcpus: 2 }))
  fleet.until('it is pending', () => fleet.pending.size > 0)
  const reason = fleet.pending.get(`${WEB}#0@a1`) ?? ''
  assert.match(reason, /^0 of 9 devices: /)
  const counts = reason.replace(/\([^)]*\)/g, '').match(/\d+ (?=lack|do|is |are )/g) ?? []
  assert.equal(
    counts.map(Number).reduce((sum, count) => sum + count, 0),
    9,
    reason,
  )
})

test('a cluster names the device that comes closest', () => {
  const fleet = new Fleet()
  fleet.run(3_000)
  fleet.submit(specOf({ vcpus: 6 }), B)
  fleet.until('it is pending', () => fleet.pending.size === 1)
  assert.match(
    fleet.pending.get(`${WEB}#0@b1`) ?? '',
    /^0 of 3 devices: 3 lack cpu \(need 6 cores, most free 4 cores on device-b/,
  )
})

test('a pending instance is placed once there is room, and is pending no longer', () => {
  const fleet = new Fleet({ clusters: [A], nodesPerCluster: 1 })
  fleet.submit(specOf({ name: 'large', memoryMb: 3_000 }), A)
  fleet.until('the large one runs', () => fleet.running().length === 1)
  fleet.submit(specOf({ memoryMb: 1_000 }), A)
  fleet.until('the other is pending', () => fleet.pending.size === 1)
  fleet.remove(specOf({ name: 'large' }), A)
  fleet.until('the other runs', () => fleet.running().join() === `${WEB}#0@a1`)
  fleet.run(2_000)
  assert.equal(fleet.pending.size, 0)
})

test('a fleet is filled to the brim and not beyond', () => {
  const fleet = new Fleet({ seed: 3 })
  fleet.submit(specOf({ replicas: 100, vcpus: 1 }))
  fleet.until('36 run', () => fleet.running().length === 36, 120_000)
  fleet.run(20_000)
  assert.equal(fleet.running().length, 36)
  assert.equal(fleet.pending.size, 64)
})

test('a new leader listens, then leaves alone what runs and repairs what does not', () => {
  const fleet = deployed(6)
  const before = fleet.running()
  const victim = nodesOf(before).find((node) => node.startsWith('b') && node !== 'b1') as string
  fleet.elect(B, nodeId('b1'))
  fleet.elect(ROOT, nodeId('c1'))
  fleet.kill(nodeId(victim))
  fleet.until('six run', () => fleet.running().length === 6 && !nodesOf(fleet.running()).includes(victim))
  fleet.run(20_000)
  assert.deepEqual(
    before.filter((one) => !fleet.running().includes(one)).map((one) => one.split('@')[1]),
    [victim],
  )
})

test('the leader of a cluster dies with its instances, and the next one places them again', () => {
  const fleet = deployed(9)
  fleet.kill(nodeId('b1'))
  fleet.run(1_000)
  fleet.elect(B, nodeId('b2'))
  fleet.until('nine run', () => fleet.running().length === 9)
  assert.deepEqual(numbersOf(fleet.running()), ['0', '1', '2', '3', '4', '5', '6', '7', '8'])
})

test('an instance that crashes on one device again and again is given to another', () => {
  const fleet = new Fleet({
    script: (node) => (node === 'a1' ? { kind: 'exits', afterMs: 50, code: 1 } : { kind: 'runs' }),
  })
  fleet.submit(specOf(), A)
  fleet.until('it runs on a1', () => fleet.running().join() === `${WEB}#0@a1`)
  fleet.until(
    'it runs elsewhere',
    () => fleet.running().length === 1 && !fleet.running().join().endsWith('@a1'),
    90_000,
  )
  assert.equal(fleet.log.filter((line) => line === `start ${WEB}#0@a1`).length, 6)
})

test('a cluster that cannot start an instance hands it back, and the root gives it to another', () => {
  const script = (node: string) =>
    node.startsWith('a') ? ({ kind: 'fails', detail: 'no such program' } as const) : ({ kind: 'runs' } as const)
  const fleet = new Fleet({ script })
  fleet.submit(specOf())
  fleet.until(
    'it runs in another cluster',
    () => fleet.running().length === 1 && !clustersOf(fleet.running()).includes('a'),
    90_000,
  )
  fleet.run(30_000)
  assert.equal(fleet.running().length, 1)
})

test('an instance that may end by itself is not started again when it ended well', () => {
  const script = () => ({ kind: 'exits', afterMs: 100, code: 0 }) as const
  const fleet = new Fleet({ script })
  fleet.submit(specOf({ restart: { policy: 'on-failure', delayMs: 500, delayMsMax: 1_000 } }))
  fleet.run(60_000)
  assert.equal(fleet.log.length, 1)
  fleet.elect(ROOT, nodeId('b1'))
  fleet.elect(A, nodeId('a2'))
  fleet.run(60_000)
  assert.equal(fleet.log.length, 1)
})

test('selectors choose the cluster and the node', () => {
  const fleet = new Fleet()
  const constraints = [{ kind: 'direct' as const, node: 'device-*2', cluster: 'b, c', clusters: [] }]
  fleet.submit(specOf({ replicas: 4, constraints }))
  fleet.until('four run', () => fleet.running().length === 4)
  assert.deepEqual(nodesOf(fleet.running()), ['b2', 'b2', 'c2', 'c2'])
})

test('a selector that no device meets is named', () => {
  const fleet = new Fleet()
  fleet.run(2_000)
  const constraints = [{ kind: 'direct' as const, node: 'xavier-*', cluster: null, clusters: [] }]
  fleet.submit(specOf({ constraints }))
  fleet.until('it is pending', () => fleet.pending.size === 1)
  assert.equal([...fleet.pending.values()][0], '0 of 9 devices: 9 are not selected by node xavier-*')
})

test('a service of a cluster keeps its name from one of the root', () => {
  const fleet = new Fleet()
  fleet.run(2_000)
  fleet.submit(specOf(), A)
  fleet.until('it runs', () => fleet.running().length === 1)
  fleet.submit(specOf({ replicas: 2 }))
  fleet.until('three run', () => fleet.running().length === 3)
  assert.deepEqual(clustersOf(fleet.running()), ['a', 'b', 'c'])
})

test('what is settled costs no messages', () => {
  const fleet = deployed(9)
  fleet.run(10_000)
  const before = fleet.sent.length
  fleet.run(60_000)
  assert.equal(fleet.sent.length, before)
})

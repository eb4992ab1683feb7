// What holds while a device or a cluster cannot be reached, and which copy stays when it returns, in the fleet of
// fleet-harness.ts.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, type NodeId, nodeId, ROOT, serviceId } from '../overlay/kernel/ids.ts'
import { Fleet } from './fleet-harness.ts'
import { migrate, previousPlaces } from './move-harness.ts'
import { specOf } from './placement-fixtures.ts'
import { type ServiceSpec, SPEC_DEFAULTS } from './spec.ts'

const WEB = serviceId('shop.prod.web.prod')

const nodesOf = (running: readonly string[]): string[] => running.map((one) => one.split('@')[1] as string).sort()
const clusterOf = (node: string): DomainPath => `/${node[0]}` as DomainPath
const disconnect = (changes: Partial<ServiceSpec['disconnect']>): Partial<ServiceSpec> => ({
  disconnect: { ...SPEC_DEFAULTS.disconnect, ...changes },
})

/** One instance that runs on a device which leads nothing. */
function deployed(changes: Partial<ServiceSpec>): { readonly fleet: Fleet; readonly home: NodeId } {
  const fleet = new Fleet()
  fleet.submit(specOf(changes))
  fleet.until('it runs', () => fleet.running().length === 1, 30_000)
  const home = nodeId(nodesOf(fleet.running())[0] as string)
  const other = nodeId(`${home[0]}${home.endsWith('3') ? 2 : 3}`)
  fleet.elect(clusterOf(home), other)
  fleet.elect(ROOT, other)
  fleet.run(12_000)
  return { fleet, home }
}

const shows = (fleet: Fleet, pattern: RegExp): boolean => [...fleet.pending.values()].some((one) => pattern.test(one))

test('an instance whose device is gone is replaced only after the time that its service gives it', () => {
  const { fleet, home } = deployed(disconnect({ lostAfterMs: 20_000 }))
  fleet.kill(home)
  fleet.run(15_000)
  assert.deepEqual(fleet.running(), [])
  assert.ok(shows(fleet, /counts as lost in \d+ s \(disconnect\.lost_after\)/))
  const took = fleet.until('it runs elsewhere', () => fleet.running().length === 1, 20_000)
  assert.ok(took >= 4_000, `${took} ms after 15 s`)
})

test('a device that returns in time has lost nothing', () => {
  const { fleet, home } = deployed(disconnect({ lostAfterMs: 20_000 }))
  fleet.kill(home)
  fleet.run(15_000)
  fleet.boot(home)
  fleet.run(30_000)
  assert.deepEqual(nodesOf(fleet.running()), [home])
})

test('what is not to be replaced waits for its device', () => {
  const { fleet, home } = deployed(disconnect({ replace: false }))
  fleet.kill(home)
  fleet.run(120_000)
  assert.deepEqual(fleet.running(), [])
  assert.ok(shows(fleet, /waits for its return/))
  fleet.boot(home)
  fleet.until('it runs again', () => nodesOf(fleet.running())[0] === home, 10_000)
})

test('a service of manual autonomy is moved by people only, also from a device that is gone', () => {
  const { fleet, home } = deployed({ autonomy: 'manual' })
  fleet.kill(home)
  fleet.run(60_000)
  assert.deepEqual(fleet.running(), [])
  assert.ok(shows(fleet, /nobody but a person moves it: `coppice migrate shop\.prod\.web\.prod#0`/))
  migrate(fleet, WEB, 0)
  fleet.until('it runs elsewhere', () => fleet.running().length === 1, 20_000)
  assert.equal(fleet.moved.at(-1)?.outcome, 'moving')
})

/** Cuts the cluster of an instance off until it runs in another one too, and brings it back. */
function parted(
  reconcile: ServiceSpec['disconnect']['reconcile'],
  isFull: (cluster: DomainPath, home: DomainPath) => boolean = () => false,
): {
  readonly fleet: Fleet
  readonly home: NodeId
  readonly other: string
  readonly stays: string
} {
  const { fleet, home } = deployed(disconnect({ reconcile }))
  const cluster = clusterOf(home)
  const fuller = (['/a', '/b', '/c'] as DomainPath[]).filter((one) => isFull(one, cluster))
  for (const one of fuller) fleet.submit(specOf({ name: 'filler', replicas: 3, memoryMb: 2_500, vcpus: 2.5 }), one)
  fleet.run(12_000)
  const running = (): readonly string[] => fleet.running().filter((one) => one.startsWith(`${WEB}#`))
  const elsewhere = nodeId(cluster === '/c' ? 'b1' : 'c1')
  fleet.elect(ROOT, elsewhere)
  fleet.cut(cluster)
  fleet.until('it runs twice', () => running().length === 2)
  const other = nodesOf(running()).find((one) => one !== home) ?? ''
  fleet.run(5_000)
  fleet.heal(cluster)
  fleet.until('one copy is left', () => running().length === 1)
  fleet.run(20_000)
  assert.deepEqual(previousPlaces(fleet), [])
  const [stays = '', ...more] = nodesOf(running())
  assert.deepEqual(more, [])
  return { fleet, home, other, stays }
}

test('by default the replacement stays when the original returns', () => {
  const { stays, other } = parted('keep_replacement')
  assert.equal(stays, other)
})

test('the original stays where the service wants that', () => {
  const { fleet, stays, home } = parted('keep_original')
  assert.equal(stays, home)
  assert.equal(fleet.log.filter((line) => line.startsWith('start')).length, 2, 'it never stopped')
})

test('the copy that has run for longer stays where the service wants that', () => {
  const { stays, home } = parted('longest_running')
  assert.equal(stays, home)
})

test('the copy at the better place stays where the service wants that', () => {
  const first = parted('best_score', (cluster, home) => cluster === home)
  assert.equal(first.stays, first.home, 'best-fit prefers the fuller place')
  const second = parted('best_score', (cluster, home) => cluster !== home)
  assert.equal(second.stays, second.other)
})

test('a device that was started anew has nothing to compare: the replacement stays', () => {
  const { fleet, home } = deployed(disconnect({ reconcile: 'keep_original' }))
  fleet.kill(home)
  fleet.until('it runs elsewhere', () => fleet.running().length === 1, 20_000)
  const [other] = nodesOf(fleet.running())
  fleet.boot(home)
  fleet.run(60_000)
  assert.deepEqual(nodesOf(fleet.running()), [other])
})

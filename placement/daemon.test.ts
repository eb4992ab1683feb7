// Daemons: one on each device that matches, numbered once and for all, coming and going with the devices.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, nodeId, ROOT, serviceId } from '../overlay/kernel/ids.ts'
import { Fleet } from './fleet-harness.ts'
import { setIntake } from './move-harness.ts'
import { type Script, specOf } from './placement-fixtures.ts'
import { type ServiceSpec, SPEC_DEFAULTS } from './spec.ts'

const WEB = serviceId('shop.prod.web.prod')
const A = '/a' as DomainPath
const ALL = ['a1', 'a2', 'a3', 'b1', 'b2', 'b3', 'c1', 'c2', 'c3']

const daemon = (changes: Partial<ServiceSpec> = {}): ServiceSpec => specOf({ kind: 'daemon', ...changes })
const nodes = (fleet: Fleet): string[] =>
  fleet
    .running()
    .map((one) => one.split('@')[1] as string)
    .sort()
const numbers = (fleet: Fleet): number[] => fleet.running().map((one) => Number(one.split(/[#@]/)[1]))

function everywhere(spec = daemon(), domain: DomainPath = ROOT, options = {}): Fleet {
  const fleet = new Fleet(options)
  fleet.run(3_000)
  fleet.submit(spec, domain)
  const wanted = domain === ROOT ? ALL : ALL.filter((node) => node.startsWith(domain.slice(1)))
  fleet.until('all run it', () => nodes(fleet).join() === wanted.join())
  return fleet
}

test('a daemon of the root runs once on each device of each cluster, and no number is there twice', () => {
  const fleet = everywhere()
  fleet.run(30_000)
  assert.deepEqual(nodes(fleet), ALL)
  assert.equal(new Set(numbers(fleet)).size, 9)
  assert.equal(fleet.log.length, 9)
  assert.equal(fleet.pending.size, 0)
})

test('the numbers of a cluster follow from the number that the root gave it', () => {
  const fleet = everywhere()
  for (const cluster of ['/a', '/b', '/c'] as DomainPath[]) {
    const placed = fleet.store(nodeId('a1'), ROOT).placedOn(cluster)
    assert.deepEqual(
      placed.map(({ message }) => message.each),
      [true],
    )
    const first = (placed[0]?.message.number ?? 0) * 1_000
    const own = fleet.running().filter((one) => one.includes(`@${cluster.slice(1)}`))
    const expected = [first, first + 1, first + 2]
    assert.deepEqual(
      own.map((one) => Number(one.split(/[#@]/)[1])).sort((a, b) => a - b),
      expected,
    )
  }
})

test('a daemon of a cluster runs on its devices only, numbered from 0', () => {
  const fleet = everywhere(daemon(), A)
  fleet.run(20_000)
  assert.deepEqual(
    [nodes(fleet), numbers(fleet).sort()],
    [
      ['a1', 'a2', 'a3'],
      [0, 1, 2],
    ],
  )
})

test('only devices that match run it, and what matches later runs it then', () => {
  const constraints = [{ kind: 'direct' as const, node: 'role=edge', cluster: null, clusters: [] }]
  const fleet = new Fleet()
  const label = (node: string, role: string): void => {
    const device = fleet.devices.get(nodeId(node))
    if (device !== undefined) device.summary = { ...device.summary, labels: { role } }
  }
  for (const node of ['a2', 'b1', 'b3']) label(node, 'edge')
  fleet.run(3_000)
  fleet.submit(daemon({ constraints }))
  fleet.until('three run it', () => nodes(fleet).join() === 'a2,b1,b3')
  fleet.run(10_000)
  assert.deepEqual(nodes(fleet), ['a2', 'b1', 'b3'])
  label('c2', 'edge')
  fleet.until('a fourth runs it', () => nodes(fleet).join() === 'a2,b1,b3,c2')
  label('b1', 'lab')
  fleet.until('one has lost it', () => nodes(fleet).join() === 'a2,b3,c2')
  fleet.run(10_000)
  assert.equal(fleet.pending.size, 0)
})

test('a device that dies keeps its number, and nobody else gets its copy', () => {
  const fleet = everywhere()
  const number = (): string | undefined => fleet.running().find((one) => one.endsWith('@b3'))
  const before = number()
  fleet.kill(nodeId('b3'))
  fleet.run(60_000)
  assert.deepEqual(
    nodes(fleet),
    ALL.filter((node) => node !== 'b3'),
  )
  assert.equal(fleet.pending.size, 0)
  fleet.boot(nodeId('b3'))
  fleet.until('it runs it again', () => number() === before)
})

test('a drained device gives up its daemons and has them again when it is opened; a cordoned one keeps them', () => {
  const fleet = everywhere()
  setIntake(fleet, nodeId('a2'), 'cordoned')
  fleet.run(20_000)
  assert.deepEqual(nodes(fleet), ALL)
  setIntake(fleet, nodeId('a2'), 'draining')
  const others = ALL.filter((node) => node !== 'a2')
  fleet.until('it runs none', () => nodes(fleet).join() === others.join())
  fleet.run(30_000)
  assert.deepEqual(nodes(fleet), others)
  assert.equal(fleet.pending.size, 0)
  setIntake(fleet, nodeId('a2'), 'open')
  fleet.until('it runs it again', () => nodes(fleet).join() === ALL.join())
})

test('leaders come and go and every device keeps its one copy', () => {
  const fleet = everywhere()
  const before = fleet.running()
  fleet.elect(A, nodeId('a2'))
  fleet.elect(ROOT, nodeId('c3'))
  fleet.run(30_000)
  assert.deepEqual(fleet.running(), before)
  assert.equal(fleet.log.length, 9)
})

test('a device without room is pending and says what it lacks; the others are not kept waiting', () => {
  const fleet = new Fleet()
  fleet.submit(specOf({ name: 'large', memoryMb: 3_400 }), A)
  fleet.until('the large one runs', () => fleet.running().length === 1)
  const full = nodes(fleet)[0]
  fleet.run(3_000)
  fleet.submit(daemon({ memoryMb: 1_000 }), A)
  fleet.until('the others run it', () => fleet.running().length === 3)
  fleet.until('one is pending', () => fleet.pending.size === 1)
  assert.match([...fleet.pending.values()][0] ?? '', /^0 of 1 device: 1 lacks memory \(need 1000 MB/)
  fleet.remove(specOf({ name: 'large' }), A)
  fleet.until(
    'it has room now',
    () => fleet.running().filter((one) => one.endsWith(`@${full}`)).length === 1 && fleet.running().length === 3,
  )
})

test('a removed daemon stops everywhere', () => {
  const fleet = everywhere()
  fleet.remove(daemon())
  fleet.until('none runs it', () => fleet.running().length === 0)
  fleet.run(10_000)
  assert.equal(fleet.running().length, 0)
})

test('everything comes about although every third message is lost', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const fleet = new Fleet({ seed, loss: 0.33 })
    fleet.submit(daemon())
    fleet.until(`all run it (seed ${seed})`, () => nodes(fleet).join() === ALL.join(), 120_000)
    fleet.remove(daemon())
    fleet.until(`none runs it (seed ${seed})`, () => fleet.running().length === 0, 120_000)
  }
})

test('a new version of a daemon comes cluster by cluster, and a bad one goes no further than the first', () => {
  const update = { ...SPEC_DEFAULTS.update, order: 'stop-first' as const, monitorMs: 2_000 }
  const version = (name: string) => daemon({ environment: { VERSION: name }, update })
  const script: Script = (_node, { environment }) =>
    environment.VERSION === '2' ? { kind: 'exits', afterMs: 500, code: 1 } : { kind: 'runs' }
  const fleet = everywhere(version('1'), ROOT, { script })
  fleet.run(3_000)
  fleet.submit(version('2'))
  fleet.until('it has begun', () => fleet.versionsOf('web').includes('2'))
  fleet.until('all are back', () => fleet.versionsOf('web').join('') === '1'.repeat(9))
  assert.equal(fleet.store(nodeId('a1'), ROOT).rollout(WEB)?.message.state, 'rolled-back')
  const touched = fleet.log.filter((line) => line.startsWith('stop')).map((line) => line.split('@')[1]?.slice(0, 1))
  assert.equal(new Set(touched).size, 1, 'the other clusters never saw it')
  fleet.submit(version('3'))
  fleet.until('all have the third', () => fleet.versionsOf('web').join('') === '3'.repeat(9))
})

test('a later leader gives the number of a device that was drained to nobody before it has given it up', () => {
  const fleet = new Fleet()
  setIntake(fleet, nodeId('a3'), 'cordoned')
  fleet.run(3_000)
  fleet.submit(daemon(), A)
  fleet.until('both open devices run it', () => nodes(fleet).join() === 'a1,a2')
  setIntake(fleet, nodeId('a1'), 'draining')
  fleet.elect(A, nodeId('a2'))
  fleet.until('it has given it up', () => nodes(fleet).join() === 'a2')
  setIntake(fleet, nodeId('a3'), 'open')
  fleet.until('the other one runs it as well', () => nodes(fleet).join() === 'a2,a3')
  setIntake(fleet, nodeId('a1'), 'open')
  fleet.until('each device runs it', () => nodes(fleet).join() === 'a1,a2,a3')
  assert.equal(new Set(numbers(fleet)).size, 3)
})

test('a new version of a daemon goes on to the next cluster where a device of the first is gone for good', () => {
  const update = { ...SPEC_DEFAULTS.update, monitorMs: 1_000 }
  const version = (name: string) => daemon({ environment: { VERSION: name }, update })
  const fleet = everywhere(version('1'))
  fleet.kill(nodeId('a3'))
  fleet.run(20_000)
  fleet.submit(version('2'))
  fleet.until('all that are left run it', () => fleet.versionsOf('web').join() === Array(8).fill('2').join())
})

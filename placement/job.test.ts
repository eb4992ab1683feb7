// Jobs: each number runs until it has ended well, once, whatever dies and whoever leads; one that fails is not tried
// for ever.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, nodeId, ROOT, serviceId } from '../overlay/kernel/ids.ts'
import { JOB_ATTEMPTS_MAX } from './constants.ts'
import { Fleet } from './fleet-harness.ts'
import { type Script, specOf } from './placement-fixtures.ts'
import type { ServiceSpec } from './spec.ts'

const WEB = serviceId('shop.prod.web.prod')
const A = '/a' as DomainPath
const B = '/b' as DomainPath

const job = (changes: Partial<ServiceSpec> = {}): ServiceSpec =>
  specOf({ kind: 'job', restart: { policy: 'on-failure', delayMs: 500, delayMsMax: 1_000 }, ...changes })
const endsWell: Script = () => ({ kind: 'exits', afterMs: 300, code: 0 })
const fails: Script = () => ({ kind: 'exits', afterMs: 100, code: 7 })

const starts = (fleet: Fleet): readonly string[] => fleet.log.filter((line) => line.startsWith('start'))
const outcomes = (fleet: Fleet, domain: DomainPath = ROOT) =>
  fleet
    .store(fleet.leaderOf(domain), domain)
    .placements(WEB)
    .map(({ message }) => message.outcome ?? null)
const homeOf = (line: string | undefined) => nodeId((line ?? '').split('@')[1] ?? '')

test('each instance of a job runs once, and its end is known at every level', () => {
  const fleet = new Fleet({ script: endsWell })
  fleet.submit(job({ replicas: 4 }))
  fleet.until('all are done', () => outcomes(fleet).join() === 'done,done,done,done')
  fleet.run(60_000)
  assert.equal(starts(fleet).length, 4)
  assert.equal(fleet.pending.size, 0)
})

test('a job that is done stays done when its device dies, its cluster dies, and all leaders change', () => {
  const fleet = new Fleet({ script: endsWell })
  fleet.submit(job())
  fleet.until('it is done', () => outcomes(fleet).join() === 'done')
  const home = homeOf(starts(fleet)[0])
  fleet.elect(A, nodeId('a2'))
  fleet.elect(ROOT, nodeId('c1'))
  fleet.kill(home)
  fleet.run(60_000)
  for (const node of ['a1', 'a2', 'a3']) if (fleet.devices.get(nodeId(node))?.isUp) fleet.kill(nodeId(node))
  fleet.run(60_000)
  fleet.elect(ROOT, nodeId('b1'))
  fleet.run(60_000)
  assert.equal(starts(fleet).length, 1)
})

test('the word that a job is done is repeated until the parent has heard it', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const fleet = new Fleet({ seed, loss: 0.4, script: endsWell })
    fleet.submit(job({ replicas: 3 }))
    fleet.until(`all are done (seed ${seed})`, () => outcomes(fleet).join() === 'done,done,done', 120_000)
  }
})

test('a device that starts again does not run again what it has done', () => {
  const fleet = new Fleet({ script: endsWell })
  fleet.submit(job())
  fleet.until('it is done', () => outcomes(fleet).join() === 'done')
  const home = homeOf(starts(fleet)[0])
  fleet.kill(home)
  fleet.boot(home)
  fleet.elect(A, nodeId('a3'))
  fleet.run(60_000)
  assert.equal(starts(fleet).length, 1)
})

test('a device that dies before the job is done gives it to another', () => {
  const fleet = new Fleet({ script: () => ({ kind: 'exits', afterMs: 20_000, code: 0 }) })
  fleet.submit(job(), B)
  fleet.until('it runs', () => fleet.running().length === 1)
  const home = homeOf(starts(fleet)[0])
  fleet.elect(B, nodeId(home === 'b1' ? 'b2' : 'b1'))
  fleet.run(2_000)
  fleet.kill(home)
  fleet.until('it is done elsewhere', () => outcomes(fleet, B).join() === 'done')
  assert.equal(starts(fleet).length, 2)
})

for (const policy of ['on-failure', 'never', 'always'] as const) {
  test(`a job that fails (restart: ${policy}) is tried on several devices, and then has failed for good`, () => {
    const fleet = new Fleet({ script: fails })
    fleet.submit(job({ restart: { policy, delayMs: 500, delayMsMax: 1_000 } }), A)
    fleet.until('it has failed', () => outcomes(fleet, A).join() === 'failed', 300_000)
    fleet.run(120_000)
    assert.equal(starts(fleet).length, JOB_ATTEMPTS_MAX)
    assert.equal(new Set(starts(fleet).map(homeOf)).size, 3, 'each device had a go')
    const placed = fleet.store(nodeId('a1'), A).placement(WEB, 0)?.message
    assert.match(placed?.reason ?? '', /^failed 6 times; the last: .*exit code 7/)
  })
}

test('what failed for good in a cluster has failed for its parent too', () => {
  const fleet = new Fleet({ script: fails, clusters: [A], nodesPerCluster: 3 })
  fleet.submit(job())
  fleet.until('the root knows', () => outcomes(fleet).join() === 'failed', 600_000)
  const count = starts(fleet).length
  fleet.run(300_000)
  assert.equal(starts(fleet).length, count)
})

test('a failed attempt is followed by a good one', () => {
  const fleet = new Fleet({
    script: (_node, _spec, restarts) => ({ kind: 'exits', afterMs: 100, code: restarts === 0 ? 1 : 0 }),
  })
  fleet.submit(job())
  fleet.until('it is done', () => outcomes(fleet).join() === 'done')
  assert.equal(starts(fleet).length, 2)
})

test('scaling a job up runs the new numbers only; another version runs all again', () => {
  const fleet = new Fleet({ script: endsWell })
  fleet.submit(job({ replicas: 2 }))
  fleet.until('two are done', () => outcomes(fleet).join() === 'done,done')
  fleet.submit(job({ replicas: 3 }), ROOT, true)
  fleet.until('three are done', () => outcomes(fleet).join() === 'done,done,done')
  fleet.run(20_000)
  assert.equal(starts(fleet).length, 3)
  fleet.submit(job({ replicas: 3, environment: { VERSION: '2' } }))
  fleet.until('all ran again', () => starts(fleet).length === 6 && outcomes(fleet).join() === 'done,done,done')
})

test('a job that was removed and deployed again runs again', () => {
  const fleet = new Fleet({ script: endsWell })
  fleet.submit(job())
  fleet.until('it is done', () => outcomes(fleet).join() === 'done')
  fleet.run(5_000)
  fleet.remove(job())
  fleet.submit(job())
  fleet.until('it ran again', () => starts(fleet).length === 2 && outcomes(fleet).join() === 'done')
})

test('what a job that is done had reserved is free again, in the leader’s books too', () => {
  const fleet = new Fleet({ script: endsWell, clusters: [A], nodesPerCluster: 1 })
  fleet.submit(job({ memoryMb: 3_000 }), A)
  fleet.until('it is done', () => outcomes(fleet, A).join() === 'done')
  fleet.submit(specOf({ name: 'large', memoryMb: 3_000 }), A)
  fleet.until('the next one fits', () => starts(fleet).length === 2)
})

// New versions, step by step: one after the other, only when the last one ran for a while, and back when one fails;
// whoever leads meanwhile.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, nodeId, ROOT, serviceId } from '../overlay/kernel/ids.ts'
import type { FleetOptions } from './device-harness.ts'
import { Fleet } from './fleet-harness.ts'
import { HEALTHCHECK, type Outcome, type Script, specOf } from './placement-fixtures.ts'
import { type ServiceSpec, SPEC_DEFAULTS } from './spec.ts'

const WEB = serviceId('shop.prod.web.prod')
const A = '/a' as DomainPath

/** Version 2 ends after a while; everything else runs. */
const badSecond =
  (outcome: Outcome): Script =>
  (_node, { environment }) =>
    environment.VERSION === '2' ? outcome : { kind: 'runs' }
const crashes: Outcome = { kind: 'exits', afterMs: 700, code: 3 }

const version = (name: string, replicas = 4, update: Partial<ServiceSpec['update']> = {}): ServiceSpec =>
  specOf({
    replicas,
    environment: { VERSION: name },
    update: { ...SPEC_DEFAULTS.update, order: 'stop-first', monitorMs: 2_000, ...update },
  })

function running(options: FleetOptions = {}, spec = version('1'), domain: DomainPath = ROOT): Fleet {
  const fleet = new Fleet(options)
  fleet.submit(spec, domain)
  fleet.until('all run', () => fleet.running().length === spec.replicas)
  fleet.run(3_000)
  return fleet
}

const rollout = (fleet: Fleet, domain: DomainPath = ROOT) =>
  fleet.store(fleet.leaderOf(domain), domain).rollout(WEB)?.message ?? null
const of = (fleet: Fleet, name: string): number => fleet.versionsOf('web').filter((one) => one === name).length

/** Runs until it is so; what the fleet runs is shown to `look` all the while. */
function watch(fleet: Fleet, until: () => boolean, look: () => void, limitMs = 120_000): void {
  for (let ms = 0; !until(); ms += 20) {
    assert.ok(ms < limitMs, `${limitMs} ms passed: ${fleet.versionsOf('web')} ${JSON.stringify(rollout(fleet))}`)
    fleet.run(20)
    look()
  }
}

test('the first version of a service is no rollout', () => {
  assert.equal(rollout(running()), null)
})

for (const parallel of [1, 2]) {
  test(`a new version takes ${parallel} at a time, each when the last ran for monitorMs`, () => {
    const fleet = running()
    const before = fleet.running()
    const start = fleet.now()
    fleet.submit(version('2', 4, { parallel }))
    let leastOld = 4
    watch(
      fleet,
      () => rollout(fleet)?.state === 'done',
      () => {
        leastOld = Math.min(leastOld, of(fleet, '1'))
        assert.ok(fleet.running().length >= 4 - parallel, 'the others go on running')
        const steps = Math.floor((fleet.now() - start) / 2_000)
        assert.ok(4 - of(fleet, '1') <= (steps + 1) * parallel, `${of(fleet, '2')} new after ${fleet.now() - start} ms`)
      },
    )
    assert.deepEqual(fleet.versionsOf('web'), ['2', '2', '2', '2'])
    assert.deepEqual(fleet.running(), before, 'in place')
    const ms = fleet.now() - start
    assert.ok(ms >= (4 / parallel) * 2_000 && ms < (4 / parallel) * 2_000 + 2_500, `${ms} ms`)
  })
}

test('between two steps there is the pause that the service asks for', () => {
  const fleet = running()
  const start = fleet.now()
  fleet.submit(version('2', 4, { delayMs: 3_000 }))
  watch(
    fleet,
    () => rollout(fleet)?.state === 'done',
    () => undefined,
  )
  assert.ok(fleet.now() - start >= 4 * 2_000 + 3 * 3_000, `${fleet.now() - start} ms`)
})

test('a version that fails while it is watched is rolled back, and no more than one had it', () => {
  const fleet = running({ script: badSecond(crashes) })
  fleet.submit(version('2'))
  let mostNew = 0
  watch(
    fleet,
    () => rollout(fleet)?.state === 'rolled-back' && of(fleet, '1') === 4,
    () => {
      mostNew = Math.max(mostNew, of(fleet, '2'))
    },
  )
  assert.equal(mostNew, 1)
  assert.match(rollout(fleet)?.reason ?? '', /^#0: device-\w+: exit code 3/)
  fleet.run(60_000)
  assert.deepEqual(fleet.versionsOf('web'), ['1', '1', '1', '1'], 'and stays so')
})

test('a version that cannot be started at all is rolled back', () => {
  const fleet = running({ script: badSecond({ kind: 'fails', detail: 'no such program' }) })
  fleet.submit(version('2'))
  fleet.until('it is rolled back', () => rollout(fleet)?.state === 'rolled-back' && of(fleet, '1') === 4)
  assert.match(rollout(fleet)?.reason ?? '', /no such program/)
})

test('instances that passed already go back too', () => {
  let starts = 0
  const script: Script = (_node, { environment }) => {
    if (environment.VERSION !== '2') return { kind: 'runs' }
    starts += 1
    return starts > 2 ? crashes : { kind: 'runs' }
  }
  const fleet = running({ script })
  fleet.submit(version('2'))
  fleet.until('three were tried', () => starts === 3)
  fleet.until('all are back', () => of(fleet, '1') === 4)
  fleet.run(30_000)
  assert.deepEqual(fleet.versionsOf('web'), ['1', '1', '1', '1'])
})

test('leaders change in the middle, at both levels, and the version is rolled back all the same', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const fleet = running({ seed, loss: 0.1, script: badSecond(crashes) })
    fleet.submit(version('2'))
    fleet.until('it has begun', () => of(fleet, '2') > 0)
    fleet.elect(ROOT, nodeId('b2'))
    fleet.elect(A, nodeId('a3'))
    fleet.until(`all are back (seed ${seed})`, () => rollout(fleet)?.state === 'rolled-back' && of(fleet, '1') === 4)
    fleet.elect(ROOT, nodeId('c1'))
    fleet.run(60_000)
    assert.deepEqual(fleet.versionsOf('web'), ['1', '1', '1', '1'], `and the next leader leaves it so (seed ${seed})`)
  }
})

test('the leader dies in the middle of a good version, and the next one brings it to its end', () => {
  const fleet = running({}, version('1', 6))
  fleet.submit(version('2', 6))
  fleet.until('two have it', () => of(fleet, '2') === 2)
  fleet.kill(nodeId('a1'))
  fleet.run(1_000)
  fleet.elect(A, nodeId('a2'))
  fleet.elect(ROOT, nodeId('b1'))
  fleet.until('all have it', () => of(fleet, '2') === 6 && rollout(fleet)?.state === 'done')
})

test('`pause` stops where it is, and a newer version goes on from there', () => {
  const fleet = running({ script: badSecond(crashes) })
  fleet.submit(version('2', 4, { onFailure: 'pause' }))
  fleet.until('it is paused', () => rollout(fleet)?.state === 'paused')
  fleet.run(30_000)
  assert.equal(of(fleet, '1'), 3)
  fleet.submit(version('3'))
  fleet.until('all have the third', () => of(fleet, '3') === 4 && rollout(fleet)?.state === 'done')
})

test('`continue` goes on whatever happens', () => {
  let starts = 0
  const script: Script = (_node, { environment }) => {
    if (environment.VERSION !== '2') return { kind: 'runs' }
    starts += 1
    return starts === 1 ? crashes : { kind: 'runs' }
  }
  const fleet = running({ script })
  fleet.submit(version('2', 4, { onFailure: 'continue' }))
  fleet.until('all have it', () => of(fleet, '2') === 4 && rollout(fleet)?.state === 'done')
})

test('what was rolled back may be tried again, and what follows goes back to the last good version', () => {
  let isFixed = false
  const script: Script = (_node, { environment }) =>
    environment.VERSION === '1' || isFixed ? { kind: 'runs' } : crashes
  const fleet = running({ script })
  fleet.submit(version('2'))
  fleet.until('the second is rolled back', () => rollout(fleet)?.state === 'rolled-back' && of(fleet, '1') === 4)
  fleet.submit(version('3'))
  fleet.until('the third is tried', () => of(fleet, '3') > 0)
  fleet.until('and is rolled back to the first', () => of(fleet, '1') === 4)
  fleet.run(10_000)
  isFixed = true
  fleet.submit(version('3'))
  fleet.until('the third comes about', () => of(fleet, '3') === 4 && rollout(fleet)?.state === 'done')
})

test('scaling restarts nothing, in the middle of a new version and after a rollback', () => {
  const fleet = running()
  fleet.submit(version('2'))
  fleet.until('two have it', () => of(fleet, '2') === 2)
  fleet.submit(version('2', 6), ROOT, true)
  fleet.until('all six have it', () => of(fleet, '2') === 6 && rollout(fleet)?.state === 'done')
  const starts = () => fleet.log.filter((line) => line.startsWith('start')).length
  assert.equal(starts(), 4 + 4 + 2)
  fleet.submit(version('2', 7), ROOT, true)
  fleet.until('seven run', () => of(fleet, '2') === 7)
  fleet.run(10_000)
  assert.equal(starts(), 4 + 4 + 2 + 1)
})

test('after a rollback the service scales with the version that runs', () => {
  const fleet = running({ script: badSecond(crashes) })
  fleet.submit(version('2'))
  fleet.until('it is rolled back', () => rollout(fleet)?.state === 'rolled-back' && of(fleet, '1') === 4)
  fleet.run(5_000)
  const before = fleet.log.length
  fleet.submit(version('2', 6), ROOT, true)
  fleet.until('six run', () => of(fleet, '1') === 6)
  fleet.run(20_000)
  assert.deepEqual(
    fleet.log.slice(before).map((line) => line.split(' ')[0]),
    ['start', 'start'],
  )
})

test('a device that dies in the middle gets its instance back in the version that it had', () => {
  const fleet = running({}, version('1', 9, { monitorMs: 6_000 }))
  fleet.submit(version('2', 9, { monitorMs: 6_000 }))
  fleet.until('one has it', () => of(fleet, '2') === 1)
  const old = fleet.running().find((one) => one.includes('#8@')) ?? ''
  fleet.kill(nodeId(old.split('@')[1] ?? ''))
  fleet.until('nine run', () => fleet.running().length === 9, 5_000)
  assert.deepEqual([of(fleet, '1'), of(fleet, '2')], [8, 1])
})

test('with a health check a new instance counts once it has passed it', () => {
  const withCheck = (name: string): ServiceSpec => ({ ...version(name, 2), healthcheck: HEALTHCHECK })
  const fleet = running({}, withCheck('1'))
  fleet.submit(withCheck('2'))
  fleet.run(20_000)
  assert.deepEqual([of(fleet, '1'), of(fleet, '2')], [1, 1], 'nobody has said that the first is healthy')
  fleet.tellHealth('web', true)
  fleet.until('the second has it', () => of(fleet, '2') === 2)
  fleet.run(200)
  fleet.tellHealth('web', false)
  fleet.until('it is rolled back', () => rollout(fleet)?.state === 'rolled-back' && of(fleet, '1') === 2)
})

test('a removed service takes its rollout with it', () => {
  const fleet = running()
  fleet.submit(version('2'))
  fleet.until('it has begun', () => rollout(fleet)?.state === 'rolling')
  fleet.remove(version('2'))
  fleet.until('nothing runs', () => fleet.running().length === 0)
  assert.equal(rollout(fleet)?.state, 'gone')
})

const startFirst = (name: string, replicas = 3): ServiceSpec => version(name, replicas, { order: 'start-first' })

test('start-first: at no moment fewer run than are wanted, and the old one ends once the new one runs', () => {
  const fleet = running({}, startFirst('1'))
  fleet.submit(startFirst('2'))
  watch(
    fleet,
    () => rollout(fleet)?.state === 'done',
    () => assert.ok(fleet.running().length >= 3, `${fleet.running()}`),
  )
  fleet.run(3_000)
  assert.deepEqual(fleet.versionsOf('web'), ['2', '2', '2'])
})

test('start-first: a version that fails takes nothing away, and the old one is not even restarted', () => {
  const fleet = running({ script: badSecond(crashes) }, startFirst('1'))
  const before = fleet.running()
  fleet.submit(startFirst('2'))
  watch(
    fleet,
    () => rollout(fleet)?.state === 'rolled-back' && fleet.running().length === 3,
    () => assert.equal(of(fleet, '1'), 3),
  )
  fleet.run(30_000)
  assert.deepEqual([fleet.running(), fleet.versionsOf('web')], [before, ['1', '1', '1']])
  assert.equal(
    fleet.log.filter((line) => line.startsWith('start') && before.some((one) => line.endsWith(one))).length,
    3,
  )
})

test('start-first: where no other device has room, the new version takes the place of the old one', () => {
  const fleet = new Fleet({ clusters: [A], nodesPerCluster: 1 })
  fleet.submit(startFirst('1', 1), A)
  fleet.until('it runs', () => of(fleet, '1') === 1)
  fleet.run(3_000)
  fleet.submit(startFirst('2', 1), A)
  fleet.until('the second took its place', () => of(fleet, '2') === 1 && rollout(fleet, A)?.state === 'done')
})

test('a version that failed on the only device does not keep the next one away from it', () => {
  for (const clusters of [['/a'], ['/a', '/b']] as DomainPath[][]) {
    const script: Script = (_node, { environment }) =>
      environment.VERSION === '1' ? { kind: 'fails', detail: 'a bad version' } : { kind: 'runs' }
    const fleet = new Fleet({ clusters, nodesPerCluster: 1, script })
    fleet.submit(specOf({ environment: { VERSION: '1' } }))
    fleet.run(120_000)
    fleet.submit(specOf({ environment: { VERSION: '2' } }))
    fleet.until('the next one runs', () => fleet.versionsOf('web').join() === '2', 45_000)
  }
})

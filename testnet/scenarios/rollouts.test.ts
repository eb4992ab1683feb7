// New versions, jobs and daemons in a whole federation, with its elections, stores and encoded messages.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { instanceKey, ROOT } from '../../overlay/kernel/ids.ts'
import { type ServiceSpec, serviceIdOf } from '../../placement/spec.ts'
import type { RolloutRecord } from '../../services-registry/record.ts'
import { type Stage, serviceOf, setStage } from './stage.ts'

const MONITOR_MS = 3_000
const update = { parallel: 1, order: 'stop-first', delayMs: 0, monitorMs: MONITOR_MS, onFailure: 'rollback' } as const

const version = (name: string, command: readonly string[] = ['serve']): ServiceSpec => ({
  ...serviceOf('web', 3),
  command,
  environment: { VERSION: name },
  update,
})
const WEB = serviceIdOf(version('1'))

const versions = ({ devices }: Stage): readonly string[] =>
  devices.flatMap(({ instances }) => [...instances.values()].map((one) => one.version)).sort()

function rolloutSeen({ devices }: Stage): RolloutRecord | null {
  const stores = devices.flatMap(({ core }) => core?.view.stores().filter(({ domain }) => domain === ROOT) ?? [])
  return stores.map((store) => store.rollout(WEB)?.message ?? null).find((one) => one !== null) ?? null
}

function until(stage: Stage, what: string, isSo: () => boolean, msMax: number, look = (): void => undefined): void {
  for (let ms = 0; !isSo(); ms += 50) {
    assert.ok(ms < msMax, `${what} within ${msMax} ms: ${versions(stage)} ${JSON.stringify(rolloutSeen(stage))}`)
    stage.run(50)
    look()
  }
}

function settled(nodes: number, clusters: number, seed = 1): Stage {
  const stage = setStage({ nodes, clusters, seed })
  stage.run(30_000)
  stage.settle()
  return stage
}

test('a good version reaches all, one after the other', () => {
  const stage = settled(6, 2)
  stage.deploy('b1', version('1'))
  stage.settle()
  stage.deploy('b1', version('2'))
  let least = 3
  until(
    stage,
    'all have the second',
    () => rolloutSeen(stage)?.state === 'done',
    30_000,
    () => {
      least = Math.min(
        least,
        [...stage.devices].flatMap(({ instances }) => [...instances.values()].filter((one) => one.isRunning)).length,
      )
    },
  )
  assert.ok(least >= 2, `${least} ran at the least`)
  stage.settle()
})

for (const seed of [1, 2]) {
  test(`a bad version is rolled back although the leader is killed in the middle (seed ${seed})`, () => {
    const stage = settled(6, 2, seed)
    stage.deploy('b1', version('1'))
    stage.settle()
    stage.deploy('b1', version('2', ['run', '2000', '3']))
    until(stage, 'one has the second', () => versions(stage).includes('2'), 10_000)
    const leader = stage.device(stage.leaderSeenBy('b1', ROOT) ?? '')
    leader.cutPower()
    let mostNew = 0
    until(
      stage,
      'all are back',
      () => rolloutSeen(stage)?.state === 'rolled-back' && versions(stage).join('') === '111',
      60_000,
      () => {
        mostNew = Math.max(mostNew, versions(stage).filter((one) => one === '2').length)
      },
    )
    assert.ok(mostNew <= 1, `${mostNew} had it at once`)
    assert.match(rolloutSeen(stage)?.reason ?? '', /exit code 3/)
    stage.run(20_000)
    assert.equal(versions(stage).join(''), '111')
  })
}

test('a job that is done is not run again when its device is lost', () => {
  const stage = settled(6, 2)
  const job: ServiceSpec = { ...serviceOf('job', 1), kind: 'job', command: ['run', '1000', '0'] }
  const key = instanceKey(serviceIdOf(job), 0)
  stage.deploy('a2', job)
  until(stage, 'it runs', () => stage.whoRuns(key).length === 1, 10_000)
  const [home] = stage.whoRuns(key)
  until(stage, 'it ended', () => stage.whoRuns(key).length === 0, 10_000)
  stage.settle()
  stage.device(home ?? '').lose()
  for (let ms = 0; ms < 60_000; ms += 50) {
    stage.run(50)
    assert.deepEqual(stage.whoRuns(key), [], `${ms} ms later`)
  }
})

test('a daemon runs on every device, and on one that joins later', () => {
  const stage = setStage({ nodes: 6, clusters: 2 })
  stage.run(30_000)
  const late = stage.devices.find(({ node }) => node !== stage.leaderSeenBy('a1', ROOT))
  assert.ok(late !== undefined)
  late.cutPower()
  stage.settle()
  const daemon: ServiceSpec = { ...serviceOf('agent', 1), kind: 'daemon' }
  const onDevices = (): number => stage.devices.filter(({ instances }) => instances.size > 0).length
  stage.deploy(stage.devices.find(({ isUp }) => isUp)?.node ?? '', daemon)
  until(stage, 'five run it', () => onDevices() === 5, 20_000)
  stage.settle()
  late.start()
  until(stage, 'all six run it', () => onDevices() === 6, 60_000)
  stage.settle()
})

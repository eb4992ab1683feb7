// What a device knew as an elector is missing or cannot be read when it starts: it comes back as a learner, under
// another ticket and a higher incarnation, and never as the voter that it was.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isElector } from '../../election/index.ts'
import { ROOT } from '../../overlay/kernel/ids.ts'
import type { Device } from '../sim/device.ts'
import { type Stage, serviceOf, setStage } from './stage.ts'

const VOTES = 'election//a'

const stateOf = (device: Device) => device.core?.view.seats()[0]?.state ?? assert.fail(`${device.node} has a seat`)
const incarnationOf = (device: Device): number => device.core?.view.incarnation ?? 0

function someElector(stage: Stage): Device {
  const leader = stage.leaderSeenBy('a1', ROOT)
  const found = stage.devices.find((device) => device.node !== leader && isElector(stateOf(device)))
  assert.ok(found !== undefined)
  return found
}

/** Does something to the disk of an elector that is switched off, and switches it on again. */
function comesBack(seed: number, tamper: (device: Device) => void): Device {
  const stage = setStage({ nodes: 3, clusters: 1, seed })
  stage.run(30_000)
  stage.settle()
  const device = someElector(stage)
  const { ticket } = stateOf(device)
  const others = stage.devices.filter((other) => other !== device)
  const terms = others.map((other) => stateOf(other).term)
  device.cutPower()
  tamper(device)
  stage.run(1_000)
  device.start()
  // Enough to meet somebody, and not enough to be steady.
  stage.run(2_000)
  assert.notEqual(stateOf(device).ticket, ticket)
  assert.ok(!isElector(stateOf(device)), 'it has no vote')
  stage.run(20_000)
  assert.ok(isElector(stateOf(device)), 'it was made an elector again')
  assert.deepEqual(
    others.map((other) => stateOf(other).term),
    terms,
    'and nobody was disturbed',
  )
  stage.settle()
  return device
}

test('a device whose vote file is missing comes back as a learner with a higher incarnation', () => {
  for (const seed of [1, 2]) {
    const device = comesBack(seed, ({ disk }) => {
      assert.ok(disk.read().has(VOTES))
      disk.port.write(VOTES, null, true, () => undefined)
    })
    assert.ok(incarnationOf(device) >= 2)
  }
})

test('a device whose vote file is damaged comes back as a learner with a higher incarnation', () => {
  const damages: readonly ((bytes: Uint8Array) => Uint8Array)[] = [
    (bytes) => bytes.slice(0, bytes.length / 2),
    (bytes) => bytes.map((byte) => byte ^ 0xff),
    () => new Uint8Array(),
  ]
  for (const [index, damage] of damages.entries()) {
    const device = comesBack(index + 1, ({ disk }) => {
      disk.writeNow(VOTES, damage(disk.read().get(VOTES) ?? assert.fail('it voted before')))
    })
    assert.ok(incarnationOf(device) >= 2)
  }
})

test('a device whose whole store is gone comes back as a learner', () => {
  comesBack(3, (device) => device.wipe())
})

test('what a device says it has is believed again after it lost its disk', () => {
  const stage = setStage({ nodes: 3, clusters: 1 })
  stage.run(20_000)
  const leader = stage.device(stage.leaderSeenBy('a1', ROOT) ?? '')
  const lost = stage.devices.find((device) => device !== leader) ?? assert.fail('there are three')
  const usedAsTold = (): number | undefined => leader.core?.view.summaryOf(lost.node)?.cpuUsed
  for (const used of [0.2, 0.6]) {
    // It was started twice before, so that what it said then was said in a later life than its first.
    lost.killProcess()
    lost.strain(() => used)
    lost.start()
    stage.run(12_000)
  }
  assert.equal(usedAsTold(), 0.6)
  lost.wipe()
  lost.strain(() => 0.3)
  lost.start()
  stage.run(12_000)
  assert.equal(usedAsTold(), 0.3)
})

test('what a device says of its instances is believed again after it lost its disk', () => {
  const stage = setStage({ nodes: 3, clusters: 1 })
  stage.run(20_000)
  const leader = stage.device(stage.leaderSeenBy('a1', ROOT) ?? '')
  const lost = stage.devices.find((device) => device !== leader) ?? assert.fail('there are three')
  stage.deploy(leader.node, serviceOf('web', 6))
  stage.run(10_000)
  const saidOf = () =>
    [...(leader.core?.view.stores()[0]?.allInstances() ?? [])]
      .filter(({ from, message }) => from === lost.node && message.live)
      .map(({ message }) => message)
  assert.notEqual(saidOf().length, 0)
  for (const _ of [1, 2]) {
    lost.killProcess()
    lost.start()
    stage.run(10_000)
  }
  const former = saidOf()
  assert.notEqual(former.length, 0)
  lost.wipe()
  lost.start()
  stage.run(20_000)
  const numbers = new Set(saidOf().map(({ number }) => number))
  assert.ok(former.some(({ number }) => numbers.has(number)))
  for (const { state, incarnation } of saidOf()) {
    assert.equal(state, 'running')
    assert.ok(former.every((word) => word.incarnation < incarnation))
  }
  stage.settle()
})

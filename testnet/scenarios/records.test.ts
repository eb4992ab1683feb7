// What was accepted is not lost, whoever restarts, is replaced or was not there yet: stories of records and those who
// hold them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ROOT } from '../../overlay/kernel/ids.ts'
import { serviceIdOf } from '../../placement/spec.ts'
import { serviceOf, setStage } from './stage.ts'

test('a node that comes to hold the records alone takes in what it submitted before', () => {
  const stage = setStage({ nodes: 2, clusters: 2 })
  const b1 = stage.device('b1')
  stage.run(b1.facts.startsAt + 100)
  stage.deploy('b1', serviceOf('early', 1))
  stage.run(100)
  assert.equal(b1.core?.view.unaccepted().length, 1, 'nobody leads /b yet')
  stage.settle()
})

test('after everyone restarted, a new elector can still check what a former leader ordered', () => {
  const stage = setStage({ nodes: 3, clusters: 1 })
  stage.run(6_000)
  stage.deploy('a1', serviceOf('old', 2))
  stage.run(3_000)
  // Twice, so that everyone's last word from before is of a later leader than the one who gave the orders.
  for (let round = 0; round < 2; round++) {
    for (const device of stage.devices) device.cutPower()
    for (const device of stage.devices) device.start()
    stage.run(4_000)
  }
  stage.settle()
  stage.run(20_000)
  stage.settle()
  const holders = stage.devices.filter(({ core }) => core?.view.stores().some(({ domain }) => domain === ROOT))
  assert.equal(holders.length, 3, 'all three were promoted')
})

test('a holder that was replaced while it was cut off hands on what it took in meanwhile', () => {
  const stage = setStage({ nodes: 7, clusters: 1 })
  stage.run(30_000)
  const isHolder = (name: string): boolean =>
    stage
      .device(name)
      .core?.view.stores()
      .some(({ domain }) => domain === ROOT) === true
  const leader = stage.leaderSeenBy('a1', ROOT)
  const victim = stage.devices.map(({ node }) => node).find((node) => node !== leader && isHolder(node)) ?? ''
  stage.cutOff(victim)
  stage.run(20_000)
  const service = serviceOf('hidden', 1)
  stage.deploy(victim, service)
  stage.run(1_000)
  stage.heal()
  stage.settle()
  const others = stage.devices.filter(({ node }) => node !== victim && isHolder(node))
  const known = others.filter(({ core }) =>
    core?.view.stores().some((store) => store.domain === ROOT && store.spec(serviceIdOf(service)) !== null),
  )
  assert.equal(known.length, others.length)
})

test('what a device took in before it lost its vote comes to those who hold the records, at its next start', () => {
  const stage = setStage({ nodes: 3, clusters: 1 })
  stage.run(30_000)
  const name = stage.leaderSeenBy('a1', ROOT) ?? assert.fail('the root is led')
  const device = stage.device(name)
  stage.cutOff(name)
  const spec = serviceOf('lonely', 1)
  stage.deploy(name, spec)
  stage.run(200)
  assert.deepEqual(device.core?.view.unaccepted(), [], 'it holds the records itself')
  device.cutPower()
  device.disk.writeNow('election//a', new Uint8Array())
  stage.heal()
  stage.run(5_000)
  device.start()
  // Enough to meet somebody, and not enough to be an elector again.
  stage.run(4_000)
  assert.ok(!device.core?.view.stores().some(({ domain }) => domain === ROOT))
  for (const other of stage.devices.filter((one) => one !== device)) {
    const store = other.core?.view.stores().find(({ domain }) => domain === ROOT)
    assert.notEqual(store?.spec(serviceIdOf(spec)) ?? null, null, other.node)
  }
  stage.settle()
})

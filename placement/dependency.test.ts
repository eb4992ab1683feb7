// A service waits for those that it depends on before its first start, says so, and not again later.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeId, serviceId } from '../overlay/kernel/ids.ts'
import { Fleet } from './fleet-harness.ts'
import { HEALTHCHECK, specOf } from './placement-fixtures.ts'

const DB = serviceId('shop.prod.db.prod')
const api = specOf({ name: 'api', dependsOn: [DB] })
const startsOf = (fleet: Fleet, name: string): number =>
  fleet.log.filter((line) => line.startsWith('start') && line.includes(`.${name}.`)).length
const reason = (fleet: Fleet): string => [...fleet.pending.values()].join()

test('a service waits, with the reason, until what it depends on runs in all its copies', () => {
  const fleet = new Fleet()
  fleet.run(3_000)
  fleet.submit(api)
  fleet.until('it waits', () => reason(fleet) === `waits for ${DB}, which is not there`)
  fleet.run(20_000)
  assert.equal(startsOf(fleet, 'api'), 0)
  fleet.submit(specOf({ name: 'db', replicas: 2 }))
  const took = fleet.until('it runs', () => fleet.running().some((one) => one.includes('.api.')), 5_000)
  assert.ok(took < 2_000, `${took} ms after its dependency was deployed`)
  assert.equal(startsOf(fleet, 'db'), 2)
  fleet.run(1_000)
  assert.equal(fleet.pending.size, 0)
})

test('a dependency with a health check has to pass it', () => {
  const fleet = new Fleet()
  fleet.submit(specOf({ name: 'db', healthcheck: HEALTHCHECK }))
  fleet.submit(api)
  fleet.run(20_000)
  assert.equal(startsOf(fleet, 'api'), 0)
  assert.equal(reason(fleet), `waits for ${DB} (0 of 1 run)`)
  fleet.tellHealth('db', true)
  fleet.until('it runs', () => startsOf(fleet, 'api') === 1, 5_000)
})

test('a job that is depended on has to be done', () => {
  const fleet = new Fleet({
    script: (_node, { kind }) => (kind === 'job' ? { kind: 'exits', afterMs: 8_000, code: 0 } : { kind: 'runs' }),
  })
  fleet.submit(specOf({ name: 'db', kind: 'job' }))
  fleet.submit(api)
  fleet.run(6_000)
  assert.deepEqual([startsOf(fleet, 'api'), reason(fleet)], [0, `waits for ${DB} (0 of 1 are done)`])
  fleet.until('it runs', () => startsOf(fleet, 'api') === 1, 10_000)
})

test('what has started once is not held back by a later failure of what it depends on', () => {
  const fleet = new Fleet()
  fleet.submit(specOf({ name: 'db' }))
  fleet.submit(api)
  fleet.until('it runs', () => fleet.running().length === 2)
  fleet.run(3_000)
  fleet.remove(specOf({ name: 'db' }))
  fleet.run(5_000)
  const home = nodeId(fleet.running()[0]?.split('@')[1] ?? '')
  fleet.elect('/a' as never, nodeId('a3'))
  fleet.elect('/' as never, nodeId('a3'))
  fleet.run(2_000)
  fleet.kill(home)
  fleet.until('it runs elsewhere', () => fleet.running().some((one) => one.includes('.api.') && !one.endsWith(home)))
})

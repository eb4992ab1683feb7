// Limits that are measured, after the placement: how much breaking the rigidness leaves, for how long, and that a move
// interrupts nothing.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeId } from '../overlay/kernel/ids.ts'
import { isBroken } from './constraint-watch.ts'
import { Fleet } from './fleet-harness.ts'
import { specOf } from './placement-fixtures.ts'
import type { Constraint, ServiceSpec } from './spec.ts'

const BERLIN = { latitude: 52.52, longitude: 13.405 }
const MUNICH = { latitude: 48.137, longitude: 11.575 }
const NONE = { node: null, cluster: null, clusters: [] }
const SWEEP_MS = 10_000

const near = (rigidness: number, convergenceMs: number): Constraint => ({
  ...NONE,
  kind: 'geo',
  geo: { place: BERLIN, radiusKm: 50, rigidness, convergenceMs },
})

/** One instance that has to be near Berlin, where all devices are. */
function deployed(constraint: Constraint, changes: Partial<ServiceSpec> = {}): Fleet {
  const fleet = new Fleet({ summary: { location: BERLIN } })
  fleet.submit(specOf({ constraints: [constraint], ...changes }))
  fleet.until('it runs', () => fleet.running().length === 1, 30_000)
  fleet.run(12_000)
  return fleet
}

const homeOf = (fleet: Fleet): string => fleet.running()[0]?.split('@')[1] ?? ''

/** Carries a device to another place. */
function carry(fleet: Fleet, id: string, location: typeof BERLIN): void {
  const device = fleet.devices.get(nodeId(id))
  assert.ok(device)
  device.summary = { ...device.summary, location }
}

test('the share of measurements that may break a limit is what the rigidness leaves', () => {
  const of = (broken: number, all: number): boolean[] => Array.from({ length: all }, (_, index) => index < broken)
  assert.equal(isBroken([], 1), false)
  assert.equal(isBroken(of(1, 30), 1), true)
  assert.equal(isBroken(of(0, 30), 1), false)
  assert.equal(isBroken(of(3, 30), 0.9), false)
  assert.equal(isBroken(of(4, 30), 0.9), true)
  assert.equal(isBroken(of(30, 30), 0), false)
})

test('an instance whose device was carried away moves to one that is near, and runs at every moment', () => {
  const fleet = deployed(near(1, 0))
  const home = homeOf(fleet)
  carry(fleet, home, MUNICH)
  fleet.until('it moved', () => {
    assert.ok(fleet.running().length >= 1, 'it runs at every moment')
    return fleet.running().length === 1 && homeOf(fleet) !== home
  })
  fleet.run(3 * SWEEP_MS)
  assert.notEqual(homeOf(fleet), home)
})

test('it stays for as long as the convergence time says', () => {
  const fleet = deployed(near(1, 60_000))
  const home = homeOf(fleet)
  carry(fleet, home, MUNICH)
  fleet.run(50_000)
  assert.equal(homeOf(fleet), home)
  fleet.until('it moved', () => fleet.running().length === 1 && homeOf(fleet) !== home)
})

test('a device that comes back in time keeps it, and a rigidness of nothing keeps it for ever', () => {
  const back = deployed(near(0.6, 120_000))
  const home = homeOf(back)
  carry(back, home, MUNICH)
  back.run(30_000)
  carry(back, home, BERLIN)
  back.run(300_000)
  assert.equal(homeOf(back), home)
  const lax = deployed(near(0, 0))
  const there = homeOf(lax)
  carry(lax, there, MUNICH)
  lax.run(120_000)
  assert.equal(homeOf(lax), there)
})

test('with nobody nearer it stays, and is said to', () => {
  const fleet = deployed(near(1, 0))
  const home = homeOf(fleet)
  for (const id of fleet.devices.keys()) carry(fleet, id, MUNICH)
  fleet.run(60_000)
  assert.equal(homeOf(fleet), home)
})

test('what nobody but people may move is left where it is', () => {
  const fleet = deployed(near(1, 0), { autonomy: 'manual' })
  const home = homeOf(fleet)
  carry(fleet, home, MUNICH)
  fleet.run(60_000)
  assert.equal(homeOf(fleet), home)
})

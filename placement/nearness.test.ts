// Measured constraints at placement: who is left out, in which words, and whom `ldp` asks first.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Coordinate } from '../overlay/coordinates/vivaldi.ts'
import { type ChildId, type DomainPath, instanceKey, nodeId, ROOT, serviceId } from '../overlay/kernel/ids.ts'
import { createInventory, type InventoryView, noteSummary } from './inventory.ts'
import { createLedger } from './ledger.ts'
import { nearnessOf } from './nearness.ts'
import { factsOf, openedBy, specOf, summaryOf } from './placement-fixtures.ts'
import { type Plan, planInstance } from './plan.ts'
import { bestFit } from './plugins/best-fit.ts'
import { ldp } from './plugins/ldp.ts'
import { refusalSentence } from './refusal.ts'
import type { Constraint } from './spec.ts'
import { aggregateOfNode, foldAggregates, type NodeSummary } from './summary.ts'

const A = '/a' as DomainPath
const BERLIN = { latitude: 52.52, longitude: 13.405 }
const POTSDAM = { latitude: 52.4, longitude: 13.06 }
const LEIPZIG = { latitude: 51.34, longitude: 12.37 }
const MUNICH = { latitude: 48.137, longitude: 11.575 }
const RIGOUR = { rigidness: 1, convergenceMs: 0 }
const NONE = { node: null, cluster: null, clusters: [] }

const geo = (radiusKm: number): Constraint => ({ ...NONE, kind: 'geo', geo: { place: BERLIN, radiusKm, ...RIGOUR } })
const latency = (changes: Partial<NonNullable<Constraint['latency']>>): Constraint => ({
  ...NONE,
  kind: 'latency',
  latency: { place: null, selector: null, service: null, thresholdMs: 10, ...RIGOUR, ...changes },
})
/** A node so many ms away along a line. */
const at = (ms: number): Coordinate => ({ vector: [ms, 0, 0], height: 0.5, error: 0.1 })

function inventoryOf(devices: Readonly<Record<string, Partial<NodeSummary>>>): InventoryView {
  const inventory = createInventory(A)
  for (const [id, changes] of Object.entries(devices)) {
    const child = nodeId(id)
    const summary = summaryOf(id, changes)
    const common = { kind: 'placement/summary' as const, domain: A, incarnation: 1, sequence: 1 }
    noteSummary(inventory, openedBy(factsOf(id, A), { ...common, child, summary }), 0)
  }
  return inventory.rows
}

function planned(
  devices: Readonly<Record<string, Partial<NodeSummary>>>,
  constraints: readonly Constraint[],
  runs: readonly string[] = [],
  plugin = ldp,
): Plan {
  return planInstance({
    key: instanceKey(serviceId('shop.prod.web.prod'), 0),
    spec: specOf({ constraints }),
    domain: A,
    children: Object.keys(devices).map((id) => ({ child: nodeId(id), alive: true, canWork: true })),
    inventory: inventoryOf(devices),
    ledger: createLedger(),
    plugin,
    current: null,
    leaving: null,
    to: null,
    tried: new Set(),
    avoid: new Map(),
    avoidNodes: [],
    now: 0,
    runs: () => runs.map((id) => nodeId(id)),
  })
}

const order = ({ ranked }: Plan): readonly ChildId[] => ranked.map(({ child }) => child)
const sentence = ({ ruledOut }: Plan): string => refusalSentence(ruledOut, ruledOut.length)

test('what is too far is left out under every scheduler, with the nearest and how far it is', () => {
  const devices = { munich: { location: MUNICH }, leipzig: { location: LEIPZIG }, somewhere: {} }
  assert.equal(
    sentence(planned(devices, [geo(50)], [], bestFit)),
    '0 of 3 devices: 2 are farther than 50 km from 52.52,13.40 (nearest 149 km: device-leipzig), ' +
      '1 does not say where it stands',
  )
  assert.deepEqual(order(planned({ ...devices, potsdam: { location: POTSDAM } }, [geo(50)], [], bestFit)), ['potsdam'])
})

test('of those near enough ldp asks the nearest first, and says how near it is', () => {
  const devices = { munich: { location: MUNICH }, leipzig: { location: LEIPZIG }, potsdam: { location: POTSDAM } }
  const plan = planned(devices, [geo(1_000)])
  assert.deepEqual(order(plan), ['potsdam', 'leipzig', 'munich'])
  assert.match(plan.ranked[0]?.reason ?? '', /^ldp 0\.\d\d \(27 km to 52\.52,13\.40, no other replica there\)$/)
})

test('two places in one list are both held against a device', () => {
  const munich: Constraint = { ...NONE, kind: 'geo', geo: { place: MUNICH, radiusKm: 400, ...RIGOUR } }
  const devices = { potsdam: { location: POTSDAM }, leipzig: { location: LEIPZIG }, munich: { location: MUNICH } }
  assert.deepEqual(order(planned(devices, [geo(200), munich])), ['leipzig'])
})

test('latency to another service is the predicted round trip to where it runs, and nothing on the same device', () => {
  const devices = { db: { coordinate: at(0) }, near: { coordinate: at(4) }, far: { coordinate: at(60) } }
  const plan = planned(devices, [latency({ service: serviceId('shop.prod.db.prod') })], ['db'])
  assert.deepEqual(order(plan), ['db', 'near'])
  assert.match(sentence(plan), /1 is slower than 10 ms from shop\.prod\.db\.prod \(nearest 61 ms: device-far\)/)
})

test('latency to nodes by a selector means the nearest of them', () => {
  const devices = {
    cam1: { coordinate: at(0), labels: { role: 'camera' } },
    cam2: { coordinate: at(50), labels: { role: 'camera' } },
    work1: { coordinate: at(45) },
    work2: { coordinate: at(25) },
  }
  assert.deepEqual(order(planned(devices, [latency({ selector: 'role=camera' })])), ['cam1', 'cam2', 'work1'])
})

test('users around a place are found between the nodes there; without coordinates the way of light counts', () => {
  const users = latency({ place: BERLIN, thresholdMs: 5 })
  const devices = {
    potsdam: { location: POTSDAM, coordinate: at(1) },
    leipzig: { location: LEIPZIG, coordinate: at(3) },
    satellite: { location: POTSDAM, coordinate: at(300) },
  }
  assert.deepEqual(order(planned({ potsdam: { location: POTSDAM }, munich: { location: MUNICH } }, [users])), [
    'potsdam',
  ])
  const mapped = { ...devices, satellite: { coordinate: at(300) } }
  assert.deepEqual(order(planned(mapped, [users])), ['potsdam', 'leipzig'])
})

test('what nobody can judge is not refused, and comes after what is known to be near', () => {
  const devices = { db: { coordinate: at(0) }, near: { coordinate: at(2) }, unknown: {} }
  const plan = planned(devices, [latency({ service: serviceId('shop.prod.db.prod') })], ['db'])
  assert.deepEqual(order(plan), ['db', 'near', 'unknown'])
  assert.match(plan.ranked[2]?.reason ?? '', /unknown ms to shop\.prod\.db\.prod/)
})

test('a link that says too little is left out, one that says nothing is not', () => {
  const service = serviceId('shop.prod.db.prod')
  const wide: Constraint = { ...NONE, kind: 'bandwidth', bandwidth: { service, mbitPerS: 500, ...RIGOUR } }
  const devices = { db: { linkMbit: 1_000 }, slow: { linkMbit: 100 }, fast: { linkMbit: 1_000 }, silent: {} }
  const plan = planned(devices, [wide], ['db'])
  assert.deepEqual([...order(plan)].sort(), ['db', 'fast', 'silent'])
  assert.match(sentence(plan), /1 has less than 500 Mbit\/s to shop\.prod\.db\.prod \(most 100 Mbit\/s: device-slow\)/)
})

test('a domain is left out only when no device of it can be near enough', () => {
  const parts = [BERLIN, MUNICH].map((location, index) =>
    aggregateOfNode(summaryOf(`n${index}`, { location, coordinate: at(index * 40) }), A),
  )
  const news = { kind: 'domain' as const, child: A, aggregate: foldAggregates(parts) }
  const around = { inventory: new Map(), domain: ROOT, runs: () => [] }
  const near = (constraint: Constraint): number | null =>
    nearnessOf(specOf({ constraints: [constraint] }), around)(news)[0]?.value ?? null
  assert.ok((near(geo(50)) ?? 99) < 1)
  const sydney = { latitude: -33.869, longitude: 151.209 }
  assert.ok((near({ ...NONE, kind: 'geo', geo: { place: sydney, radiusKm: 50, ...RIGOUR } }) ?? 0) > 10_000)
})

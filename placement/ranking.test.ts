// What is kept of earlier judgements never shows: whatever happens to the children in between, the choice is that of
// who judges all of them anew.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type ChildId,
  type DomainPath,
  type InstanceKey,
  instanceKey,
  nodeId,
  ROOT,
  serviceId,
} from '../overlay/kernel/ids.ts'
import { RANKINGS_MAX } from './constants.ts'
import type { InventoryRow } from './inventory.ts'
import { createLedger, enterAsked, enterLeaving, enterPlaced } from './ledger.ts'
import { NOTHING, needOf } from './need.ts'
import { specOf, summaryOf } from './placement-fixtures.ts'
import { type PlanInput, planInstance } from './plan.ts'
import { pluginOf, type SchedulerPlugin } from './plugin.ts'
import { bestFit } from './plugins/best-fit.ts'
import { ldp } from './plugins/ldp.ts'
import { spread } from './plugins/spread.ts'
import { choosePlace, type Rankings } from './ranking.ts'
import { refusal } from './refusal.ts'
import type { ServiceSpec } from './spec.ts'
import { foldAggregate } from './summary.ts'
import type { ChildView } from './view.ts'

const NODES = Array.from({ length: 6 }, (_, index) => nodeId(`n${index}`))
const DOMAINS = Array.from({ length: 4 }, (_, index) => `/d${index}` as DomainPath)
const SERVICES = ['shop.prod.web.prod', 'shop.prod.api.prod'].map(serviceId)
const EVEN_ONLY: SchedulerPlugin = pluginOf({
  ...spread,
  name: 'even-only',
  filter: (_demand, { siblings }) => (siblings % 2 === 0 ? null : refusal('scheduler', 'odd')),
  value: (_demand, { free }) => free.vcpus / 64,
  reason: (_demand, { free }) => `${free.vcpus} left`,
})
const constraint = { node: null, cluster: null, clusters: [] }
const SPECS: readonly ServiceSpec[] = [
  specOf({ vcpus: 1 }),
  specOf({ vcpus: 3, memoryMb: 2_000 }),
  specOf({ runtime: 'docker' }),
  specOf({ constraints: [{ ...constraint, kind: 'direct', node: 'zone=a !n3' }] }),
  specOf({ constraints: [{ ...constraint, kind: 'direct', cluster: 'zone=a' }] }),
  specOf({
    constraints: [
      {
        ...constraint,
        kind: 'geo',
        geo: { place: { latitude: 1, longitude: 1 }, radiusKm: 500, rigidness: 1, convergenceMs: 0 },
      },
    ],
  }),
]

type Happening =
  | {
      readonly kind: 'says'
      readonly child: number
      readonly cores: number
      readonly zone: string
      readonly docker: boolean
    }
  | { readonly kind: 'silent'; readonly child: number; readonly alive: boolean; readonly canWork: boolean }
  | {
      readonly kind: 'enters'
      readonly where: number
      readonly key: number
      readonly child: number | null
      readonly spec: number
    }
  | { readonly kind: 'chooses'; readonly key: number; readonly spec: number; readonly on: Circumstances }

interface Circumstances {
  readonly current: number | null
  readonly leaving: number | null
  readonly tried: readonly number[]
  readonly avoid: readonly number[]
  readonly avoidNodes: readonly number[]
  readonly to: string | null
  readonly now: number
}

const child = fc.nat(5)
const few = fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.array(child, { maxLength: 2 }))
/** Mostly the plain one, so that a judgement is used again before it changes. */
const spec = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(SPECS.length - 1))
const key = fc.nat(5)
const circumstances = fc.record<Circumstances>({
  current: fc.option(child, { freq: 1 }),
  leaving: fc.option(child, { freq: 1 }),
  tried: few,
  avoid: few,
  avoidNodes: few,
  to: fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, fc.constantFrom('n1', 'n*', 'zone=b')),
  now: fc.nat(20),
})
const enters = fc.record({ kind: fc.constant('enters' as const), where: fc.nat(2), key, child: fc.option(child), spec })
const chooses = fc.record({ kind: fc.constant('chooses' as const), key, spec, on: circumstances })
const happening: fc.Arbitrary<Happening> = fc.oneof(
  fc.record({
    kind: fc.constant('says' as const),
    child,
    cores: fc.integer({ min: 1, max: 8 }),
    zone: fc.constantFrom('a', 'b'),
    docker: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('silent' as const), child, alive: fc.boolean(), canWork: fc.boolean() }),
  { weight: 3, arbitrary: enters },
  { weight: 5, arbitrary: chooses },
)

class Stage {
  readonly #ids: readonly ChildId[]
  readonly #domain: DomainPath
  readonly #plugin: SchedulerPlugin
  readonly #rows = new Map<ChildId, InventoryRow>()
  readonly #views = new Map<ChildId, ChildView>()
  readonly #ledger = createLedger()
  /** One array for all choices of a step. */
  #children: readonly ChildView[] | null = null
  readonly rankings: Rankings = new Map()

  constructor(ids: readonly ChildId[], plugin: SchedulerPlugin) {
    this.#ids = ids
    this.#domain = ids === NODES ? ('/a' as DomainPath) : ROOT
    this.#plugin = plugin
    for (const [child, id] of ids.entries()) {
      this.#views.set(id, { child: id, alive: true, canWork: true })
      this.happens({ kind: 'says', child, cores: 4 + child, zone: 'a', docker: child === 0 })
    }
  }

  #id = (index: number): ChildId => this.#ids[index % this.#ids.length] as ChildId
  #key = (index: number): InstanceKey => instanceKey(SERVICES[index % 2] as (typeof SERVICES)[number], index >> 1)

  happens(what: Exclude<Happening, { readonly kind: 'chooses' }>): void {
    const id = what.child === null ? null : this.#id(what.child)
    // Whatever is said begins another step.
    if (what.kind !== 'enters') this.#children = null
    if (what.kind !== 'enters') this.#ledger.touched.length = 0
    if (what.kind === 'silent' && id !== null) {
      this.#views.set(id, { child: id, alive: what.alive, canWork: what.canWork })
    } else if (what.kind === 'says' && id !== null) {
      const runtimes = [{ name: what.docker ? 'docker' : 'process', version: '1' }]
      const labels = { zone: what.zone }
      const summary = summaryOf(id, { cores: what.cores, runtimes, labels })
      const news =
        this.#ids === NODES
          ? { kind: 'node' as const, child: nodeId(id), summary }
          : { kind: 'domain' as const, child: id as DomainPath, aggregate: foldAggregate([summary], id as DomainPath) }
      this.#rows.set(id, { news, arrivedAt: 0, fence: { epoch: 1, term: 0 }, sequence: 0 })
    } else if (what.kind === 'enters') {
      const enter = [enterPlaced, enterLeaving, enterAsked][what.where] ?? enterPlaced
      enter(this.#ledger, this.#key(what.key), id, needOf(SPECS[what.spec] ?? specOf()))
    }
  }

  inputOf({ key, spec, on }: Extract<Happening, { readonly kind: 'chooses' }>): PlanInput {
    this.#children ??= [...this.#views.values()]
    return {
      key: this.#key(key),
      spec: SPECS[spec] ?? specOf(),
      domain: this.#domain,
      children: this.#children,
      inventory: this.#rows,
      ledger: this.#ledger,
      plugin: this.#plugin,
      current: on.current === null ? null : this.#id(on.current),
      leaving: on.leaving === null ? null : this.#id(on.leaving),
      to: on.to,
      tried: new Set(on.tried.map(this.#id)),
      avoid: new Map(on.avoid.map((one) => [this.#id(one), { until: 10, detail: 'it failed' }])),
      avoidNodes: on.avoidNodes.map((one) => nodeId(this.#id(one))),
      now: on.now,
    }
  }
}

for (const plugin of [bestFit, spread, ldp, EVEN_ONLY]) {
  for (const ids of [NODES, DOMAINS]) {
    const what = ids === NODES ? 'nodes' : 'domains'
    test(`${plugin.name} chooses of ${what} by what it keeps as it would by judging all of them anew`, () => {
      fc.assert(
        fc.property(fc.array(happening, { minLength: 5, maxLength: 60 }), (happenings) => {
          const stage = new Stage(ids, plugin)
          for (const one of happenings) {
            if (one.kind !== 'chooses') {
              stage.happens(one)
              continue
            }
            const input = stage.inputOf(one)
            const { ranked, ruledOut } = planInstance(input)
            const [best = null] = ranked
            assert.deepEqual(choosePlace(input, stage.rankings), { best, ruledOut: best === null ? ruledOut : [] })
          }
        }),
        { numRuns: 300 },
      )
    })
  }
}

test('of a thousand children only the one that changed is judged again', () => {
  const ids = Array.from({ length: 1_000 }, (_, index) => nodeId(`device-${index}`))
  let judged = 0
  const counting = pluginOf({
    name: 'counting',
    filter: () => null,
    value: (_demand, { siblings }) => {
      judged += 1
      return 1 / (1 + siblings)
    },
    reason: () => 'first come',
  })
  const ledger = createLedger()
  const rows = ids.map((child): [ChildId, InventoryRow] => {
    const news = { kind: 'node' as const, child, summary: summaryOf(child) }
    return [child, { news, arrivedAt: 0, fence: { epoch: 1, term: 0 }, sequence: 0 }]
  })
  const rankings: Rankings = new Map()
  for (let number = 0; number < 20; number++) {
    const key = instanceKey(SERVICES[0] as (typeof SERVICES)[number], number)
    const { best } = choosePlace(
      {
        key,
        spec: specOf(),
        domain: '/a' as DomainPath,
        children: ids.map((child) => ({ child, alive: true, canWork: true })),
        inventory: new Map(rows),
        ledger,
        plugin: counting,
        current: null,
        leaving: null,
        to: null,
        tried: new Set(),
        avoid: new Map(),
        avoidNodes: [],
        now: 0,
      },
      rankings,
    )
    enterPlaced(ledger, key, best?.child ?? null, NOTHING)
  }
  assert.equal(judged, 1_000 + 19)
})

test(`judgements are kept of the last ${RANKINGS_MAX} demands and of no more`, () => {
  const stage = new Stage(NODES, bestFit)
  const on = { current: null, leaving: null, tried: [], avoid: [], avoidNodes: [], to: null, now: 0 }
  for (let vcpus = 1; vcpus <= 2 * RANKINGS_MAX; vcpus++) {
    choosePlace({ ...stage.inputOf({ kind: 'chooses', key: 0, spec: 0, on }), spec: specOf({ vcpus }) }, stage.rankings)
  }
  assert.equal(stage.rankings.size, RANKINGS_MAX)
})

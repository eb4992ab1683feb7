// Ranking: which child is asked first, and why the others are not.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type ChildId, type DomainPath, instanceKey, nodeId, ROOT, serviceId } from '../overlay/kernel/ids.ts'
import { JOB_STARTS_MAX } from './constants.ts'
import { createInventory, noteSummary } from './inventory.ts'
import { createLedger, enterAsked, enterPlaced, placedOn, promisedTo } from './ledger.ts'
import { NOTHING, needOf, plus } from './need.ts'
import { factsOf, openedBy, specOf, summaryOf } from './placement-fixtures.ts'
import { type PlanInput, planInstance } from './plan.ts'
import { bestFit } from './plugins/best-fit.ts'
import { refusal, refusalSentence, tally } from './refusal.ts'
import { afterEnd } from './restart-policy.ts'
import { tightness } from './score.ts'
import { specIdOf } from './spec-id.ts'
import { foldAggregate, type NodeSummary } from './summary.ts'

const A = '/a' as DomainPath
const KEY = instanceKey(serviceId('shop.prod.web.prod'), 0)

function inputOf(devices: Readonly<Record<string, Partial<NodeSummary>>>, changes: Partial<PlanInput> = {}): PlanInput {
  const inventory = createInventory(A)
  for (const [id, summary] of Object.entries(devices)) {
    const child = nodeId(id)
    const message = {
      kind: 'placement/summary' as const,
      domain: A,
      child,
      incarnation: 1,
      sequence: 1,
      summary: summaryOf(id, summary),
    }
    noteSummary(inventory, openedBy(factsOf(id, A), message), 0)
  }
  return {
    key: KEY,
    spec: specOf(),
    domain: A,
    children: Object.keys(devices).map((id) => ({ child: nodeId(id), alive: true, canWork: true })),
    inventory: inventory.rows,
    ledger: createLedger(),
    plugin: bestFit,
    current: null,
    leaving: null,
    to: null,
    tried: new Set(),
    avoid: new Map(),
    avoidNodes: [],
    now: 0,
    ...changes,
  }
}

const ranked = (input: PlanInput): readonly ChildId[] => planInstance(input).ranked.map(({ child }) => child)
const codes = (input: PlanInput): readonly string[] => planInstance(input).ruledOut.map(({ code }) => code)

test('the tightest fit that leaves headroom comes first, one without headroom last', () => {
  const spec = specOf({ vcpus: 2 })
  assert.deepEqual(ranked(inputOf({ roomy: { cores: 32 }, right: { cores: 3 }, brim: { cores: 2 } }, { spec })), [
    'right',
    'roomy',
    'brim',
  ])
})

test('ties go by id', () => {
  assert.deepEqual(ranked(inputOf({ c: {}, a: {}, b: {} })), ['a', 'b', 'c'])
})

test('a child without a replica comes before a better fit with one, whatever the fit', () => {
  const ledger = createLedger()
  for (const number of [1, 2])
    enterPlaced(ledger, instanceKey(serviceId('shop.prod.web.prod'), number), nodeId('tight'), NOTHING)
  enterPlaced(ledger, instanceKey(serviceId('shop.prod.web.prod'), 3), nodeId('middle'), NOTHING)
  assert.deepEqual(ranked(inputOf({ tight: { cores: 1 }, middle: { cores: 2 }, wide: { cores: 64 } }, { ledger })), [
    'wide',
    'middle',
    'tight',
  ])
})

test('the child that runs it already is asked first', () => {
  assert.deepEqual(ranked(inputOf({ a: {}, b: {}, c: {} }, { current: nodeId('c') })), ['c', 'a', 'b'])
})

test('what is asked and placed counts as taken, but for the instance itself', () => {
  const ledger = createLedger()
  const need = needOf(specOf({ vcpus: 3.8 }))
  enterAsked(ledger, KEY, nodeId('a'), need)
  enterPlaced(ledger, instanceKey(serviceId('other.x.y.z'), 0), nodeId('b'), need)
  assert.deepEqual(ranked(inputOf({ a: {}, b: {} }, { ledger })), ['a'])
})

test('each constraint that rules out has its code', () => {
  const constraints = (node: string | null, cluster: string | null) => [
    { kind: 'direct' as const, node, cluster, clusters: [] },
  ]
  const one = (summary: Partial<NodeSummary>, changes: Partial<PlanInput> = {}) =>
    codes(inputOf({ a: summary }, changes))
  assert.deepEqual(one({ runtimes: [] }), ['runtime'])
  assert.deepEqual(one({ cores: 0.1 }), ['cpu'])
  assert.deepEqual(one({ memoryMb: { total: 100, free: 100 } }), ['memory'])
  assert.deepEqual(one({ pressure: 2 }), ['pressure'])
  assert.deepEqual(one({}, { children: [{ child: nodeId('a'), alive: false, canWork: true }] }), ['silent'])
  assert.deepEqual(one({}, { children: [{ child: nodeId('a'), alive: true, canWork: false }] }), ['cannot-work'])
  assert.deepEqual(one({}, { children: [{ child: nodeId('new'), alive: true, canWork: true }] }), ['no-summary'])
  assert.deepEqual(one({}, { avoid: new Map([[nodeId('a'), { until: 1, detail: 'exit code 1' }]]) }), ['failed-there'])
  assert.deepEqual(one({}, { avoid: new Map([[nodeId('a'), { until: 0, detail: '' }]]) }), [])
  assert.deepEqual(one({}, { avoidNodes: [nodeId('a')] }), ['avoided'])
  assert.deepEqual(one({}, { spec: specOf({ constraints: constraints('b', null) }) }), ['node-selector'])
  assert.deepEqual(one({}, { spec: specOf({ constraints: constraints('device-a', 'b') }) }), ['cluster-selector'])
  assert.deepEqual(
    one({ labels: { zone: 'eu' } }, { spec: specOf({ constraints: constraints('zone=eu', 'zone=eu') }) }),
    [],
  )
})

test('a domain is ruled out by its slots, totals and clusters, and node selectors are left to it', () => {
  const B = '/b' as DomainPath
  const input = (changes: Parameters<typeof specOf>[0]): PlanInput => {
    const aggregate = foldAggregate([summaryOf('1'), summaryOf('2', { labels: { zone: 'eu' } })], B)
    const row = {
      news: { kind: 'domain' as const, child: B, aggregate },
      arrivedAt: 0,
      fence: { epoch: 1, term: 1 },
      sequence: 1,
    }
    const children = [{ child: B, alive: true, canWork: true }]
    return { ...inputOf({}), domain: ROOT, children, inventory: new Map([[B, row]]), spec: specOf(changes) }
  }
  const direct = (node: string | null, cluster: string | null) => ({
    constraints: [{ kind: 'direct' as const, node, cluster, clusters: [] }],
  })
  assert.deepEqual(codes(input({ vcpus: 5 })), ['cpu'])
  assert.equal(planInstance(input({ vcpus: 5 })).ruledOut[0]?.count, 2)
  assert.deepEqual(codes(input(direct('unknown-here', null))), [])
  assert.deepEqual(codes(input(direct(null, 'b zone=eu'))), [])
  assert.deepEqual(codes(input(direct(null, 'c'))), ['cluster-selector'])
  assert.deepEqual(
    codes(input({ constraints: [{ kind: 'clusters', node: null, cluster: null, clusters: ['c', '/b'] }] })),
    [],
  )
})

test('the books are the sum of their entries, whatever comes and goes', () => {
  const move = fc.record({
    number: fc.nat(5),
    child: fc.option(fc.constantFrom('a', 'b', 'c')),
    asked: fc.boolean(),
    vcpus: fc.nat(8),
  })
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
      const ledger = createLedger()
      for (const { number, child, asked, vcpus } of moves) {
        const key = instanceKey(serviceId('shop.prod.web.prod'), number)
        const enter = asked ? enterAsked : enterPlaced
        enter(ledger, key, child === null ? null : nodeId(child), { ...NOTHING, vcpus })
      }
      const stranger = instanceKey(serviceId('shop.prod.web.prod'), 99)
      for (const child of ['a', 'b', 'c'].map(nodeId)) {
        const entries = [...ledger.placed.values(), ...ledger.asked.values()].filter((entry) => entry.child === child)
        const promised = promisedTo(ledger, child, stranger)
        assert.deepEqual(promised.resources, entries.map(({ need }) => need).reduce(plus, NOTHING))
        assert.equal(promised.siblings, entries.length)
        assert.equal(
          placedOn(ledger, child).length,
          [...ledger.placed.values()].filter((entry) => entry.child === child).length,
        )
      }
    }),
    { seed: 20261121, numRuns: 300 },
  )
})

test('tightness rises to the headroom and falls beyond it', () => {
  const device = { ...NOTHING, vcpus: 10, memoryMb: 1_000 }
  const fit = (vcpus: number): number => tightness(device, device, { ...NOTHING, vcpus })
  assert.ok(fit(1) < fit(4) && fit(4) < fit(8))
  assert.ok(fit(8) > fit(9) && fit(9) > fit(10))
  assert.equal(fit(11), 0)
  assert.equal(fit(8), 1)
})

test('reasons are counted by code, the best of a kind is kept, and the most frequent comes first', () => {
  const lacks = (most: number, on: string) => ({ code: 'memory', count: 1, detail: '4096 MB', most, on })
  const reasons = [refusal('runtime', 'docker', 1), lacks(900, 'x'), lacks(1_870, 'pi-3'), lacks(10, 'y')]
  assert.equal(tally(reasons).length, 2)
  assert.equal(
    refusalSentence(reasons, 4),
    '0 of 4 devices: 3 lack memory (need 4096 MB, most free 1870 MB on pi-3), 1 does not offer the runtime docker',
  )
  assert.equal(refusalSentence([], 0), '0 of 0 devices can take it')
  assert.equal(
    refusalSentence([{ code: 'from-the-future', count: 2, detail: 'x' }], 2),
    '0 of 2 devices: 2 refused as from-the-future (x)',
  )
})

test('the restart policy decides what follows an end', () => {
  const restart = (policy: 'always' | 'on-failure' | 'never', kind: 'service' | 'job' = 'service') => ({
    restart: { policy, delayMs: 100, delayMsMax: 300 },
    kind,
  })
  const exit = (code: number | null) => ({ kind: 'exited' as const, code, detail: '' })
  assert.equal(afterEnd(restart('always'), exit(0), 1).kind, 'again')
  assert.equal(afterEnd(restart('on-failure'), exit(0), 1).kind, 'done')
  assert.equal(afterEnd(restart('on-failure'), exit(null), 1).kind, 'again')
  assert.equal(afterEnd(restart('never'), exit(0), 1).kind, 'done')
  assert.equal(afterEnd(restart('never'), exit(2), 1).kind, 'give-up')
  const third = afterEnd(restart('always'), exit(1), 3)
  assert.ok(third.kind === 'again' && third.delayMs === 300)
  assert.equal(afterEnd(restart('always'), { kind: 'failed', detail: 'no image' }, 3).kind, 'give-up')
  const patient = { restart: { policy: 'always', delayMs: 100, delayMsMax: 60_000 }, kind: 'service' } as const
  const failed = afterEnd(patient, { kind: 'failed', detail: 'no image' }, 1)
  assert.ok(failed.kind === 'again' && failed.delayMs === 500)
  assert.equal(afterEnd(restart('always', 'job'), exit(0), 1).kind, 'done')
  assert.equal(afterEnd(restart('on-failure', 'job'), exit(1), 1).kind, 'again')
  assert.equal(afterEnd(restart('on-failure', 'job'), exit(1), JOB_STARTS_MAX).kind, 'give-up')
})

test('only what concerns one instance is part of what it is', () => {
  const id = specIdOf(specOf())
  assert.match(id, /^[0-9a-f]{16}$/)
  assert.equal(specIdOf(specOf({ replicas: 9, priority: 1, labels: { a: 'b' } })), id)
  assert.notEqual(specIdOf(specOf({ environment: { A: 'b' } })), id)
  assert.notEqual(specIdOf(specOf({ memoryMb: 101 })), id)
})

// For the tests of this folder only: the leader of a domain between two others, with its stores and all it did.

import assert from 'node:assert/strict'
import { type ChildId, type DomainPath, isDomain, type NodeId, nodeId, ROOT, serviceId } from '../overlay/kernel/ids.ts'
import type { Fence, PlacementRecord } from '../services-registry/record.ts'
import { createTable, putRecord, viewOf } from '../services-registry/table.ts'
import { PLACEMENT_TIMING } from './constants.ts'
import { createInventory, noteAggregate } from './inventory.ts'
import type { AskMessage, PlacementMessage } from './messages.ts'
import { contextAt, factsOf, openedBy, specOf, summaryOf } from './placement-fixtures.ts'
import { createScheduler, step, wakeAt } from './scheduler.ts'
import type { SchedulerEffect, SchedulerInput, SchedulerState } from './scheduler-state.ts'
import { encodeSpec, type ServiceSpec } from './spec.ts'
import { foldAggregate } from './summary.ts'

export const EU = '/eu' as DomainPath
export const A = '/eu/a' as DomainPath
export const B = '/eu/b' as DomainPath
export const ME = nodeId('me')
export const ABOVE = nodeId('root-leader')
export const WEB = serviceId('shop.prod.web.prod')
export const FENCE: Fence = { epoch: 1, term: 1 }
export const CLOCK = { wall: 1, counter: 0 }
export const TIMING = PLACEMENT_TIMING.lan

export class Bench {
  now = 0
  state: SchedulerState
  readonly own = createTable(EU)
  readonly parent = createTable(ROOT)
  readonly inventory = createInventory(EU)
  isDoubtful = false
  effects: SchedulerEffect[] = []
  #sequence = 0

  /** Children that are nodes make it the leader of a cluster; `batches`: whether child domains read them. */
  constructor(children: readonly ChildId[] = [A, B], batches = false) {
    const leaders = { leaderAt: (domain: DomainPath) => (domain === ROOT ? ABOVE : nodeId(`leader-of-${domain}`)) }
    this.state = createScheduler({
      domain: EU,
      self: ME,
      timing: TIMING,
      view: {
        store: viewOf(this.own),
        parentStore: () => viewOf(this.parent),
        inventory: this.inventory.rows,
        children: () => new Map(children.map((child) => [child, { child, alive: true, canWork: true }])),
        leaders,
        isDoubtful: () => this.isDoubtful,
      },
    })
    this.hearFromBelow(children.filter(isDomain), batches)
    this.give({ kind: 'lead', fence: FENCE })
    this.now = TIMING.listenMs
    this.give({ kind: 'wake' })
  }

  hearFromBelow(children: readonly DomainPath[] = [A, B], batches = false): void {
    this.#sequence += 1
    for (const child of children) {
      const aggregate = foldAggregate([summaryOf('1'), summaryOf('2')], child)
      const message = {
        kind: 'placement/aggregate' as const,
        domain: EU,
        child,
        fence: FENCE,
        sequence: this.#sequence,
        aggregate,
        ...(batches && { batches }),
      }
      const leaders = { leaderAt: () => nodeId(`leader-of-${child}`) }
      noteAggregate(this.inventory, openedBy(factsOf(`leader-of-${child}`, child), message), leaders, this.now)
    }
  }

  give(input: SchedulerInput): void {
    const { state, effects } = step(this.state, input, contextAt(this.now))
    this.state = state
    this.effects.push(...effects)
    for (const effect of effects)
      if (effect.kind === 'author') putRecord(this.own, openedBy(factsOf(ME, A), effect.record), 0)
  }

  hear(from: NodeId, domain: DomainPath, message: PlacementMessage): void {
    this.give({ kind: 'message', opened: openedBy(factsOf(from, domain), message) })
  }

  pass(ms: number): void {
    const until = this.now + ms
    for (let at = wakeAt(this.state); at !== null && at <= until; at = wakeAt(this.state)) {
      assert.ok(at > this.now || ms === 0, 'time goes on')
      this.now = Math.max(this.now, at)
      this.give({ kind: 'wake' })
    }
    this.now = until
  }

  askFromAbove(askId = 'from-above', changes: Partial<ServiceSpec> = {}): void {
    const spec = encodeSpec(specOf(changes))
    const common = { domain: ROOT, fence: FENCE, askId, service: WEB, number: 0, specClock: CLOCK, avoid: [] }
    this.hear(ABOVE, '/x' as DomainPath, { kind: 'placement/ask', ...common, spec })
  }

  offer(ask: AskMessage, child: DomainPath): void {
    const { domain, askId, service, number } = ask
    const common = { domain, askId, service, number, child, score: 0.5, node: nodeId('device'), nodeName: 'pi' }
    this.hear(nodeId(`leader-of-${child}`), child, { kind: 'placement/offer', ...common, expiresInMs: 9_000 })
  }

  refuse(ask: AskMessage, child: DomainPath): void {
    const { domain, askId, service, number } = ask
    const reasons = [{ code: 'memory', count: 2, detail: '100 MB', most: 50, on: child }]
    const message = { kind: 'placement/refuse' as const, domain, askId, service, number, child, devices: 2, reasons }
    this.hear(nodeId(`leader-of-${child}`), child, message)
  }

  placeFromAbove(child: ChildId | null, sequence = 1): void {
    const record: PlacementRecord = {
      kind: 'record/placement',
      domain: ROOT,
      service: WEB,
      number: 0,
      child,
      fence: FENCE,
      sequence,
      specClock: CLOCK,
      reason: 'a test',
    }
    putRecord(this.parent, openedBy(factsOf(ABOVE, A), record), 0)
    this.give({ kind: 'service-changed', service: WEB })
  }

  /** Messages of a kind that were sent since the last look, with where to. */
  sent<K extends PlacementMessage['kind']>(kind: K) {
    const found = this.effects.flatMap((effect) =>
      effect.kind === 'send' && effect.message.kind === kind
        ? [{ to: effect.to, message: effect.message as Extract<PlacementMessage, { readonly kind: K }> }]
        : [],
    )
    this.effects = this.effects.filter((effect) => effect.kind !== 'send' || effect.message.kind !== kind)
    return found
  }

  authored = () =>
    this.effects.flatMap((effect) =>
      effect.kind === 'author' && effect.record.kind === 'record/placement' ? [effect.record.child] : [],
    )
}

/** A bench that was asked from above and has asked below; with the ask that it sent. */
export function asked(): {
  readonly bench: Bench
  readonly ask: AskMessage
  readonly child: DomainPath
  readonly other: DomainPath
} {
  const bench = new Bench()
  bench.askFromAbove()
  const [first] = bench.sent('placement/ask')
  assert.ok(first !== undefined)
  const child = first.to as DomainPath
  return { bench, ask: first.message, child, other: child === A ? B : A }
}

// For the tests of this folder only: one worker with a store, a disk that remembers, and a record of all it did.

import assert from 'node:assert/strict'
import {
  type DomainPath,
  type InstanceKey,
  instanceKey,
  nodeId,
  type OperatorId,
  serviceId,
} from '../overlay/kernel/ids.ts'
import type { Fence, InstanceRecord, PlacementRecord } from '../services-registry/record.ts'
import { createTable, putRecord, viewOf } from '../services-registry/table.ts'
import type { PlacementMessage } from './messages.ts'
import { contextAt, factsOf, openedBy, specOf, summaryOf } from './placement-fixtures.ts'
import type { RuntimeEvent } from './runtime.ts'
import { encodeSpec, type ServiceSpec, serviceIdOf } from './spec.ts'
import { specIdOf } from './spec-id.ts'
import { createWorker, step, wakeAt } from './worker.ts'
import type { WorkerEffect, WorkerInput, WorkerState } from './worker-state.ts'

export const DOMAIN = '/a' as DomainPath
export const SELF = nodeId('me')
export const LEADER = nodeId('leader')
export const WEB = serviceId('shop.prod.web.prod')
export const KEY = instanceKey(WEB, 0)
export const FENCE: Fence = { epoch: 1, term: 5 }
export const CLOCK = { wall: 1, counter: 0 }
/** What a leader of the device's own operator asks, of a service of that operator. */
export const FROM_OURS = { domain: DOMAIN, fence: FENCE, operator: factsOf(SELF, DOMAIN).operator }

/** A worker with a store, and everything it does. */
export class Bench {
  now = 0
  state: WorkerState
  effects: WorkerEffect[] = []
  readonly table = createTable(DOMAIN)
  readonly disk = new Map<string, Uint8Array>()
  /** What was on disk when each start was told. */
  readonly disksAtStart: number[] = []

  constructor(kept: readonly Uint8Array[] = [], isReady = true) {
    this.state = createWorker({
      self: SELF,
      operator: factsOf(SELF, DOMAIN).operator,
      domain: DOMAIN,
      incarnation: 1,
      view: { store: viewOf(this.table), leaders: { leaderAt: () => LEADER } },
      kept,
    })
    if (!isReady) return
    this.give({ kind: 'start' })
    this.give({ kind: 'capacity', summary: summaryOf('me') })
    this.give({ kind: 'found', runtime: 'process', instances: [] })
  }

  give(input: WorkerInput): void {
    const { state, effects } = step(this.state, input, contextAt(this.now))
    this.state = state
    for (const effect of effects) this.#carryOut(effect)
  }

  #carryOut(effect: WorkerEffect): void {
    this.effects.push(effect)
    if (effect.kind === 'runtime' && effect.operation.kind === 'start') this.disksAtStart.push(this.disk.size)
    if (effect.kind !== 'persist') return
    if (effect.value === null) this.disk.delete(effect.key)
    else this.disk.set(effect.key, effect.value)
    for (const then of effect.then) this.#carryOut(then)
  }

  hear(message: PlacementMessage, from = LEADER): void {
    this.give({ kind: 'message', opened: openedBy(factsOf(from, DOMAIN), message) })
  }

  ask(
    changes: Partial<ServiceSpec> = {},
    more: {
      number?: number
      fence?: Fence
      askId?: string
      operator?: OperatorId
      leaderOf?: OperatorId
      reminds?: boolean
    } = {},
  ): void {
    const spec = specOf(changes)
    const { number = 0, fence = FENCE, askId = `ask-${number}` } = more
    // Of a leader of the device's own operator this is believed.
    const { operator = factsOf(SELF, DOMAIN).operator } = more
    const common = { domain: DOMAIN, fence, askId, service: serviceIdOf(spec), number, operator }
    const reminder = more.reminds === true ? { reminds: true } : {}
    const terms = { spec: encodeSpec(spec), specClock: CLOCK, avoid: [], ...reminder }
    const ask = { kind: 'placement/ask' as const, ...common, ...terms }
    const leader = factsOf(LEADER, DOMAIN)
    const signer = more.leaderOf === undefined ? leader : { ...leader, operator: more.leaderOf }
    this.give({ kind: 'message', opened: openedBy(signer, ask) })
  }

  place(changes: Partial<PlacementRecord> = {}): void {
    const record: PlacementRecord = {
      kind: 'record/placement',
      domain: DOMAIN,
      service: WEB,
      number: 0,
      child: SELF,
      fence: FENCE,
      sequence: 1,
      specClock: CLOCK,
      reason: 'a test',
      ...changes,
    }
    putRecord(this.table, openedBy(factsOf(LEADER, DOMAIN), record), 0)
    this.give({ kind: 'service-changed', service: record.service })
  }

  says(event: RuntimeEvent): void {
    this.give({ kind: 'runtime', event })
  }

  runs(key: InstanceKey = KEY, spec: ServiceSpec = specOf()): void {
    const endpoint = { host: '127.0.0.1', ports: [] }
    this.says({ kind: 'running', key, specId: specIdOf(spec), endpoint, adopted: false })
  }

  wake(): void {
    const at = wakeAt(this.state)
    assert.ok(at !== null, 'something is due')
    this.now = Math.max(this.now, at)
    this.give({ kind: 'wake' })
  }

  /** What was sent, told to the driver and said, since the last look. */
  look() {
    const effects = this.effects
    this.effects = []
    return {
      sent: effects.flatMap((effect) => (effect.kind === 'send' ? [effect.message] : [])),
      operations: effects.flatMap((effect) => (effect.kind === 'runtime' ? [effect.operation.kind] : [])),
      records: effects.flatMap((effect) => (effect.kind === 'author' ? [effect.record as InstanceRecord] : [])),
    }
  }

  states = (): string[] => this.look().records.map((record) => record.state)
}

/** A worker that runs the one instance that it was asked for. */
export function running(): Bench {
  const bench = new Bench()
  bench.ask()
  bench.place()
  bench.runs()
  return bench
}

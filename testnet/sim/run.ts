// One seed, from beginning to end: first faults, while nothing forbidden may ever happen; then peace, in which
// everything that should happen has to.

import { InvariantError } from '../../overlay/kernel/assert.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import { BrokenRule } from './checkers/checker.ts'
import { settledMsMax, unsettled } from './checkers/liveness.ts'
import { planFaults } from './fault-plan.ts'
import { calm, type FaultKind, type FaultWorld, inflict, mendAll, type PlannedFault, springAmbush } from './faults.ts'
import { type Idle, idle, threadCpuMs } from './idle.ts'
import { operate, planOperations } from './operations.ts'
import { paceOf, type Setting, settingOf } from './setting.ts'
import { planStrains, relax, relaxAll, strain } from './strains.ts'
import { streamOf } from './streams.ts'
import { drawTopology } from './topology.ts'
import { planRequests, request } from './workload.ts'
import { createWorld, type Defects, NO_DEFECTS, type World } from './world.ts'

export interface RunOptions {
  readonly seed: number
  readonly nodes: number
  readonly clusters: number
  /** How long there are faults, at the pace of a local network. */
  readonly faultsMs?: Millis
  readonly setting?: Setting
  /** Of the planned faults only those with these numbers, from 0. */
  readonly kept?: readonly number[]
  /** What may go wrong; everything where nothing is said. */
  readonly kinds?: readonly FaultKind[]
  readonly defects?: Defects
  /** How long the world goes on after all agree, so that it can be said what that costs. */
  readonly idleMs?: Millis
  readonly onLine?: (line: string) => void
  /** Looks at the world when the run is over. */
  readonly onEnd?: (world: World) => void
}

export interface Failure {
  /** Which rule was broken, or `liveness`, or `crash` for anything else. */
  readonly rule: string
  readonly what: string
  readonly at: Millis
}

export interface RunResult {
  readonly seed: number
  readonly failure: Failure | null
  readonly virtualMs: Millis
  /** How long peace took to bring agreement. */
  readonly settledMs: Millis | null
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>
  readonly elections: number
  /** How long domains were without a leader, each time. */
  readonly leaderlessMs: readonly Millis[]
  readonly nodes: number
  readonly specs: number
  /** Instances that devices ended because they were short of something. */
  readonly evictions: number
  /** What came after all agreed, where it was asked for: what the processor took is no two times the same. */
  readonly idle: Idle | null
  readonly messages: number
  readonly bytes: number
  readonly hash: string
}

export const FAULTS_MS_DEFAULT = 60_000

/** How often it is looked whether everything has settled. */
const LOOK_MS = 1_000

export function runSeed(options: RunOptions): RunResult {
  const { seed, nodes, clusters, setting = settingOf(seed), defects = NO_DEFECTS, onLine = null } = options
  const pace = paceOf(setting.preset)
  const faultsMs = (options.faultsMs ?? FAULTS_MS_DEFAULT) * pace
  const world = createWorld({
    seed,
    nodes,
    clusters,
    setting,
    defects,
    onLine,
    onVote: (device, candidate) => springAmbush(faulty, device, candidate),
  })
  const faults: Partial<Record<FaultKind, number>> = {}
  const faulty: FaultWorld = {
    ...world,
    random: streamOf(seed, 'fault details'),
    ambush: { until: 0 },
    pace,
    isOver: () => world.agenda.now() >= faultsMs,
    onFault: (fault) => {
      faults[fault.kind] = (faults[fault.kind] ?? 0) + 1
      world.trace.note(world.agenda.now(), 'fault', 0, () => JSON.stringify(fault))
    },
  }
  let settledMs: Millis | null = null
  let failure: Failure | null = null
  let idled: Idle | null = null
  const began = threadCpuMs()
  try {
    disturb(world, faulty, { seed, faultsMs, kept: options.kept, kinds: options.kinds })
    mendAll(faulty)
    relaxAll(world.devices)
    world.trace.note(world.agenda.now(), 'peace', 0, () => 'all faults are over')
    settledMs = awaitAgreement(world, settledMsMax(setting.preset))
    if (options.idleMs !== undefined) idled = idle(world, options.idleMs, threadCpuMs() - began)
    world.end()
  } catch (problem) {
    failure = failureOf(problem, world.agenda.now())
  }
  options.onEnd?.(world)
  const { counts } = world.network
  return {
    seed,
    failure,
    virtualMs: world.agenda.now(),
    settledMs,
    faults,
    elections: world.leaders.elections(),
    leaderlessMs: world.leaderless.periods(),
    nodes,
    specs: world.specs.accepted(),
    evictions: world.evictions.count(),
    idle: idled,
    messages: counts.sent,
    bytes: counts.bytes,
    hash: world.trace.hash(),
  }
}

interface Disturbance extends Pick<RunOptions, 'seed'> {
  readonly faultsMs: Millis
  readonly kept: readonly number[] | undefined
  readonly kinds: readonly FaultKind[] | undefined
}

/** What would go wrong in a run. */
export function planOf({
  seed,
  nodes,
  clusters,
  setting = settingOf(seed),
  ...rest
}: RunOptions): readonly PlannedFault[] {
  const pace = paceOf(setting.preset)
  const untilMs = (rest.faultsMs ?? FAULTS_MS_DEFAULT) * pace
  const devices = drawTopology(seed, nodes, clusters, setting).devices.map((facts) => ({ facts }))
  return planFaults(streamOf(seed, 'faults'), { devices, untilMs, pace, kinds: rest.kinds })
}

function disturb(world: World, faulty: FaultWorld, { seed, faultsMs, kept, kinds }: Disturbance): void {
  const { agenda, devices, domains } = world
  const { pace } = faulty
  calm(faulty)
  // A partition of thousands of nodes is millions of pairs: what is not wanted is not drawn.
  const isPeaceful = kept?.length === 0
  const plan = isPeaceful ? [] : planFaults(streamOf(seed, 'faults'), { devices, untilMs: faultsMs, pace, kinds })
  for (const [number, planned] of plan.entries()) {
    if (kept !== undefined && !kept.includes(number)) continue
    agenda.at(planned.at, () => {
      if (agenda.now() < faultsMs) inflict(faulty, planned)
    })
  }
  const chooser = streamOf(seed, 'requests')
  const requests = planRequests(streamOf(seed, 'workload'), domains, faultsMs)
  for (const planned of requests) agenda.at(planned.at, () => request(chooser, devices, planned))
  const facts = devices.map((device) => device.facts)
  const operator = streamOf(seed, 'operator')
  for (const [number, { at, operation }] of planOperations(operator, requests, facts, faultsMs).entries()) {
    agenda.at(at, () => {
      world.trace.note(agenda.now(), 'operation', number, () => JSON.stringify(operation))
      operate(operator, devices, operation, `operation-${number}`)
    })
  }
  for (const [number, planned] of planStrains(streamOf(seed, 'strains'), facts, faultsMs).entries()) {
    agenda.at(planned.at, () => {
      world.trace.note(agenda.now(), 'strain', number, () => JSON.stringify(planned))
      strain(devices, planned)
    })
    const endsAt = planned.at + planned.forMs
    if (endsAt < faultsMs) agenda.at(endsAt, () => relax(devices, planned))
  }
  world.run(faultsMs)
}

function awaitAgreement(world: World, msMax: Millis): Millis {
  const { agenda, devices, evictions } = world
  const began = agenda.now()
  for (;;) {
    world.run(agenda.now() + LOOK_MS)
    const missing = unsettled(devices, evictions.isKeptOut)
    const tookMs = agenda.now() - began
    if (missing === null) return tookMs
    if (tookMs >= msMax) throw new BrokenRule('liveness', missing)
  }
}

function failureOf(problem: unknown, at: Millis): Failure {
  if (problem instanceof BrokenRule) return { rule: problem.rule, what: problem.message, at }
  if (problem instanceof InvariantError) return { rule: 'invariant', what: problem.stack ?? problem.message, at }
  return { rule: 'crash', what: problem instanceof Error ? (problem.stack ?? problem.message) : String(problem), at }
}

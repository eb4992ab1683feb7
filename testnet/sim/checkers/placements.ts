// What of each service must run in a federation that was left in peace: each number of a service once and in the newest
// version, each number of a job no more because it is done, a daemon once on each device.

import type { Core } from '../../../node/core/core.ts'
import {
  type DomainPath,
  type InstanceKey,
  instanceKey,
  isWithin,
  type ServiceId,
  splitInstanceKey,
} from '../../../overlay/kernel/ids.ts'
import { MEMORY_SHARE } from '../../../placement/constants.ts'
import { fits, NOTHING, needOf, plus } from '../../../placement/need.ts'
import { decodeSpec, type ServiceSpec } from '../../../placement/spec.ts'
import type { SealedRecord, SpecRecord } from '../../../services-registry/record.ts'
import type { Instance } from '../runtime.ts'
import type { DeviceView } from './checker.ts'

/** Whether a device keeps an instance, or a service's daemon, away because it ended it to get well. */
export type KeptOut = (device: DeviceView, key: InstanceKey | ServiceId) => boolean

export type Live = DeviceView & { readonly core: Core }

interface Running {
  readonly node: string
  readonly instance: Instance
}

/** What is missing, or runs though nobody wants it; null when all is as it should be. */
export function placementProblem(live: readonly Live[], isKeptOut: KeptOut): string | null {
  const running = new Map<string, Running[]>()
  for (const { node, instances } of live) {
    for (const [key, instance] of instances) running.set(key, [...(running.get(key) ?? []), { node, instance }])
  }
  const wanted = new Set<string>()
  for (const { record, spec } of specsOf(live)) {
    const problem = problemOf(record, spec, { live, running, wanted, isKeptOut })
    if (problem !== null) return problem
  }
  for (const [key, runs] of running) {
    if (!wanted.has(key)) return `${key} runs on ${runs.map(({ node }) => node).join(' and ')} though nobody wants it`
  }
  return movingProblem(live)
}

/** No move is still under way. */
function movingProblem(live: readonly Live[]): string | null {
  for (const store of live.flatMap(({ core }) => core.view.stores())) {
    const services = new Set([...store.specs(), ...store.allInstances()].map(({ message }) => message.service))
    for (const { message } of [...services].flatMap((service) => store.placements(service))) {
      const { service, number, child, previous } = message
      if (previous !== undefined) return `${instanceKey(service, number)} is on its way from ${previous} to ${child}`
    }
  }
  return null
}

/** Whether an open device of the domain could take this one; less than there is, since others may take some first. */
function hasRoom({ live, isKeptOut }: Stage, domain: DomainPath, spec: ServiceSpec, key: InstanceKey): boolean {
  const need = needOf(spec)
  return live.some((device) => {
    const { core, facts, instances } = device
    if (core.view.intake() !== 'open' || !isWithin(facts.facts.domain, domain) || isKeptOut(device, key)) return false
    const use = [...instances.values()].reduce((sum, one) => plus(sum, one.need), plus(need, need))
    const { cores, memoryMb } = facts
    return fits({ ...NOTHING, vcpus: cores, memoryMb: memoryMb * MEMORY_SHARE, storageMb: Number.MAX_VALUE }, use)
  })
}

const isDrained = (live: readonly Live[], run: Running): boolean =>
  live.find(({ node }) => node === run.node)?.core.view.intake() === 'draining'

/** What is wrong with where it runs; a device that is drained keeps only what nobody else can take. */
function drainProblem(stage: Stage, domain: DomainPath, spec: ServiceSpec, run: Running): string | null {
  if (!isDrained(stage.live, run) || !hasRoom(stage, domain, spec, run.instance.key)) return null
  return `${run.instance.key} runs on ${run.node}, which is drained`
}

/** Each service that somebody wants, as any of its holders has it; stores are compared before this. */
function specsOf(live: readonly Live[]) {
  const specs = new Map<string, { readonly record: SealedRecord<SpecRecord>; readonly spec: ServiceSpec }>()
  for (const { core } of live) {
    for (const record of core.view.stores().flatMap((store) => [...store.specs()])) {
      const decoded = record.message.spec === null ? null : decodeSpec(record.message.spec)
      if (decoded?.ok) specs.set(`${record.message.domain} ${record.message.service}`, { record, spec: decoded.value })
    }
  }
  return specs.values()
}

/** What is there, and what was found to be wanted so far. */
interface Stage {
  readonly live: readonly Live[]
  readonly running: ReadonlyMap<string, readonly Running[]>
  readonly wanted: Set<string>
  readonly isKeptOut: KeptOut
}

function problemOf(
  { message: { domain, service } }: SealedRecord<SpecRecord>,
  spec: ServiceSpec,
  stage: Stage,
): string | null {
  const { live, running, wanted, isKeptOut } = stage
  const own = [...running].filter(([key]) => splitInstanceKey(key as never).service === service)
  const doubled = own.find(([, runs]) => runs.length > 1)
  if (doubled !== undefined) return `${doubled[0]} runs on ${doubled[1].map(({ node }) => node).join(' and ')}`
  for (const [key] of spec.kind === 'daemon' ? own : []) wanted.add(key)
  if (spec.kind === 'daemon')
    return daemonProblem(
      live.filter(({ facts }) => isWithin(facts.facts.domain, domain)),
      own,
      (device) => isKeptOut(device, service),
    )
  const numbers = [...Array(spec.replicas).keys()]
  if (spec.kind === 'job') {
    const store = live.flatMap(({ core }) => core.view.stores().filter((one) => one.domain === domain))[0]
    const open = numbers.find((number) => store?.placement(service, number)?.message.outcome !== 'done')
    if (open !== undefined && isClosedOut(stage, domain, spec, instanceKey(service, open))) return null
    return open === undefined ? null : `${instanceKey(service, open)} is not done${whyNot(live, service, open)}`
  }
  const isNowhere = (key: InstanceKey): boolean => !running.has(key) && isClosedOut(stage, domain, spec, key)
  // A new version waits for each instance before it goes on to the next.
  const isHeldUp = numbers.some((number) => isNowhere(instanceKey(service, number)))
  for (const number of numbers) {
    const key = instanceKey(service, number)
    wanted.add(key)
    const [run] = running.get(key) ?? []
    if (isNowhere(key)) continue
    if (run === undefined) return `${key} runs nowhere${whyNot(live, service, number)}`
    const version = spec.environment.VERSION ?? ''
    const isKept = isDrained(live, run) && !hasRoom(stage, domain, spec, key)
    if (run.instance.version !== version && !isKept && !isHeldUp)
      return `${key} runs in version "${run.instance.version}", not "${version}"`
    const left = drainProblem(stage, domain, spec, run)
    if (left !== null) return left
  }
  return null
}

/** Whether it cannot be placed because devices are closed, or keep it away. */
function isClosedOut(stage: Stage, domain: DomainPath, spec: ServiceSpec, key: InstanceKey): boolean {
  const isClosed = (device: Live): boolean => device.core.view.intake() !== 'open' || stage.isKeptOut(device, key)
  return stage.live.some(isClosed) && !hasRoom(stage, domain, spec, key)
}

/** Each device of the domain runs one, and only one; a closed one need not begin one, and a drained one has none. */
function daemonProblem(
  devices: readonly Live[],
  own: readonly (readonly [string, readonly Running[]])[],
  isKeptOut: (device: Live) => boolean,
): string | null {
  const nodes = own.flatMap(([, runs]) => runs.map(({ node }) => node))
  for (const device of devices) {
    const { node, core } = device
    const count = nodes.filter((one) => one === node).length
    const intake = core.view.intake()
    const isMissing = count === 0 && intake === 'open' && !isKeptOut(device)
    const isLeft = count > 0 && intake === 'draining'
    if (count > 1 || isMissing || isLeft) return `${node} runs ${count} of a daemon`
  }
  return null
}

function whyNot(live: readonly Live[], service: string, number: number): string {
  const pending = live.flatMap(({ core }) =>
    core.view.pending().filter((one) => one.service === service && one.number === number),
  )
  return ` (${pending.map((one) => `${one.domain}: ${one.reason}`).join('; ') || 'no reason given'})`
}

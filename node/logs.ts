// Logs as people want them: of one instance, or of all instances of a service with each line saying whose it is; when
// followed, on and on, wherever the instance goes.

import { PassThrough } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { type DomainPath, type NodeId, ROOT, type ServiceId } from '../overlay/kernel/ids.ts'
import { written } from '../placement/io/written.ts'
import type { InstanceView, LogRequest } from './control.ts'
import type { CoreView } from './core/core-view.ts'
import { CoppiceError } from './errors.ts'
import { openLog } from './instance-streams.ts'
import { prefixed } from './log-lines.ts'
import type { Member } from './node.ts'
import { instancesOf } from './view.ts'

/** Between two looks where a followed instance is now, in ms. A guess: moving one takes longer. */
const LOOK_MS = 500
/** Instances whose logs are shown together; a person reads fewer, and each is a tunnel. A guess. */
const INSTANCES_MAX = 256

/** All that is known of the service, here or by asking. */
type Knowing = (service: ServiceId) => Promise<CoreView>

/** What the instance that is named wrote, or all of them. */
export async function logsOf(
  member: Member,
  knowing: Knowing,
  request: LogRequest,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const service = request.service as ServiceId
  const known = placed(instancesOf(await knowing(service), service))
  const isWanted = (number: number): boolean => request.number === null || number === request.number
  const numbers = [...new Set(known.map(({ number }) => number))].filter(isWanted)
  const [first] = numbers
  if (first === undefined) {
    const which = request.number === null ? request.service : `${request.service}#${request.number}`
    throw new CoppiceError('no-such-instance', `there is no instance of ${which}`, '`coppice ps` lists them.')
  }
  const one = (number: number): InstanceLog => ({ member, knowing, service, number, request, signal })
  if (numbers.length === 1) return await openOne(one(first))
  return request.follow ? together(one, numbers, signal) : inTurn(one, numbers)
}

interface InstanceLog {
  readonly member: Member
  readonly knowing: Knowing
  readonly service: ServiceId
  readonly number: number
  readonly request: LogRequest
  readonly signal: AbortSignal
}

/** Instances that are, or were, on a device. */
const placed = (all: readonly InstanceView[]): readonly InstanceView[] => all.filter(({ node }) => node !== null)

/** Where an instance is now: where it runs, else where it was last; null when it is nowhere. */
async function whereIs({ knowing, service, number }: InstanceLog): Promise<InstanceView | null> {
  const copies = placed(instancesOf(await knowing(service), service)).filter((one) => one.number === number)
  return copies.find(({ state }) => state === 'running') ?? copies[0] ?? null
}

function openAt(log: InstanceLog, at: InstanceView, isFirst: boolean): Promise<AsyncIterable<Uint8Array>> {
  const { member, service, number, signal } = log
  const { follow, tail, sinceMs } = log.request
  const chosen = { service, number, node: at.node as NodeId, domain: (at.domain ?? ROOT) as DomainPath }
  return openLog(member, chosen, { follow, signal, ...(isFirst ? { tail, sinceMs } : { tail: null, sinceMs: null }) })
}

/** The log of one instance; rejects when there is no way to it now. */
async function openOne(log: InstanceLog): Promise<AsyncIterable<Uint8Array>> {
  const at = await whereIs(log)
  if (at === null) throw new CoppiceError('no-such-instance', `${log.service}#${log.number} is gone`, '')
  const opened = await openAt(log, at, true)
  return log.request.follow ? onAndOn(log, at, opened) : opened
}

/** The copy of an instance that a log was read from: another device, or another time, is another log. */
const copyOf = ({ node, since }: InstanceView): string => `${node} ${since}`

/** Goes on with the next copy of the instance when this one is gone. */
async function* onAndOn(
  log: InstanceLog,
  at: InstanceView,
  opened: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const { member, signal } = log
  let current: AsyncIterable<Uint8Array> | null = opened
  let read = copyOf(at)
  while (!signal.aborted) {
    if (current !== null) {
      try {
        yield* current
      } catch (problem) {
        if (signal.aborted) return
        member.notice('log-broke', `${log.service}#${log.number}: ${String(problem)}`)
      }
    }
    current = null
    await delay(LOOK_MS, undefined, { signal, ref: false }).catch(() => undefined)
    if (signal.aborted) return
    const next = await whereIs(log)
    if (next === null || next.state !== 'running' || copyOf(next) === read) continue
    current = await openAt(log, next, false).catch(() => null)
    if (current !== null) read = copyOf(next)
  }
}

/** One after the other, each line with its number. */
async function* inTurn(one: (number: number) => InstanceLog, numbers: readonly number[]): AsyncGenerator<Uint8Array> {
  for (const number of numbers.slice(0, INSTANCES_MAX)) {
    try {
      yield* prefixed(`#${number} | `, await openOne(one(number)))
    } catch (problem) {
      // One device that is out of reach does not hide what the others say.
      yield Buffer.from(`#${number} | [${problem instanceof Error ? problem.message : String(problem)}]\n`)
    }
  }
}

/** All at once, whole lines as they come, also of instances that are added meanwhile. */
function together(
  one: (number: number) => InstanceLog,
  numbers: readonly number[],
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const out = new PassThrough()
  const shown = new Set<number>()
  const show = async (number: number): Promise<void> => {
    shown.add(number)
    try {
      for await (const line of prefixed(`#${number} | `, await openOne(one(number)))) await written(out, line)
    } catch {
      // Its turn comes again with the next look.
      shown.delete(number)
    }
  }
  const watch = async (): Promise<void> => {
    let known: readonly number[] = numbers
    while (!signal.aborted && !out.destroyed) {
      const fresh = known.filter((number) => !shown.has(number)).slice(0, INSTANCES_MAX - shown.size)
      for (const number of fresh) void show(number)
      await delay(LOOK_MS, undefined, { signal, ref: false }).catch(() => undefined)
      const { knowing, service } = one(0)
      known = placed(instancesOf(await knowing(service), service)).map(({ number }) => number)
    }
    out.end()
  }
  void watch().catch((problem: unknown) => out.destroy(problem as Error))
  return out
}

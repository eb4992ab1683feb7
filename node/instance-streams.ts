// Streams from and to an instance, on this device or over a tunnel: its log, and programs in it.

import type { Duplex } from 'node:stream'
import type { TunnelHeader } from '../overlay/io/network.ts'
import { type DomainPath, type NodeId, ROOT, type ServiceId } from '../overlay/kernel/ids.ts'
import type { LogOptions } from '../placement/runtime.ts'
import type { ExecTarget } from './control.ts'
import type { CoreView } from './core/core-view.ts'
import { CoppiceError } from './errors.ts'
import type { Member } from './node.ts'
import { instancesOf } from './view.ts'

export interface Chosen {
  readonly service: ServiceId
  readonly number: number
  readonly node: NodeId
  readonly domain: DomainPath
}

/** The instance that is meant: where none is named, the first that runs. */
function choose(view: CoreView, { service: id, number }: ExecTarget): Chosen {
  const service = id as ServiceId
  const all = instancesOf(view, service).filter((one) => one.node !== null)
  const wanted = all.filter((one) => number === null || one.number === number)
  const chosen = wanted.find((one) => one.state === 'running') ?? wanted[0]
  if (chosen === undefined) {
    const which = number === null ? id : `${id}#${number}`
    throw new CoppiceError('no-such-instance', `there is no instance of ${which}`, '`coppice ps` lists them.')
  }
  const domain = (chosen.domain ?? ROOT) as DomainPath
  return { service, number: chosen.number, node: chosen.node as NodeId, domain }
}

async function tunnel(
  member: Member,
  { service, number, node, domain }: Chosen,
  header: TunnelHeader,
  signal: AbortSignal,
): Promise<Duplex> {
  const opened = await member.traffic.tunnelTo(node, domain, header, signal)
  if (opened.ok) {
    signal.addEventListener('abort', () => opened.value.destroy(), { once: true })
    return opened.value
  }
  const { code, detail } = opened.error
  const what = header.kind === 'exec' ? 'no program can be run in' : 'there is no way to the log of'
  const hint =
    code === 'not-allowed'
      ? 'Ask on a device of the operator whose service it is.'
      : 'Is its device reachable? See `coppice ps` and `coppice status`.'
  throw new CoppiceError(code, `${what} ${service}#${number}: ${detail}`, hint)
}

/** The log of an instance from where it is now. */
export async function openLog(member: Member, chosen: Chosen, options: LogOptions): Promise<AsyncIterable<Uint8Array>> {
  const { service, number } = chosen
  const { signal, ...asked } = options
  if (chosen.node === member.core.view.self.node) {
    const stream = member.runtimes.logs(service, number, options)
    if (stream !== null) return stream
  }
  const opened = await tunnel(member, chosen, { kind: 'logs', service, number, ...asked }, signal)
  opened.end()
  return opened
}

/** A program in an instance, as frames. Whoever may open this node's socket may do so in all that runs on it. */
export async function openExec(
  member: Member,
  view: CoreView,
  target: ExecTarget,
  signal: AbortSignal,
): Promise<Duplex> {
  const chosen = choose(view, target)
  const { service, number } = chosen
  if (chosen.node !== view.self.node) return await tunnel(member, chosen, { kind: 'exec', service, number }, signal)
  const stream = member.runtimes.exec(service, number)
  if (stream === null) {
    throw new CoppiceError('no-such-instance', `${service}#${number} is not on this node yet`, 'See `coppice ps`.')
  }
  signal.addEventListener('abort', () => stream.destroy(), { once: true })
  return stream
}

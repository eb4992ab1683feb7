// What people ask for who move instances and empty devices: the question goes to the node that decides, its answer is
// put into words here.

import type { NodeId, ServiceId } from '../overlay/kernel/ids.ts'
import { isDomain } from '../overlay/kernel/ids.ts'
import { parseSelector } from '../placement/index.ts'
import type { IntakeView, MoveView } from './control.ts'
import type { CoreView } from './core/core-view.ts'
import type { Intake } from './core/messages.ts'
import { CoppiceError } from './errors.ts'
import type { Member } from './node.ts'
import { instancesOf, nameOf, specOf } from './view.ts'

/** How long a device of another cluster may take to be found and connected to. A guess: a lookup and a handshake. */
const REACH_MS_MAX = 5_000

/** Asks the leader that decides to move an instance, or each one of a service. Rejects when none can be moved. */
export async function migrate(
  member: Member,
  view: CoreView,
  service: ServiceId,
  number: number | null,
  to: string | null,
): Promise<MoveView> {
  const selector = to === null ? null : parseSelector(to)
  if (selector !== null && !selector.ok)
    throw new CoppiceError('bad-selector', `--to ${to}: ${selector.error.problem}`, 'A name, a pattern or label=value.')
  const domain = specOf(view, service)?.message.domain
  const all = [...new Set(instancesOf(view, service).map((one) => one.number))]
  const numbers = all.filter((one) => number === null || one === number)
  if (domain === undefined || numbers.length === 0) {
    const which = number === null ? service : `${service}#${number}`
    throw new CoppiceError('no-such-instance', `there is no instance of ${which}`, '`coppice ps` lists them.')
  }
  const moves: MoveView['moves'][number][] = []
  for (const one of numbers) {
    const answer = await member.questions.ask({ domain, service, number: one, to })
    if (answer === null || answer.kind !== 'placement/moved') throw unanswered(`the leader of ${domain}`)
    const { outcome, child, reason } = answer
    const name = child === null || isDomain(child) ? child : (nameOf(view, child) ?? child)
    moves.push({ number: one, outcome, child, name, reason })
  }
  if (moves.some(({ outcome }) => outcome === 'moving')) return { service, moves }
  const why = moves.map((one) => `${service}#${one.number} stays where it is: ${one.reason}`).join('\n')
  throw new CoppiceError('cannot-move', why, 'Nothing was changed. `coppice nodes` shows what devices have.')
}

/** Opens or closes a device, or (null) asks how it stands. */
export async function setIntake(member: Member, node: NodeId, set: Intake | null): Promise<IntakeView> {
  const { view } = member.core
  const name = nameOf(view, node)
  await reach(member, node)
  const answer = await member.questions.ask({ node, set })
  if (answer === null || answer.kind !== 'node/intake-state') throw unanswered(name ?? node)
  const { intake, instances, leads, elects = [], stuck, refused } = answer
  if (refused !== null) throw new CoppiceError('not-allowed', `${name ?? node} refuses: ${refused}`, '')
  return { node, name, intake, instances, leads, elects, stuck }
}

/** Connects to a device of another cluster, where that is known. */
export async function reach({ core, host, until, stopping }: Member, node: NodeId): Promise<void> {
  const { view } = core
  const isThere = (): boolean => node === view.self.node || view.isConnected(node)
  const domain = view.roster().has(node) ? view.self.domain : view.domainOf(node)
  if (isThere() || domain === null) return
  host.input({ kind: 'reach', peer: node, domain })
  await until(isThere, AbortSignal.any([stopping, AbortSignal.timeout(REACH_MS_MAX)]))
}

const unanswered = (who: string): CoppiceError =>
  new CoppiceError('no-answer', `${who} did not answer`, 'It may have done it all the same: see `coppice ps`.')

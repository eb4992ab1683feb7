// `coppice domain recover`: an operator's order that a domain goes on without the majority that is gone. The node
// checks who ordered it; its election refuses while a majority is heard.

import { type RecoveryProblem, recoveryProblem } from '../election/index.ts'
import { type DomainPath, parseDomainPath } from '../overlay/kernel/ids.ts'
import { asCoppiceError } from './boot.ts'
import type { RecoveryView } from './control.ts'
import type { SeatView } from './core/seats.ts'
import { CoppiceError } from './errors.ts'
import type { Member } from './node.ts'
import { nameOf } from './view.ts'

/** How long the domain may take to lead after the order: a few writes to the disk. A guess. */
const LEADS_MS_MAX = 5_000

/** One line of text, to be carried to a device of the domain. Rejects with CoppiceError. */
export async function signRecovery({ gate }: Member, path: string): Promise<string> {
  return await gate.signRecovery(readPath(path)).catch((problem: unknown) => {
    throw asCoppiceError(problem)
  })
}

/** Without an order the operator key on this device signs one. Rejects with CoppiceError. */
export async function recoverDomain(member: Member, path: string, given: string | null): Promise<RecoveryView> {
  const { gate, host } = member
  const domain = readPath(path)
  const checked = await gate.checkRecovery(given ?? (await signRecovery(member, path)), domain)
  if (!checked.ok) {
    const hint = `\`coppice domain recover ${domain} --sign\` on the operator's device makes a new one.`
    throw new CoppiceError('order-refused', `the order is not valid: ${checked.error}`, hint)
  }
  const seat = seatIn(member, domain)
  const problem = seat === null ? 'no-seat' : recoveryProblem(seat.state, performance.now())
  if (problem !== null) throw refusal(member, domain, problem)
  host.input({ kind: 'recover', domain })
  const leads = (): boolean => (seatIn(member, domain)?.fence ?? null) !== null
  await member.until(leads, AbortSignal.timeout(LEADS_MS_MAX))
  const { register } = seatIn(member, domain)?.state ?? {}
  if (!leads() || !register) {
    throw new CoppiceError('not-recovered', `${domain} does not lead yet`, 'See `coppice status` and `coppice events`.')
  }
  return { domain, line: register.line, epoch: register.epoch, operator: checked.value }
}

const seatIn = ({ core }: Member, domain: DomainPath): SeatView | null =>
  core.view.seats().find((seat) => seat.domain === domain) ?? null

function readPath(path: string): DomainPath {
  const parsed = parseDomainPath(path)
  if (parsed.ok) return parsed.value
  throw new CoppiceError('bad-domain', parsed.error, 'A domain is written as a path: /berlin, or / for the root.')
}

function refusal({ core }: Member, domain: DomainPath, problem: RecoveryProblem | 'no-seat'): CoppiceError {
  const { view } = core
  const known = view.leaders().leaderOf(domain)?.announcement ?? null
  switch (problem) {
    case 'no-seat': {
      const nodes = (known?.electors ?? []).flatMap((child) => view.leaders().nodeOf(child) ?? [])
      const names = nodes.map((node) => nameOf(view, node) ?? node).join(', ')
      const hint = names === '' ? 'Do this on one of its devices.' : `Do this on a device that spoke for it: ${names}.`
      return new CoppiceError('no-seat', `this node does not speak for ${domain}`, hint)
    }
    case 'no-register':
      return new CoppiceError(
        'no-register',
        `this node remembers nothing of ${domain} that could go on`,
        'Do this on a device that was an elector of it, or a learner for a while.',
      )
    case 'just-started':
      return new CoppiceError(
        'just-started',
        `this node has listened for others of ${domain} for less than a lease`,
        'Wait for a moment and try again.',
      )
    case 'leader-heard':
      return new CoppiceError(
        'leader-heard',
        `${domain} has a leader, ${known?.name ?? 'which'} was heard within the last lease`,
        'There is nothing to recover.',
      )
    case 'majority-heard':
      return new CoppiceError(
        'majority-heard',
        `a majority of the electors of ${domain} was heard within the last lease`,
        'They elect a leader by themselves; wait for a moment and look at `coppice status`.',
      )
  }
}

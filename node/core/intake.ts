// Whether this device takes work: a setting of the node itself, which a member of its operator may change from
// anywhere, and which a restart does not forget.

import type { ChildFact, LeaderBookView } from '../../election/index.ts'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import type { Opened, SignerFacts } from '../../overlay/wire/envelope.ts'
import type { MovedMessage } from '../../placement/messages.ts'
import type { CoreEffect } from './effects.ts'
import { INTAKES, type Intake, type IntakeMessage, type IntakeStateMessage } from './messages.ts'

export const INTAKE_KEY = 'node/intake'
/** Reasons that an answer names; whoever wants the others asks again when these are gone. */
const STUCK_MAX = 32

export interface IntakeKeeper {
  current(): Intake
  /** Returns whether it is another one from now on. */
  onMessage(opened: Opened<IntakeMessage>, out: CoreEffect[]): boolean
  /** A leader says that what this device runs cannot leave it, or that it can by now. */
  onMoved(message: MovedMessage): void
}

export interface IntakeOptions {
  readonly self: SignerFacts
  readonly saved: Uint8Array | null
  /** What the device runs now, as `service#number`. */
  readonly running: () => readonly string[]
  readonly leads: () => readonly DomainPath[]
  /** Where it is an elector although another child could be. */
  readonly elects: () => readonly DomainPath[]
}

export const encodeIntake = (intake: Intake): Uint8Array => new TextEncoder().encode(intake)

/** What cannot be read is open: who closed it sees that, and closes it again. */
export function decodeIntake(value: Uint8Array | null): Intake {
  const text = value === null ? '' : new TextDecoder().decode(value)
  return INTAKES.find((one) => one === text) ?? 'open'
}

export function createIntake({ self, saved, running, leads, elects }: IntakeOptions): IntakeKeeper {
  let intake = decodeIntake(saved)
  const stuck = new Map<string, string>()

  const state = (requestId: string, refused: string | null): IntakeStateMessage => {
    const keys = running()
    for (const key of [...stuck.keys()]) if (!keys.includes(key)) stuck.delete(key)
    const why = intake === 'draining' ? [...stuck].slice(0, STUCK_MAX) : []
    return {
      kind: 'node/intake-state',
      requestId,
      intake,
      instances: keys.length,
      leads: leads(),
      elects: elects(),
      stuck: why.map(([instance, reason]) => ({ instance, reason })),
      refused,
    }
  }

  return {
    current: () => intake,
    onMessage: ({ from, signer, message }, out) => {
      const { requestId, set } = message
      if (message.node !== self.node) return false
      const refused = set === null ? null : whyRefused(self, signer)
      const say = (): CoreEffect => ({ kind: 'send', to: from, message: state(requestId, refused) })
      if (set === null || set === intake || refused !== null) {
        out.push(say())
        return false
      }
      intake = set
      stuck.clear()
      // Said once it is on the disk: a device that was drained stays so, whatever happens to it.
      out.push({ kind: 'persist', key: INTAKE_KEY, value: encodeIntake(set), sync: true, then: [say()] })
      return true
    },
    onMoved: ({ service, number, outcome, reason }) => {
      const key = `${service}#${number}`
      if (outcome === 'refused') stuck.set(key, reason)
      else stuck.delete(key)
    },
  }
}

/** The node's cluster, where it is an elector and a member is not that could be; what it speaks for above is led. */
export function replaceableSeats(
  self: Pick<SignerFacts, 'node' | 'domain'>,
  book: Pick<LeaderBookView, 'leaderOf'>,
  members: readonly Pick<ChildFact, 'child' | 'alive' | 'canLead'>[],
): readonly DomainPath[] {
  const electors = book.leaderOf(self.domain)?.announcement.electors ?? []
  const isFree = ({ child, alive, canLead }: (typeof members)[number]): boolean =>
    alive && canLead && child !== self.node && !electors.includes(child)
  return electors.includes(self.node) && members.some(isFree) ? [self.domain] : []
}

/** Devices are their operator's: another one may leave them alone, not close them. */
function whyRefused(self: SignerFacts, signer: SignerFacts): string | null {
  if (signer.operator !== self.operator) return 'the device is another operator’s'
  const may = signer.capabilities.some((one) => one === 'enrol' || one === 'deploy:*')
  return may ? null : 'the device that asks may neither enrol devices nor deploy everywhere'
}

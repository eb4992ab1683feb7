// Who may say what. The rule is pure: it looks at what the signer's credential says, at who was proven to lead, and at
// nothing that depends on the way a record came, except that a taken name is refused at the door.

import { type DomainPath, isWithin, type ServiceId } from '../overlay/kernel/ids.ts'
import type { UnixMillis } from '../overlay/kernel/time.ts'
import type { SignerFacts } from '../overlay/wire/envelope.ts'
import { RECORD_BYTES_MAX } from './constants.ts'
import type { LeaderBook } from './leaders.ts'
import type { Clock, PlacementRecord, RolloutRecord, SealedRecord, SpecRecord } from './record.ts'
import { isInstance, isPlacement, isRollout, isSpec, isTombstone, observe } from './version.ts'

/** Why a record was not taken in; stable, and what people are told. */
export type RefusalCode =
  /** The record belongs to a domain of another store. */
  | 'wrong-domain'
  /** No service is called like that. */
  | 'bad-name'
  /** The signer's credential lacks `deploy:<namespace>` or `work`. */
  | 'no-capability'
  /** The spec was signed after the signer's credential had expired. */
  | 'expired'
  /** Another operator has a service of that name. */
  | 'not-owner'
  /** Somebody else led the domain at that fence. */
  | 'not-leader'
  /** The signer is no node of the cluster that it speaks of. */
  | 'wrong-cluster'
  /** The signer's clock is more than a day ahead of ours. */
  | 'clock-ahead'
  | 'too-large'
  | 'signer-limit'
  | 'store-full'
  | 'revoked-signer'
  /** A later version is known. */
  | 'older'

export type Verdict = 'accept' | 'wait' | { readonly refused: RefusalCode }

/** What the rule may know of the store. */
export interface AuthorityView {
  readonly domain: DomainPath
  readonly leaders: LeaderBook
  /** The latest clock reading that was accepted. */
  readonly clock: Clock
  spec(service: ServiceId): SealedRecord<SpecRecord> | null
}

export interface Arrival {
  readonly wall: UnixMillis
  /**
   * Whether the record is new to the domain (from this node or pushed), and not passed on by one who took it in
   * before.
   */
  readonly atTheDoor: boolean
}

/** Whether the signer may say it. `wait` when that is not known yet: the leader of that fence was not proven so far. */
export function authorize(record: SealedRecord, view: AuthorityView, arrival: Arrival): Verdict {
  const refused = checkSigner(record)
  if (refused !== null) return { refused }
  if (isSpec(record)) return authorizeSpec(record, view, arrival)
  if (isPlacement(record) || isRollout(record)) return authorizeOrder(record, view)
  return isWithin(record.message.domain, view.domain) ? 'accept' : { refused: 'wrong-domain' }
}

/** The half of the rule that needs no store: what a signer may never say, wherever it says it. */
export function checkSigner(record: SealedRecord): RefusalCode | null {
  const { signer } = record
  if (record.bytes.length > RECORD_BYTES_MAX) return 'too-large'
  if (!isServiceId(record.message.service)) return 'bad-name'
  if (isSpec(record)) {
    if (!mayDeploy(signer, record.message.service)) return 'no-capability'
    return record.message.clock.wall > signer.expiresAt ? 'expired' : null
  }
  if (isInstance(record)) {
    if (signer.domain !== record.message.domain) return 'wrong-cluster'
    return signer.capabilities.includes('work') ? null : 'no-capability'
  }
  return null
}

function authorizeSpec(record: SealedRecord<SpecRecord>, view: AuthorityView, arrival: Arrival): Verdict {
  const { message, signer } = record
  if (message.domain !== view.domain) return { refused: 'wrong-domain' }
  if (!observe(view.clock, message.clock, arrival.wall).ok) return { refused: 'clock-ahead' }
  const held = view.spec(message.service)
  const isTaken = held !== null && !isTombstone(held) && held.signer.operator !== signer.operator
  return arrival.atTheDoor && isTaken ? { refused: 'not-owner' } : 'accept'
}

/** What only the domain's leader says. */
function authorizeOrder(record: SealedRecord<PlacementRecord | RolloutRecord>, view: AuthorityView): Verdict {
  const { message, from } = record
  if (message.domain !== view.domain) return { refused: 'wrong-domain' }
  const leader = view.leaders.leaderAt(message.domain, message.fence)
  if (leader === null) return 'wait'
  return leader === from ? 'accept' : { refused: 'not-leader' }
}

const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const serviceIdPattern = new RegExp(`^${label}\\.${label}\\.${label}\\.${label}$`)

/** Whether a text is `app.appns.svc.svcns`, each a DNS label in lower case (RFC 1123, section 2.1). */
export const isServiceId = (text: string): text is ServiceId => text.length <= 255 && serviceIdPattern.test(text)

/**
 * Whether a node may submit a service: it needs the right to the namespace of the application and to that of the
 * service.
 */
export function mayDeploy(signer: Pick<SignerFacts, 'capabilities'>, service: ServiceId): boolean {
  if (signer.capabilities.includes('deploy:*')) return true
  const [, appNamespace, , namespace] = service.split('.')
  return [appNamespace, namespace].every((name) => signer.capabilities.includes(`deploy:${name}`))
}

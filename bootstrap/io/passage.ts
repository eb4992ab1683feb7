// All that one device needs to go on in another federation: its operator's order, the charter there, a credential that
// was signed for it there, where to meet the others, and its operator's policy. It is checked whole before it is kept,
// and again when it is used.

import type { OperatorId } from '../../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import { type Infer, list, literal, object, text } from '../../overlay/wire/schema.ts'
import type { Charter, CharterView } from '../charter.ts'
import { CREDENTIAL_BYTES_MAX } from '../credential.ts'
import { FEDERATION_ORDER_BYTES_MAX } from '../federation-order.ts'
import { INVITE_ADDRESS_CHARS_MAX } from '../invite.ts'
import { frameCodec, splitCharter, withCharter } from '../messages.ts'
import { POLICY_STATEMENT_BYTES_MAX } from '../policy-statement.ts'
import { openCharter } from './charter-keeper.ts'
import { type HeldCredential, openCredential } from './credential-signer.ts'
import { openFederationOrder } from './federation-signer.ts'
import type { Membership } from './membership.ts'
import { openPolicy } from './policy-signer.ts'

/** Addresses to meet others at: those of the invite, and some of the devices that come along. A guess. */
export const PASSAGE_SEEDS_MAX = 16
const HEAD_BYTES_MAX = 32_768
/** A relation: a charter at its bound, and the rest at its longest. */
export const PASSAGE_BYTES_MAX = 12_582_912

const headSchema = object({
  kind: literal('passage'),
  order: text(FEDERATION_ORDER_BYTES_MAX),
  /** Compact JWS. */
  credential: text(CREDENTIAL_BYTES_MAX),
  seeds: list(text(INVITE_ADDRESS_CHARS_MAX), PASSAGE_SEEDS_MAX),
})
const headFrame = frameCodec<Infer<typeof headSchema>>(headSchema, HEAD_BYTES_MAX)

export interface PassageParts extends Omit<Infer<typeof headSchema>, 'kind'> {
  /** Packed. */
  readonly charter: Uint8Array
  /** As the operator signed it for the federation there; null where it has none, or that of the others goes on. */
  readonly policy: string | null
}

/** What a device found good. */
export interface Passage {
  readonly charter: Charter
  readonly credential: HeldCredential
  /** When the operator gave the order, in ms since 1970, to the second: the same for all its devices. */
  readonly orderedAt: UnixMillis
  readonly seeds: readonly string[]
  readonly policy: string | null
}

export function packPassage({ charter, policy, ...head }: PassageParts): Uint8Array {
  const statement = new TextEncoder().encode(policy ?? '')
  return withCharter(headFrame.encode({ kind: 'passage', ...head }), withCharter(statement, charter))
}

/** Whose passage is expected, and what that device believes in now. */
export interface Traveller {
  readonly membership: Pick<Membership, 'credential'>
  readonly charter: CharterView
  readonly wall: UnixMillis
}

/** The error is for people. */
export async function openPassage(
  packed: Uint8Array,
  { membership, charter: believed, wall }: Traveller,
): Promise<Result<Passage, string>> {
  const read = readParts(packed)
  if (!read.ok) return read
  const { order, credential, seeds, charter, policy } = read.value
  const { node, operator, domain } = membership.credential.facts
  const ordered = await openFederationOrder(order, operator, believed, wall)
  if (!ordered.ok) return err(`its order is not good: ${ordered.error}`)
  const { to, iat } = ordered.value
  const opened = openCharter(charter)
  if (!opened.ok) return err(`the charter is not valid (${opened.error.detail})`)
  const { view } = opened.value
  if (view.federation !== to) return err('the charter is not that of the federation in the order')
  const held = await openCredential(credential, view)
  if (!held.ok) return err(`the credential is not valid (${held.error.detail})`)
  if (held.value.facts.node !== node) return err('the credential is for another node')
  if (held.value.facts.domain !== domain) return err(`the credential is for ${held.value.facts.domain}`)
  const problem = policy === null ? null : await policyProblem(policy, held.value.facts.operator, view)
  if (problem !== null) return err(problem)
  return ok({ charter: opened.value, credential: held.value, orderedAt: iat * 1_000, seeds, policy })
}

async function policyProblem(policy: string, operator: OperatorId, charter: CharterView): Promise<string | null> {
  const opened = await openPolicy(policy, { operator, federation: charter.federation, charter })
  return opened.ok ? null : `the policy is not good: ${opened.error}`
}

function readParts(packed: Uint8Array): Result<PassageParts, string> {
  if (packed.length > PASSAGE_BYTES_MAX) return err(`more than ${PASSAGE_BYTES_MAX} bytes`)
  const outer = splitCharter(packed)
  if (!outer.ok) return outer
  const head = headFrame.decode(outer.value.head)
  if (!head.ok) return head
  const inner = splitCharter(outer.value.charter)
  if (!inner.ok) return inner
  if (inner.value.head.length > POLICY_STATEMENT_BYTES_MAX) return err('its policy is too long')
  const policy = new TextDecoder().decode(inner.value.head)
  const { kind: _kind, ...parts } = head.value
  return ok({ ...parts, charter: inner.value.charter, policy: policy === '' ? null : policy })
}

// The guest's side of a join: asks, and believes nothing in the answer that does not follow from the invite itself.

import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import { type Charter, entriesOf, extend } from '../charter.ts'
import { NAME_CHARS_MAX } from '../charter-entry.ts'
import { draftClaims, FOUNDER_CAPABILITIES, isDueForRenewal, isRevoked } from '../credential.ts'
import { BootstrapError } from '../errors.ts'
import { decodeInvite, type Invite } from '../invite.ts'
import { type JoinAnswer, joinAnswerFrame, joinRequestFrame } from '../messages.ts'
import { openCharter } from './charter-keeper.ts'
import { type HeldCredential, issueCredential, openCredential } from './credential-signer.ts'
import { nodeCrypto } from './crypto.ts'
import type { NodeKey, OperatorKey } from './key-file.ts'
import { loadMembership, type Membership, saveMembership } from './membership.ts'
import type { Store } from './store.ts'

export interface RedeemOptions {
  readonly store: Store
  readonly nodeKey: NodeKey
  /** Of this node, for people. */
  readonly nodeName: string
  readonly wall: UnixMillis
  /** A key of an operator that was admitted: then this device is that operator's, and the key vouches for it. */
  readonly operatorKey?: OperatorKey | null
  readonly labels?: Readonly<Record<string, string>>
}

/** A charter, and a credential of this node under it. */
export interface Accepted {
  readonly charter: Charter
  readonly credential: HeldCredential
}

/** Reads an invite that a person pasted. Throws BootstrapError `bad-invite`, which says what is wrong with it. */
export function readInvite(line: string): Invite {
  const decoded = decodeInvite(line)
  if (decoded.ok) return decoded.value
  const hint = 'Copy the whole line again from where it was made, or make a new one there: `coppice invite`.'
  throw new BootstrapError('bad-invite', decoded.error.detail, hint)
}

/**
 * Becomes a member, on disk when the promise resolves. A folder that is a member already stays as it is, unless its
 * credential is in the last third of its life, or was revoked and this folder heard of it: then the invite renews it.
 * `exchange` carries the request to one of the invite's addresses and brings the answer back. Rejects with
 * BootstrapError `other-federation`, `join-refused` (its `refusal` is the code given), `bad-join-answer`,
 * `damaged-store`, `wrong-node-key`, and as `exchange` does.
 */
export async function redeemInvite(
  invite: Invite,
  exchange: (request: Uint8Array) => Promise<Uint8Array>,
  options: RedeemOptions,
): Promise<Membership> {
  const { store, nodeKey, wall } = options
  const present = await loadMembership(store, nodeKey)
  if (present !== null && present.federation !== invite.federation) throw otherFederation(present, invite)
  const isWorthless = present !== null && isRevoked(present.credential.bearer, present.charter.view)
  if (present !== null && !isWorthless && !isDueForRenewal(present.credential.facts, wall)) return present
  const accepted = await askToJoin(invite, exchange, options)
  return saveMembership(store, longerOf(present?.charter ?? null, accepted.charter), accepted.credential)
}

/** What an invite is worth to this device now; nothing is written. Rejects as `redeemInvite` does. */
export async function askToJoin(
  invite: Invite,
  exchange: (request: Uint8Array) => Promise<Uint8Array>,
  options: Omit<RedeemOptions, 'store'>,
): Promise<Accepted> {
  const request = joinRequestFrame.encode({
    kind: 'join',
    inviteId: invite.inviteId,
    secret: invite.secret,
    name: options.nodeName.slice(0, NAME_CHARS_MAX),
    ...(options.operatorKey ? { operator: options.operatorKey.operator } : {}),
  })
  const answer = joinAnswerFrame.decode(await exchange(request))
  if (!answer.ok) throw badAnswer(`it cannot be read (${answer.error})`)
  if (answer.value.kind === 'refused') throw refused(answer.value.code, answer.value.detail)
  const accepted = await checkAccepted(answer.value, invite, options)
  if (!accepted.ok) throw badAnswer(accepted.error)
  return accepted.value
}

/** A renewal never takes back what this node knows of revocations. */
const longerOf = (ours: Charter | null, theirs: Charter): Charter =>
  ours === null ? theirs : extend(ours, entriesOf(theirs), nodeCrypto).charter

async function checkAccepted(
  answer: Extract<JoinAnswer, { readonly kind: 'accepted' }>,
  invite: Invite,
  { nodeKey, operatorKey, ...options }: Omit<RedeemOptions, 'store'>,
): Promise<Result<Accepted, string>> {
  const charter = openCharter(answer.charter)
  if (!charter.ok) return err(`its charter is not valid (${charter.error.detail})`)
  const { view } = charter.value
  if (view.federation !== invite.federation) return err('its charter is not that of the federation in the invite')
  if (answer.credential === null) {
    if (!operatorKey || !view.operators.some(({ key }) => key === operatorKey.operator)) {
      return err('it holds no credential, and the operator key on this device is no operator’s')
    }
    const { federation, domain } = invite
    const facts = { sub: nodeKey.node, federation, domain, capabilities: FOUNDER_CAPABILITIES }
    const name = options.nodeName.slice(0, NAME_CHARS_MAX)
    const claims = draftClaims({ ...facts, labels: options.labels ?? {}, name }, options.wall)
    const credential = issueCredential({ ...claims, iss: operatorKey.operator }, operatorKey, view)
    return ok({ charter: charter.value, credential })
  }
  const credential = await openCredential(answer.credential, view)
  if (!credential.ok) return err(`its credential is not valid (${credential.error.detail})`)
  if (credential.value.facts.node !== nodeKey.node) return err('its credential is for another node')
  return ok({ charter: charter.value, credential: credential.value })
}

const otherFederation = (present: Membership, invite: Invite): BootstrapError =>
  new BootstrapError(
    'other-federation',
    `this folder belongs to the federation "${present.federationName}", the invite is of "${invite.federationName}"`,
    'One folder is one node of one federation: choose another with --data. A device that `coppice federate` left ' +
      'behind comes after the others of its operator with `coppice join INVITE --leave`.',
  )

const badAnswer = (why: string): BootstrapError =>
  new BootstrapError(
    'bad-join-answer',
    `the answer to the join was not believed: ${why}`,
    'Nothing was changed. Ask for a new invite; if this happens again, the device that answers is not what it claims.',
  )

const REFUSAL_HINTS: Readonly<Record<string, string>> = {
  'revoked-node': 'A revoked device comes back only with a new identity: an empty folder and a new invite.',
  'operator-not-admitted':
    'Print its request with `coppice operator request` and have it admitted there: `coppice operator admit REQUEST`.',
}

/** The code is stable; the sentence is the other side's, so it is shown as such. */
function refused(code: string, detail: string): BootstrapError {
  const hint = REFUSAL_HINTS[code] ?? 'Ask for a new invite where this one was made: `coppice invite`.'
  return new BootstrapError('join-refused', `the join was refused (${code}): ${detail}`, hint, code)
}

// The enrolment desk: which invites were handed out and who came with them. It only counts; the credential is signed
// in io/ after the count has reached the disk, so a crash in between costs the guest a second question and nobody a
// second use.

import type { DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { UnixMillis } from '../overlay/kernel/time.ts'
import { decodeBounded } from '../overlay/wire/codec.ts'
import {
  bytes,
  dictionary,
  encodeWith,
  flag,
  type Infer,
  list,
  object,
  optional,
  readWith,
  text,
  whole,
} from '../overlay/wire/schema.ts'
import { HASH_BYTES, hexOf } from './charter-entry.ts'
import { CAPABILITIES_MAX, CAPABILITY_CHARS_MAX, CLUSTER_CHARS_MAX, LABEL_CHARS_MAX, LABELS_MAX } from './credential.ts'
import { INVITE_ID_BYTES } from './invite.ts'

/**
 * The most nodes that one invite admits (a relation: their ids, 54 bytes each, have to fit a stored value of 60
 * 000).
 */
export const INVITE_USES_MAX = 1_000
/** How long an invite may be good for: a year. */
export const INVITE_LIFETIME_MS_MAX = 365 * 86_400_000
/** How long an expired invite is remembered, so that its guests are told `expired` and not `unknown` (a guess). */
export const EXPIRED_INVITE_MEMORY_MS = 30 * 86_400_000
/**
 * Invites known at once, the remembered ones included; at the limit, those longest expired make room, else minting
 * is refused.
 */
export const INVITES_MAX = 256

const issuedSchema = object({
  id: bytes(INVITE_ID_BYTES),
  /** SHA-256: the secret itself is nowhere on this device. */
  secretHash: bytes(HASH_BYTES),
  domain: text<DomainPath>(CLUSTER_CHARS_MAX),
  capabilities: list(text(CAPABILITY_CHARS_MAX), CAPABILITIES_MAX),
  labels: dictionary(text(LABEL_CHARS_MAX), LABELS_MAX),
  usesLeft: whole(0, INVITE_USES_MAX),
  expiresAt: whole(),
  joined: list(text<NodeId>(128), INVITE_USES_MAX),
  /** The only node that may come with it; absent when any may. */
  node: optional(text<NodeId>(128)),
  /** Taken back; whoever joined with it stays. */
  isTakenBack: optional(flag),
})
export type IssuedInvite = Infer<typeof issuedSchema>

/** Each invite keeps its place: a slot is what is written to disk as one value. */
export interface EnrolmentState {
  readonly slots: readonly IssuedInvite[]
}

export type RedeemRefusalCode =
  | 'unknown-invite'
  | 'wrong-secret'
  | 'revoked-node'
  | 'revoked-invite'
  | 'other-device'
  | 'expired-invite'
  | 'used-up-invite'

export interface RedeemRefusal {
  readonly code: RedeemRefusalCode
  readonly detail: string
}

export interface RedeemRequest {
  readonly inviteId: Uint8Array
  readonly secretHash: Uint8Array
  readonly node: NodeId
  readonly isRevoked: boolean
}

/** What has to be on disk, in which slot, before the answer leaves. */
export interface EnrolmentChange {
  readonly state: EnrolmentState
  readonly slot: number
  readonly invite: IssuedInvite
}

export const createEnrolment = (slots: readonly IssuedInvite[]): EnrolmentState => ({ slots })

/** Takes in a new invite; null when all places are held by invites that still count. */
export function issue(state: EnrolmentState, invite: IssuedInvite, wall: UnixMillis): EnrolmentChange | null {
  if (state.slots.length < INVITES_MAX) return replaceSlot(state, state.slots.length, invite)
  let oldest = -1
  for (const [slot, held] of state.slots.entries()) {
    const current = state.slots[oldest]
    if (held.expiresAt < wall && (current === undefined || held.expiresAt < current.expiresAt)) oldest = slot
  }
  return oldest === -1 ? null : replaceSlot(state, oldest, invite)
}

/**
 * Decides about a guest. `isNew` tells whether a use was counted: the same node with the same invite again, because
 * the first answer was lost, is accepted without another use while the invite is good.
 */
export function redeem(
  state: EnrolmentState,
  request: RedeemRequest,
  wall: UnixMillis,
): Result<EnrolmentChange & { readonly isNew: boolean }, RedeemRefusal> {
  const slot = state.slots.findIndex((held) => sameBytes(held.id, request.inviteId))
  const invite = state.slots[slot]
  if (invite === undefined || wall > invite.expiresAt + EXPIRED_INVITE_MEMORY_MS) {
    return refuse('unknown-invite', 'this device has not handed out that invite; ask at the one that has')
  }
  if (!sameBytes(invite.secretHash, request.secretHash)) {
    return refuse('wrong-secret', 'the secret is not that of the invite; copy the invite again')
  }
  if (request.isRevoked) {
    return refuse(
      'revoked-node',
      `${request.node} was put out of the federation; a new identity is needed to come back`,
    )
  }
  if (invite.isTakenBack) return refuse('revoked-invite', 'the invite was taken back; ask for a new one')
  if (invite.node !== undefined && invite.node !== request.node) {
    return refuse('other-device', `the invite is for ${invite.node} alone`)
  }
  if (wall > invite.expiresAt) return refuse('expired-invite', 'the invite has expired; ask for a new one')
  if (invite.joined.includes(request.node)) return ok({ state, slot, invite, isNew: false })
  if (invite.usesLeft === 0) {
    return refuse('used-up-invite', `the invite was for ${invite.joined.length} and is used up; ask for a new one`)
  }
  const counted = { ...invite, usesLeft: invite.usesLeft - 1, joined: [...invite.joined, request.node] }
  return ok({ ...replaceSlot(state, slot, counted), isNew: true })
}

/** Takes an invite back, by the beginning of its id in hex; null when none, or more than one, begins so. */
export function takeBack(state: EnrolmentState, idBegins: string): EnrolmentChange | null {
  const slots = [...state.slots.keys()].filter((slot) =>
    hexOf(state.slots[slot]?.id ?? new Uint8Array()).startsWith(idBegins),
  )
  const invite = state.slots[slots[0] ?? -1]
  if (invite === undefined || slots.length !== 1) return null
  return replaceSlot(state, slots[0] as number, { ...invite, isTakenBack: true })
}

/** An invite as its maker is shown it. */
export interface InviteView {
  readonly id: string
  readonly domain: DomainPath
  readonly state: 'open' | 'used-up' | 'expired' | 'revoked'
  readonly usesLeft: number
  readonly expiresAt: UnixMillis
  /** Who may come with it alone; null when any device may. */
  readonly node: NodeId | null
  readonly joined: readonly NodeId[]
}

export const viewInvites = (state: EnrolmentState, wall: UnixMillis): readonly InviteView[] =>
  state.slots.map((invite) => ({
    id: hexOf(invite.id),
    domain: invite.domain,
    state: stateOf(invite, wall),
    usesLeft: invite.usesLeft,
    expiresAt: invite.expiresAt,
    node: invite.node ?? null,
    joined: invite.joined,
  }))

function stateOf({ isTakenBack, expiresAt, usesLeft }: IssuedInvite, wall: UnixMillis): InviteView['state'] {
  if (isTakenBack) return 'revoked'
  if (wall > expiresAt) return 'expired'
  return usesLeft === 0 ? 'used-up' : 'open'
}

export const encodeIssued = (invite: IssuedInvite): Uint8Array => encodeWith(issuedSchema, invite)

export function decodeIssued(stored: Uint8Array): Result<IssuedInvite, string> {
  const raw = decodeBounded(stored)
  if (!raw.ok) return err(raw.error.detail)
  return readWith(issuedSchema, raw.value, () => err('no envelope belongs here'))
}

const replaceSlot = (state: EnrolmentState, slot: number, invite: IssuedInvite): EnrolmentChange => ({
  state: { slots: state.slots.toSpliced(slot, 1, invite) },
  slot,
  invite,
})

const refuse = (code: RedeemRefusalCode, detail: string): Result<never, RedeemRefusal> => err({ code, detail })

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index])

// What people and programs may ask of a running node about who belongs: part of NodeControl.

import type { Threshold } from '../bootstrap/charter-entry.ts'
import type { CharterLog } from '../bootstrap/charter-log.ts'
import type { InviteView } from '../bootstrap/enrolment.ts'
import type { Collision } from '../bootstrap/names.ts'

export interface InviteRequest {
  /** The cluster of the guests; null: that of this node. */
  readonly domain: string | null
  readonly uses: number
  readonly ttlMs: number
  /** The only device that may use it; default: any. */
  readonly node?: string | null
  /** Whoever joins with it may let others in, for this device's operator. Default: no. */
  readonly isEnrolling?: boolean
}

/** What became of an entry for the charter. */
export interface ProposalView {
  /** Hex hash. */
  readonly entry: string
  readonly kind: string
  readonly state: 'in-force' | 'waiting'
  /** Names of the operators that signed. */
  readonly signedBy: readonly string[]
  /** How many more have to. */
  readonly missing: number
}

export interface RevocationView extends ProposalView {
  readonly node: string
  readonly charterHead: string
}

export interface CharterTakenView {
  /** Entries that are in force now and were not known here. */
  readonly added: number
  /** Entries that wait for signatures. */
  readonly waiting: number
  /** What was not taken in, and why. */
  readonly problems: readonly string[]
}

export interface FederateRequest {
  /** One line of text, made in the federation that goes on. */
  readonly invite: string
  /** Only looks whether the two fit together. */
  readonly isCheck: boolean
  /** Goes on although some names are used twice, or devices are away; two services of one name never fit. */
  readonly isAllowed: boolean
}

export interface FederateView {
  readonly state: 'checked' | 'begun'
  /** The federation that goes on. */
  readonly federation: string
  readonly name: string
  /** Names that both federations use. */
  readonly collisions: readonly Collision[]
  /** Devices, or whole clusters (`node` is null), that are away and stay behind. */
  readonly away: readonly { readonly node: string | null; readonly name: string }[]
  /** Those that go over; `isBegun` where the device said that it does. */
  readonly devices: readonly {
    readonly node: string
    readonly name: string
    readonly domain: string
    readonly isBegun: boolean
  }[]
}

/** All promises reject with CoppiceError when the caller's request cannot be met. */
export interface MembershipControl {
  /** One line of text. */
  invite(request: InviteRequest): Promise<string>
  /** Those that this device made. */
  invites(): readonly InviteView[]
  /** By its id or a beginning of it; whoever joined with it stays. */
  takeBackInvite(id: string): Promise<InviteView>
  /**
   * Revokes a node's membership for good, or only the credentials that it has: then a new invite lets it in again.
   * Signed with the operator key on this device.
   */
  revoke(node: string, isCredentialOnly?: boolean): Promise<RevocationView>
  charterLog(): CharterLog
  /** All entries and drafts as text, to be carried by hand. */
  charterFile(): string
  /** Takes such a file in. */
  takeCharter(content: string): Promise<CharterTakenView>
  /** Signs that an operator be admitted, by the line that it made of itself. */
  admitOperator(request: string): Promise<ProposalView>
  /** Signs that an operator leave; the own one leaves at once. */
  removeOperator(who: string, reason: string): Promise<ProposalView>
  /** Signs an entry that waits, by the beginning of its hash; all of them when that is empty. */
  signCharter(entry: string): Promise<readonly ProposalView[]>
  /** How many operators decide: `majority`, `two-thirds` or `all`. */
  setThreshold(threshold: Threshold): Promise<ProposalView>
  /** Makes a new operator key take over; with `isLost`, credentials of the old one count no more. */
  rotateOperator(isLost: boolean): Promise<ProposalView>
  /** This federation's devices go on in that of the invite; both are one operator's. */
  federate(request: FederateRequest): Promise<FederateView>
  /** The membership of a device that is still to go out, as text with its key: whoever has it is that device. */
  prepare(device: { readonly name: string; readonly domain: string | null }): Promise<string>
}

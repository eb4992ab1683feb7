// An invite: one line of text that lets a device ask for membership: whom to ask, where, and the secret that says that
// somebody meant it to.

import { base16 } from 'multiformats/bases/base16'
import { type DomainPath, type FederationId, parseDomainPath, ROOT } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { UnixMillis } from '../overlay/kernel/time.ts'
import { decodeBounded } from '../overlay/wire/codec.ts'
import { bytes, encodeWith, type Infer, list, object, readWith, text, whole } from '../overlay/wire/schema.ts'
import { HASH_BYTES, NAME_CHARS_MAX } from './charter-entry.ts'
import { CLUSTER_CHARS_MAX } from './credential.ts'
import { decodeLine, encodeLine, type LineKind, type LineProblem } from './line.ts'

export const INVITE_PREFIX = 'coppice1:'
export const INVITE_ADDRESSES_MAX = 8
/** The longest multiaddr in an invite: a relayed one with two peer ids has about 200 characters. */
export const INVITE_ADDRESS_CHARS_MAX = 300
export const INVITE_ID_BYTES = 8
export const INVITE_SECRET_BYTES = 32

const INVITE_LINE: LineKind = { prefix: INVITE_PREFIX, noun: 'invite', bodyBytesMax: 4_096 }

const bodySchema = object({
  federation: bytes(HASH_BYTES),
  federationName: text(NAME_CHARS_MAX),
  /** Multiaddrs with `/p2p/<id>`: the secret is only ever told to the node it names. */
  addresses: list(text(INVITE_ADDRESS_CHARS_MAX), INVITE_ADDRESSES_MAX),
  domain: text<DomainPath>(CLUSTER_CHARS_MAX),
  inviteId: bytes(INVITE_ID_BYTES),
  secret: bytes(INVITE_SECRET_BYTES),
  /** By the clock of the device that made it, which alone decides. */
  expiresAt: whole(),
})

export interface Invite extends Omit<Infer<typeof bodySchema>, 'federation'> {
  readonly federation: FederationId
  readonly expiresAt: UnixMillis
}

export interface InviteProblem {
  readonly code: 'not-an-invite' | Exclude<LineProblem['code'], 'not-one'>
  /** One sentence that says what is wrong. */
  readonly detail: string
}

/** Prints an invite as one line. The caller sees to the limits of the fields; `decodeInvite` checks them. */
export const encodeInvite = (invite: Invite): string =>
  encodeLine(INVITE_LINE, encodeWith(bodySchema, { ...invite, federation: base16.baseDecode(invite.federation) }))

/** Reads an invite; spaces and line breaks that crept in are passed over. */
export function decodeInvite(line: string): Result<Invite, InviteProblem> {
  const body = decodeLine(INVITE_LINE, line)
  if (body.ok) return readBody(body.value)
  const { code, detail } = body.error
  return refuse(code === 'not-one' ? 'not-an-invite' : code, detail)
}

function readBody(body: Uint8Array): Result<Invite, InviteProblem> {
  const raw = decodeBounded(body)
  const read = raw.ok ? readWith(bodySchema, raw.value, () => err('no envelope belongs here')) : err(raw.error.detail)
  if (!read.ok) return refuse('malformed', `the invite cannot be read: ${read.error}`)
  const invite = read.value
  const isWhole =
    invite.federation.length === HASH_BYTES &&
    invite.inviteId.length === INVITE_ID_BYTES &&
    invite.secret.length === INVITE_SECRET_BYTES
  if (!isWhole) return refuse('malformed', 'the invite cannot be read: an id in it has the wrong length')
  const bad = addressProblem(invite.addresses)
  if (bad !== null) return refuse('malformed', `the invite cannot be used: ${bad}`)
  const domain = parseDomainPath(invite.domain)
  if (!domain.ok || domain.value === ROOT) {
    return refuse('malformed', `the invite cannot be used: "${invite.domain}" is no domain that a node can be in`)
  }
  return ok({ ...invite, federation: base16.baseEncode(invite.federation) as FederationId })
}

/** What is wrong with the addresses of an invite, null when nothing is. */
export function addressProblem(addresses: readonly string[]): string | null {
  if (addresses.length === 0) return 'it names no address to ask at'
  if (addresses.length > INVITE_ADDRESSES_MAX) return `it names more than ${INVITE_ADDRESSES_MAX} addresses`
  const bad = addresses.find(
    (address) => address.length > INVITE_ADDRESS_CHARS_MAX || !/^\/.+\/p2p\/\w+$/.test(address),
  )
  return bad === undefined ? null : `"${bad}" is not a multiaddr that ends in /p2p/<node id>`
}

const refuse = (code: InviteProblem['code'], detail: string): Result<never, InviteProblem> => err({ code, detail })

// An invite: one line of text that lets a device ask for membership. It is read aloud over phones, wrapped by mail
// programs and cut by terminals, so it says how long it is and carries a checksum: what is wrong with it has a name.

import { base16 } from 'multiformats/bases/base16'
import { base64url } from 'multiformats/bases/base64'
import { type DomainPath, type FederationId, parseDomainPath, ROOT } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { UnixMillis } from '../overlay/kernel/time.ts'
import { decodeBounded, encodeCbor } from '../overlay/wire/codec.ts'
import { bytes, type Infer, list, object, readWith, text, whole } from '../overlay/wire/schema.ts'
import { HASH_BYTES, NAME_CHARS_MAX } from './charter.ts'
import { CLUSTER_CHARS_MAX } from './credential.ts'

export const INVITE_PREFIX = 'coppice1:'
export const INVITE_ADDRESSES_MAX = 8
/** The longest multiaddr in an invite: a relayed one with two peer ids has about 200 characters. */
export const INVITE_ADDRESS_CHARS_MAX = 300
/**
 * The longest line that is looked at (a relation: the largest body in base64url, with prefix, header and room for
 * spaces).
 */
export const INVITE_CHARS_MAX = 8_192
export const INVITE_ID_BYTES = 8
export const INVITE_SECRET_BYTES = 32

const HEADER_BYTES = 6
/** Header bytes in base64url; 6 bytes are 8 characters exactly, so the header is read before the rest is there. */
const HEADER_CHARS = 8
const BODY_BYTES_MAX = 4_096

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
  readonly code: 'not-an-invite' | 'newer-version' | 'cut-off' | 'too-long' | 'mistyped' | 'malformed'
  /** One sentence that says what is wrong. */
  readonly detail: string
}

/** Prints an invite as one line. The caller sees to the limits of the fields; `decodeInvite` checks them. */
export function encodeInvite(invite: Invite): string {
  const body = encodeCbor(bodySchema.write({ ...invite, federation: base16.baseDecode(invite.federation) }))
  const header = new Uint8Array(HEADER_BYTES)
  const view = new DataView(header.buffer)
  view.setUint16(0, body.length)
  view.setUint32(2, crc32(body))
  return INVITE_PREFIX + base64url.baseEncode(header) + base64url.baseEncode(body)
}

/** Reads an invite; spaces and line breaks that crept in are passed over. */
export function decodeInvite(line: string): Result<Invite, InviteProblem> {
  if (line.length > INVITE_CHARS_MAX) return refuse('too-long', 'the invite is too long: paste one invite only')
  const compact = line.replace(/\s+/g, '').replace(/^["'`]+|["'`]+$/g, '')
  const prefix = checkPrefix(compact)
  if (!prefix.ok) return prefix
  const rest = compact.slice(INVITE_PREFIX.length)
  const header = rest.length < HEADER_CHARS ? null : decodeBase64(rest.slice(0, HEADER_CHARS))
  if (rest.length < HEADER_CHARS) return refuse('cut-off', 'the invite is cut off: only its beginning is there')
  if (header === null) return mistyped
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength)
  return decodeBody(rest.slice(HEADER_CHARS), view.getUint16(0), view.getUint32(2))
}

function checkPrefix(compact: string): Result<null, InviteProblem> {
  if (compact.startsWith(INVITE_PREFIX)) return ok(null)
  if (compact !== '' && INVITE_PREFIX.startsWith(compact)) {
    return refuse('cut-off', 'the invite is cut off: only its beginning is there')
  }
  if (/^coppice\d+:/.test(compact)) {
    return refuse('newer-version', 'the invite was made by a newer Coppice: update this device first')
  }
  return refuse('not-an-invite', `this is not an invite: an invite begins with "${INVITE_PREFIX}"`)
}

function decodeBody(encoded: string, length: number, checksum: number): Result<Invite, InviteProblem> {
  const expectedChars = Math.ceil((length * 4) / 3)
  const body = decodeBase64(encoded)
  const isIntact = body !== null && crc32(body) === checksum
  if (!isIntact && encoded.length < expectedChars) {
    const missing = expectedChars - encoded.length
    const what = missing === 1 ? '1 character is' : `${missing} characters are`
    return refuse('cut-off', `the invite is cut off: ${what} missing at its end`)
  }
  if (!isIntact && encoded.length > expectedChars) {
    return refuse(
      'too-long',
      `the invite has ${encoded.length - expectedChars} characters too many: paste one invite only`,
    )
  }
  if (body === null || !isIntact || body.length !== length) return mistyped
  if (body.length > BODY_BYTES_MAX) return refuse('malformed', 'the invite is larger than invites are')
  return readBody(body)
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

function decodeBase64(encoded: string): Uint8Array | null {
  // The library passes over padding; an invite has none.
  if (encoded.includes('=')) return null
  try {
    return base64url.baseDecode(encoded)
  } catch {
    return null
  }
}

/** CRC-32 (IEEE 802.3): finds every single changed character, and any other change but one in four thousand million. */
function crc32(data: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of data) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return (crc ^ 0xffffffff) >>> 0
}

const refuse = (code: InviteProblem['code'], detail: string): Result<never, InviteProblem> => err({ code, detail })
const mistyped: Result<never, InviteProblem> = refuse(
  'mistyped',
  'the invite is damaged: at least one character differs from what was handed out; copy it again',
)

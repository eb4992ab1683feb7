// Bytes that one device alone can read: HPKE (RFC 9180) in base mode, single shot, with DHKEM(X25519, HKDF-SHA256),
// HKDF-SHA256 and ChaCha20-Poly1305, all by OpenSSL. A device's X25519 key follows from its Ed25519 key (RFC 7748,
// section 4.1), so whoever knows a node's id can seal to it.

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import type { NodeId } from '../../overlay/kernel/ids.ts'
import { rawKeyOfNode } from './crypto.ts'

/** What a sealed box is longer than its content: the sender's one-time key and the tag. */
export const SEALED_OVERHEAD_BYTES = 48

/** What stands before a raw key in DER (RFC 8410, sections 4 and 7). */
const PUBLIC_KEY_DER_PREFIX = Buffer.from('302a300506032b656e032100', 'hex')
const PRIVATE_KEY_DER_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex')
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const CIPHER = 'chacha20-poly1305'

/** DHKEM(X25519, HKDF-SHA256); with HKDF-SHA256 and ChaCha20-Poly1305 (RFC 9180, section 7). */
const KEM_SUITE = Buffer.from('4b454d0020', 'hex')
const HPKE_SUITE = Buffer.from('48504b45002000010003', 'hex')
const VERSION = Buffer.from('HPKE-v1')
const MODE_BASE = Buffer.from([0])
const NOTHING = Buffer.alloc(0)

/** The prime of Curve25519. */
const P = 2n ** 255n - 19n

/** The X25519 private key behind an Ed25519 seed: the scalar that EdDSA signs with (RFC 8032, section 5.1.5). */
export function exchangeKeyOf(seed: Uint8Array): KeyObject {
  return privateKeyOf(createHash('sha512').update(seed).digest().subarray(0, KEY_BYTES))
}

/** The X25519 private key of 32 bytes. */
export const privateKeyOf = (raw: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.concat([PRIVATE_KEY_DER_PREFIX, raw]), format: 'der', type: 'pkcs8' })

const publicKeyOf = (raw: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([PUBLIC_KEY_DER_PREFIX, raw]), format: 'der', type: 'spki' })

const rawOf = (key: KeyObject): Buffer =>
  (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES)

/** The X25519 public key that belongs to an Ed25519 one: u = (1 + y) / (1 - y) (RFC 7748, section 4.1). */
function montgomeryOf(ed25519: Uint8Array): Uint8Array {
  const y = BigInt(`0x${Buffer.from(ed25519).reverse().toString('hex')}`) & (2n ** 255n - 1n)
  const u = modulo((1n + y) * power(modulo(1n - y), P - 2n))
  return Buffer.from(u.toString(16).padStart(2 * KEY_BYTES, '0'), 'hex').reverse()
}

const modulo = (value: bigint): bigint => ((value % P) + P) % P

function power(base: bigint, exponent: bigint): bigint {
  let [result, square] = [1n, base]
  for (let left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) result = modulo(result * square)
    square = modulo(square * square)
  }
  return result
}

/** Seals bytes to a node; `about` has to be said again to open them. Null when the id is none of an Ed25519 key. */
export function sealTo(node: NodeId, content: Uint8Array, about: string): Uint8Array | null {
  const ed25519 = rawKeyOfNode(node)
  if (ed25519 === null) return null
  const oneTime = generateKeyPairSync('x25519').privateKey
  return sealWith(oneTime, montgomeryOf(ed25519), content, Buffer.from(about), NOTHING)
}

/** Opens what was sealed to the node with this key; null for what was not, or was about something else. */
export const openSealed = (exchangeKey: KeyObject, box: Uint8Array, about: string): Uint8Array | null =>
  openWith(exchangeKey, box, Buffer.from(about), NOTHING)

/** As RFC 9180, section 6.1, `SealBase`: the one-time key, then the ciphertext with its tag. */
export function sealWith(
  oneTime: KeyObject,
  receiver: Uint8Array,
  content: Uint8Array,
  info: Uint8Array,
  aad: Uint8Array,
): Uint8Array {
  const enc = rawOf(oneTime)
  const dh = diffieHellman({ privateKey: oneTime, publicKey: publicKeyOf(receiver) })
  const { key, nonce } = schedule(dh, Buffer.concat([enc, receiver]), info)
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(aad, { plaintextLength: content.length })
  const sealed = Buffer.concat([cipher.update(content), cipher.final()])
  return new Uint8Array(Buffer.concat([enc, sealed, cipher.getAuthTag()]))
}

/** As RFC 9180, section 6.1, `OpenBase`. */
export function openWith(receiver: KeyObject, box: Uint8Array, info: Uint8Array, aad: Uint8Array): Uint8Array | null {
  if (box.length < SEALED_OVERHEAD_BYTES) return null
  const enc = Buffer.from(box.subarray(0, KEY_BYTES))
  const sealed = box.subarray(KEY_BYTES, box.length - TAG_BYTES)
  try {
    const dh = diffieHellman({ privateKey: receiver, publicKey: publicKeyOf(enc) })
    const { key, nonce } = schedule(dh, Buffer.concat([enc, rawOf(receiver)]), info)
    const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(aad, { plaintextLength: sealed.length })
    decipher.setAuthTag(box.subarray(-TAG_BYTES))
    return new Uint8Array(Buffer.concat([decipher.update(sealed), decipher.final()]))
  } catch {
    return null
  }
}

/** `ExtractAndExpand` of the KEM, then `KeySchedule` in base mode (RFC 9180, sections 4.1 and 5.1). */
function schedule(dh: Uint8Array, kemContext: Uint8Array, info: Uint8Array): { key: Buffer; nonce: Buffer } {
  const secret = expand(KEM_SUITE, extract(KEM_SUITE, NOTHING, 'eae_prk', dh), 'shared_secret', kemContext, KEY_BYTES)
  const context = Buffer.concat([
    MODE_BASE,
    extract(HPKE_SUITE, NOTHING, 'psk_id_hash', NOTHING),
    extract(HPKE_SUITE, NOTHING, 'info_hash', info),
  ])
  const prk = extract(HPKE_SUITE, secret, 'secret', NOTHING)
  return {
    key: expand(HPKE_SUITE, prk, 'key', context, KEY_BYTES),
    nonce: expand(HPKE_SUITE, prk, 'base_nonce', context, NONCE_BYTES),
  }
}

const hmac = (key: Uint8Array, ...pieces: readonly Uint8Array[]): Buffer => {
  const mac = createHmac('sha256', key)
  for (const piece of pieces) mac.update(piece)
  return mac.digest()
}

/** `LabeledExtract` (RFC 9180, section 4; RFC 5869). */
const extract = (suite: Uint8Array, salt: Uint8Array, label: string, ikm: Uint8Array): Buffer =>
  hmac(salt, VERSION, suite, Buffer.from(label), ikm)

/** `LabeledExpand`; one round of HKDF is enough for 32 bytes. */
function expand(suite: Uint8Array, prk: Uint8Array, label: string, info: Uint8Array, length: number): Buffer {
  const wanted = Buffer.alloc(2)
  wanted.writeUInt16BE(length)
  return hmac(prk, wanted, VERSION, suite, Buffer.from(label), info, Buffer.from([1])).subarray(0, length)
}

// SHA-256 and Ed25519 by OpenSSL, synchronous: a signature takes about 0.1 ms, less than handing it to another thread.

import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { peerIdFromString } from '@libp2p/peer-id'
import type { NodeId } from '../../overlay/kernel/ids.ts'
import type { Crypto } from '../charter-entry.ts'

/** What stands before a raw key in DER (RFC 8410, sections 4 and 7). */
const PUBLIC_KEY_DER_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
const PRIVATE_KEY_DER_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const KEY_BYTES = 32
const SIGNATURE_BYTES = 64

/**
 * Parsed public keys kept at once (a relation: four clusters of a thousand; at the limit the oldest is parsed
 * again).
 */
const PUBLIC_KEYS_CACHED_MAX = 4_096
const publicKeys = new Map<string, KeyObject>()
const nodeKeys = new Map<NodeId, Uint8Array | null>()

export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest())

/** The parsed form of a raw Ed25519 public key, null when it is none. */
export function publicKeyObject(raw: Uint8Array): KeyObject | null {
  if (raw.length !== KEY_BYTES) return null
  const name = Buffer.from(raw).toString('base64')
  return cached(publicKeys, name, () => {
    try {
      return createPublicKey({ key: Buffer.concat([PUBLIC_KEY_DER_PREFIX, raw]), format: 'der', type: 'spki' })
    } catch {
      return null
    }
  })
}

/** The private key of a seed of 32 bytes. */
export const privateKeyObject = (seed: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.concat([PRIVATE_KEY_DER_PREFIX, seed]), format: 'der', type: 'pkcs8' })

/** The raw public key that belongs to a private one. */
export const rawPublicKeyOf = (privateKey: KeyObject): Uint8Array =>
  new Uint8Array(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES))

export const signWith = (privateKey: KeyObject, payload: Uint8Array): Uint8Array =>
  new Uint8Array(sign(null, payload, privateKey))

/** Ed25519 (RFC 8032); false for anything malformed. */
export function verifySignature(publicKey: Uint8Array, payload: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false
  const key = publicKeyObject(publicKey)
  return key !== null && verify(null, payload, key, signature)
}

export const nodeCrypto: Crypto = { sha256, verify: verifySignature }

/** The raw public key inside a node's id, null when the text is no id of an Ed25519 key. */
export function rawKeyOfNode(node: NodeId): Uint8Array | null {
  return cached(nodeKeys, node, () => {
    try {
      const peer = peerIdFromString(node)
      return peer.type === 'Ed25519' && peer.toString() === node ? peer.publicKey.raw : null
    } catch {
      return null
    }
  })
}

export function verifyNodeSignature(node: NodeId, payload: Uint8Array, signature: Uint8Array): boolean {
  const key = rawKeyOfNode(node)
  return key !== null && verifySignature(key, payload, signature)
}

/** Looks up or makes; a null is not kept, so that nonsense does not push out what is used. */
function cached<K, V>(cache: Map<K, V>, key: K, make: () => V): V {
  const held = cache.get(key)
  if (held !== undefined) return held
  const made = make()
  if (made === null) return made
  const oldest = cache.keys().next()
  if (cache.size >= PUBLIC_KEYS_CACHED_MAX && !oldest.done) cache.delete(oldest.value)
  cache.set(key, made)
  return made
}

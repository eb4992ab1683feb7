// A device is prepared before it goes out: everything that makes its folder a member, as one text that fits on a stick
// or into an image. It holds the device's key, so whoever has it is that device.

import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { type DomainPath, type NodeId, nodeId } from '../../overlay/kernel/ids.ts'
import { MEMBER_CAPABILITIES } from '../credential.ts'
import { BootstrapError } from '../errors.ts'
import { INVITE_ADDRESS_CHARS_MAX, INVITE_ADDRESSES_MAX } from '../invite.ts'
import { openCharter } from './charter-keeper.ts'
import { openCredential } from './credential-signer.ts'
import type { MembershipGate } from './gate.ts'
import { loadOrCreateNodeKey, NODE_KEY_FILE, type NodeKey, writeNodeKey } from './key-file.ts'
import { loadMembership, type Membership, saveMembership } from './membership.ts'
import type { Store } from './store.ts'

const KIND = 'coppice prepared device'
/** A relation: a charter at its bound in base64, and room for the rest. */
export const PREPARED_CHARS_MAX = 12_582_912

export interface PrepareOptions {
  readonly gate: MembershipGate
  readonly name: string
  readonly domain: DomainPath
  /** Where the device meets the others first. */
  readonly addresses: readonly string[]
}

/** Rejects with BootstrapError. */
export async function prepareDevice({ gate, name, domain, addresses }: PrepareOptions): Promise<string> {
  const privateKey = await generateKeyPair('Ed25519')
  const node = nodeId(peerIdFromPrivateKey(privateKey).toString())
  const credential = gate.enrol(node, name, domain, MEMBER_CAPABILITIES)
  const content = {
    kind: KIND,
    node,
    name,
    domain,
    federation: gate.federation,
    key: Buffer.from(privateKeyToProtobuf(privateKey)).toString('base64url'),
    credential: credential.text,
    charter: Buffer.from(gate.packedCharter()).toString('base64url'),
    addresses: addresses.slice(0, INVITE_ADDRESSES_MAX),
  }
  return `${JSON.stringify(content, null, 2)}\n`
}

/** Whether a text is a prepared device: enough to tell it from an invite. */
export const isPrepared = (content: string): boolean => content.includes(`"${KIND}"`)

export interface Prepared {
  readonly membership: Membership
  readonly nodeKey: NodeKey
  readonly addresses: readonly string[]
}

/**
 * Makes a folder that is no member yet the prepared device; one that is it already stays as it is. Rejects with
 * BootstrapError `bad-option`, `already-member`, `key-exists` and those of loadMembership.
 */
export async function takePrepared(content: string, dataDir: string, store: Store): Promise<Prepared> {
  const { key, credential, charter, addresses } = readPrepared(content)
  const node = nodeOf(key)
  const opened = openCharter(charter)
  if (!opened.ok) throw damaged(opened.error.detail)
  const held = await openCredential(credential, opened.value.view)
  if (!held.ok) throw damaged(held.error.detail)
  if (held.value.facts.node !== node) throw damaged('its credential is for another node')
  await writeNodeKey(dataDir, key)
  const nodeKey = await loadOrCreateNodeKey(dataDir)
  const present = await loadMembership(store, nodeKey)
  return { membership: present ?? (await saveMembership(store, opened.value, held.value)), nodeKey, addresses }
}

function nodeOf(key: Uint8Array): NodeId {
  try {
    return nodeId(peerIdFromPrivateKey(privateKeyFromProtobuf(key)).toString())
  } catch {
    throw damaged('its key is none')
  }
}

function readPrepared(content: string): {
  readonly key: Uint8Array
  readonly credential: string
  readonly charter: Uint8Array
  readonly addresses: readonly string[]
} {
  if (content.length > PREPARED_CHARS_MAX) throw damaged('it is too large')
  try {
    const { kind, key, credential, charter, addresses } = JSON.parse(content)
    const isWhole = kind === KIND && [key, credential, charter].every((part) => typeof part === 'string')
    if (!isWhole || !Array.isArray(addresses)) throw damaged('something is missing in it')
    const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64url'))
    const known = addresses.filter(
      (one): one is string => typeof one === 'string' && one.length <= INVITE_ADDRESS_CHARS_MAX,
    )
    return { key: bytes(key), credential, charter: bytes(charter), addresses: known.slice(0, INVITE_ADDRESSES_MAX) }
  } catch (problem) {
    throw problem instanceof BootstrapError ? problem : damaged('it is not JSON')
  }
}

const damaged = (why: string): BootstrapError =>
  new BootstrapError(
    'bad-option',
    `${NODE_KEY_FILE} was not written: the prepared device cannot be used: ${why}`,
    'Make it again: `coppice prepare --out FILE`.',
  )

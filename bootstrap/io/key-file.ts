// The two keys on a device: the node's, which is its identity on the network, and the operator's, which may live
// elsewhere. A key is written once, whole or not at all; one that cannot be read is an error and never a reason to
// make another.

import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { access, link, mkdir, open, readFile, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { type NodeId, nodeId, type OperatorId } from '../../overlay/kernel/ids.ts'
import { NAME_CHARS_MAX, type OperatorSeal, operatorIdOf } from '../charter-entry.ts'
import { BootstrapError } from '../errors.ts'
import { privateKeyObject, rawPublicKeyOf, signWith } from './crypto.ts'
import { exchangeKeyOf } from './sealed-box.ts'

export const NODE_KEY_FILE = 'node.key'
export const OPERATOR_KEY_FILE = 'operator.key'
const SEED_BYTES = 32
const FILE_BYTES_MAX = 4_096
const OWNER_ONLY = 0o600
/** Of an operator's id, in the name of its retired key. */
const RETIRED_CHARS = 8

export interface NodeKey {
  readonly node: NodeId
  /** As libp2p wants it. */
  readonly privateKey: Ed25519PrivateKey
  /** X25519, for what is sealed to this node (sealed-box.ts). */
  readonly exchangeKey: KeyObject
  sign(payload: Uint8Array): Uint8Array
}

export interface OperatorKey extends OperatorSeal {
  readonly operator: OperatorId
  readonly name: string
  readonly privateKey: KeyObject
}

/**
 * Reads `<dataDir>/node.key`, or makes it. Rejects with BootstrapError `damaged-key`, `unreadable-key` or
 * `unwritable-key`.
 */
export async function loadOrCreateNodeKey(dataDir: string): Promise<NodeKey> {
  const path = join(dataDir, NODE_KEY_FILE)
  const stored = await readKeyFile(path)
  if (stored !== null) return nodeKeyOf(readNodeKey(stored, path))
  const made = await generateKeyPair('Ed25519')
  await writeKeyFile(path, privateKeyToProtobuf(made))
  return nodeKeyOf(made)
}

/**
 * Reads an operator key; null when there is no such file. Rejects with BootstrapError `damaged-key` or
 * `unreadable-key`.
 */
export async function loadOperatorKey(path: string): Promise<OperatorKey | null> {
  const stored = await readKeyFile(path)
  return stored === null ? null : readOperatorKey(stored, path)
}

/**
 * Makes an operator key, in a file that only its owner may read. Rejects with BootstrapError `key-exists` when there is
 * one already, `unwritable-key`, or `bad-option`.
 */
export async function createOperatorKey(path: string, name: string): Promise<OperatorKey> {
  if (name.trim() === '' || name.length > NAME_CHARS_MAX) {
    throw new BootstrapError(
      'bad-option',
      `"${name}" is no name for an operator`,
      `Use 1 to ${NAME_CHARS_MAX} characters, as in --name "Green Fields".`,
    )
  }
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  const key = operatorKeyOf(new Uint8Array(Buffer.from(jwk.d ?? '', 'base64url')), name)
  const content = { kind: 'coppice operator key', name, operator: key.operator, seed: jwk.d }
  await writeKeyFile(path, new TextEncoder().encode(`${JSON.stringify(content, null, 2)}\n`))
  return key
}

/**
 * Writes a node's key that was made elsewhere. Rejects with BootstrapError `key-exists` when the folder has another
 * one.
 */
export async function writeNodeKey(dataDir: string, encoded: Uint8Array): Promise<void> {
  const path = join(dataDir, NODE_KEY_FILE)
  readNodeKey(encoded, path)
  const stored = await readKeyFile(path)
  if (stored !== null && Buffer.from(stored).equals(encoded)) return
  await writeKeyFile(path, encoded)
}

/**
 * Makes the key that shall follow an operator's key, beside it; `takePlace` puts it there and keeps the old one under a
 * name of its own. One that was made before a crash is taken up again.
 */
export async function writeNextOperatorKey(
  path: string,
  name: string,
): Promise<{ readonly key: OperatorKey; takePlace(): Promise<void> }> {
  const nextPath = `${path}.next`
  const key = (await loadOperatorKey(nextPath)) ?? (await createOperatorKey(nextPath, name))
  const takePlace = async (): Promise<void> => {
    const old = await loadOperatorKey(path)
    try {
      if (old !== null) await link(path, `${path}.${old.operator.slice(0, RETIRED_CHARS)}.retired`)
      await rename(nextPath, path)
      await syncFolder(dirname(path))
    } catch (problem) {
      throw unwritable(path, problem)
    }
  }
  return { key, takePlace }
}

const nodeKeyOf = (privateKey: Ed25519PrivateKey): NodeKey => {
  const seed = privateKey.raw.subarray(0, SEED_BYTES)
  const signing = privateKeyObject(seed)
  return {
    node: nodeId(peerIdFromPrivateKey(privateKey).toString()),
    privateKey,
    exchangeKey: exchangeKeyOf(seed),
    sign: (payload) => signWith(signing, payload),
  }
}

function operatorKeyOf(seed: Uint8Array, name: string): OperatorKey {
  const privateKey = privateKeyObject(seed)
  return {
    operator: operatorIdOf(rawPublicKeyOf(privateKey)),
    name,
    privateKey,
    sign: (payload) => signWith(privateKey, payload),
  }
}

function readNodeKey(stored: Uint8Array, path: string): Ed25519PrivateKey {
  try {
    const key = privateKeyFromProtobuf(stored)
    const isPair =
      key.type === 'Ed25519' &&
      Buffer.from(rawPublicKeyOf(privateKeyObject(key.raw.subarray(0, SEED_BYTES)))).equals(key.publicKey.raw)
    if (isPair) return key as Ed25519PrivateKey
  } catch {
    // Said below: whatever the parser thought of it, the file does not hold a key.
  }
  throw damaged(
    path,
    'Restore it from a backup; or move it away, and the device comes back as a new node that must join again.',
  )
}

function readOperatorKey(stored: Uint8Array, path: string): OperatorKey {
  try {
    const { name, operator, seed } = JSON.parse(new TextDecoder().decode(stored))
    const raw = new Uint8Array(Buffer.from(seed, 'base64url'))
    const isWhole = raw.length === SEED_BYTES && typeof name === 'string' && name.length <= NAME_CHARS_MAX
    const key = isWhole ? operatorKeyOf(raw, name) : null
    if (key?.operator === operator && key !== null) return key
  } catch {
    // Said below, as for the node's key.
  }
  throw damaged(path, 'Restore it from a backup: without it this operator can neither invite nor revoke.')
}

const damaged = (path: string, hint: string): BootstrapError =>
  new BootstrapError('damaged-key', `the key file ${path} is damaged: it does not hold a key`, hint)

async function readKeyFile(path: string): Promise<Uint8Array | null> {
  try {
    const content = await readFile(path)
    return new Uint8Array(content.subarray(0, FILE_BYTES_MAX))
  } catch (problem) {
    if (codeOf(problem) === 'ENOENT') return null
    throw new BootstrapError(
      'unreadable-key',
      `the key file ${path} cannot be read: ${messageOf(problem)}`,
      'Check that it is a file and that the user who runs Coppice may read it.',
    )
  }
}

/**
 * Whole or not at all, also across a power cut: a temporary file is synced and linked to its name, which must be
 * free.
 */
async function writeKeyFile(path: string, content: Uint8Array): Promise<void> {
  const folder = dirname(path)
  const temporary = `${path}.${process.pid}.new`
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await unlink(temporary).catch(() => {})
    const file = await open(temporary, 'wx', OWNER_ONLY)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await giveName(temporary, path)
    await syncFolder(folder)
  } catch (problem) {
    throw unwritable(path, problem)
  } finally {
    await unlink(temporary).catch(() => {})
  }
}

/**
 * A link never replaces a key that appeared meanwhile; where a file system has no links (FAT on a card), a look and
 * a rename.
 */
async function giveName(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path)
  } catch (problem) {
    if (codeOf(problem) === 'EEXIST' || (await exists(path))) throw keyExists(path)
    await rename(temporary, path)
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const keyExists = (path: string): BootstrapError =>
  new BootstrapError('key-exists', `there is a key at ${path} already`, 'Use it, or choose another folder.')

function unwritable(path: string, problem: unknown): BootstrapError {
  if (problem instanceof BootstrapError) return problem
  const hint =
    codeOf(problem) === 'ENOSPC'
      ? 'Make room on the disk and try again.'
      : 'Check that the folder exists and that the user who runs Coppice may write there.'
  return new BootstrapError('unwritable-key', `the key file ${path} cannot be written: ${messageOf(problem)}`, hint)
}

const codeOf = (problem: unknown): string => (problem as NodeJS.ErrnoException | null)?.code ?? ''
const messageOf = (problem: unknown): string => (problem instanceof Error ? problem.message : String(problem))

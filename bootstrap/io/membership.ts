// What makes a folder a member: the charter and this node's own credential, both on disk. Founding makes them,
// joining gets them, and every start checks them again.

import { randomBytes } from 'node:crypto'
import { type DomainPath, type FederationId, parseDomainPath, ROOT } from '../../overlay/kernel/ids.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import { type Charter, entriesOf, foundWith } from '../charter.ts'
import { HASH_BYTES, NAME_CHARS_MAX } from '../charter-entry.ts'
import { packEntries } from '../charter-file.ts'
import { CLUSTER_CHARS_MAX, draftClaims, FOUNDER_CAPABILITIES, grantProblem } from '../credential.ts'
import { BootstrapError } from '../errors.ts'
import { openCharter } from './charter-keeper.ts'
import { type HeldCredential, issueCredential, openCredential } from './credential-signer.ts'
import { nodeCrypto } from './crypto.ts'
import type { NodeKey, OperatorKey } from './key-file.ts'
import { CHARTER_KEY, OWN_CREDENTIAL_KEY, type Store } from './store.ts'

export interface Membership {
  readonly federation: FederationId
  readonly federationName: string
  readonly domain: DomainPath
  readonly charter: Charter
  readonly credential: HeldCredential
}

export interface FoundOptions {
  readonly store: Store
  readonly operatorKey: OperatorKey
  readonly nodeKey: NodeKey
  /** Of the federation, for people. */
  readonly name: string
  /** Of this node, for people. */
  readonly nodeName: string
  /** The cluster of the founding node. */
  readonly domain: DomainPath
  readonly labels?: Readonly<Record<string, string>>
  readonly wall: UnixMillis
}

/**
 * Makes a federation of one operator with this node as its first member, on disk when the promise resolves.
 * Rejects with BootstrapError `bad-option`, or `already-member` when the folder has a membership.
 */
export async function foundFederation(options: FoundOptions): Promise<Membership> {
  const { store, operatorKey, nodeKey, wall } = options
  checkName(options.name, 'a federation')
  checkClusterPath(options.domain)
  const tooMuch = grantProblem(FOUNDER_CAPABILITIES, options.labels ?? {})
  if (tooMuch !== null)
    throw new BootstrapError('bad-option', `the node has ${tooMuch}`, 'Use fewer or shorter labels.')
  if ((await store.get(OWN_CREDENTIAL_KEY)) !== null) {
    throw new BootstrapError(
      'already-member',
      'this folder belongs to a federation already',
      'Start it with `coppice up`, or choose another folder with --data.',
    )
  }
  const operators = [{ id: operatorKey.operator, name: operatorKey.name }]
  const nonce = new Uint8Array(randomBytes(HASH_BYTES))
  const body = { name: options.name, nonce, at: Math.floor(wall), operators }
  const founded = foundWith(body, [operatorKey], nodeCrypto)
  if (!founded.ok) throw new BootstrapError('bad-option', founded.error.detail, 'Choose a shorter name.')
  const charter = founded.value
  const claims = draftClaims(
    {
      sub: nodeKey.node,
      federation: charter.view.federation,
      domain: options.domain,
      capabilities: FOUNDER_CAPABILITIES,
      labels: options.labels ?? {},
      name: options.nodeName.slice(0, NAME_CHARS_MAX),
    },
    wall,
  )
  const credential = issueCredential({ ...claims, iss: operatorKey.operator }, operatorKey, charter.view)
  return saveMembership(store, charter, credential)
}

/**
 * Reads the folder's membership; null when it has none. An expired or revoked one is read all the same, for the node
 * goes on running what it runs. Rejects with BootstrapError `damaged-store` or `wrong-node-key`.
 */
export async function loadMembership(store: Store, nodeKey: NodeKey): Promise<Membership | null> {
  const stored = await store.get(OWN_CREDENTIAL_KEY)
  if (stored === null) return null
  const chain = await store.get(CHARTER_KEY)
  if (chain === null) throw damaged('its charter is missing')
  const charter = openCharter(chain)
  if (!charter.ok) throw damaged(`its charter is not valid (${charter.error.detail})`)
  const credential = await openCredential(new TextDecoder().decode(stored), charter.value.view)
  if (!credential.ok) throw damaged(`its own credential is not valid (${credential.error.detail})`)
  if (credential.value.facts.node !== nodeKey.node) {
    throw new BootstrapError(
      'wrong-node-key',
      `the folder's membership is for ${credential.value.facts.node}, but its key is that of ${nodeKey.node}`,
      'Put the node.key back that belongs to this folder, or start over with an empty folder and a new invite.',
    )
  }
  return membershipOf(charter.value, credential.value)
}

/** Writes a membership: the charter first, for the credential is what says that there is one. */
export async function saveMembership(store: Store, charter: Charter, credential: HeldCredential): Promise<Membership> {
  await store.put(CHARTER_KEY, packEntries(entriesOf(charter)), { sync: true })
  await store.put(OWN_CREDENTIAL_KEY, credential.bytes, { sync: true })
  return membershipOf(charter, credential)
}

/** What saveMembership writes, for who writes it together with something else. */
export const packMembership = (
  charter: Charter,
  credential: HeldCredential,
): readonly (readonly [string, Uint8Array])[] => [
  [CHARTER_KEY, packEntries(entriesOf(charter))],
  [OWN_CREDENTIAL_KEY, credential.bytes],
]

/** Rejects what cannot be the path of a cluster. */
export function checkClusterPath(domain: string): DomainPath {
  const parsed = parseDomainPath(domain)
  const problem = parsed.ok ? clusterProblem(parsed.value) : parsed.error
  if (parsed.ok && problem === null) return parsed.value
  throw new BootstrapError(
    'bad-option',
    `"${domain}" cannot be the cluster of a node: ${problem}`,
    'Use a path as "/berlin".',
  )
}

function clusterProblem(domain: DomainPath): string | null {
  if (domain === ROOT) return 'a node cannot be in the root itself'
  return domain.length > CLUSTER_CHARS_MAX ? `it has more than ${CLUSTER_CHARS_MAX} characters` : null
}

function checkName(name: string, ofWhat: string): void {
  if (name.trim() !== '' && name.length <= NAME_CHARS_MAX) return
  throw new BootstrapError('bad-option', `"${name}" is no name for ${ofWhat}`, `Use 1 to ${NAME_CHARS_MAX} characters.`)
}

const membershipOf = (charter: Charter, credential: HeldCredential): Membership => ({
  federation: charter.view.federation,
  federationName: charter.view.name,
  domain: credential.facts.domain,
  charter,
  credential,
})

const damaged = (what: string): BootstrapError =>
  new BootstrapError(
    'damaged-store',
    `the folder's membership cannot be read: ${what}`,
    'Restore the folder from a backup, or start over with an empty folder and a new invite. Nothing was changed.',
  )

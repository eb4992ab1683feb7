// Who is believed, as the network and the envelopes need to know it: one object that says hello, checks hellos, signs
// and verifies, answers joins, and keeps the charter. What it decides by is in credential.ts, charter.ts and
// enrolment.ts.

import type { Gate } from '../../overlay/io/network.ts'
import type { DomainPath, FederationId, NodeId, OperatorId } from '../../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import type { Signer, SignerFacts, Verifier, VerifyProblem } from '../../overlay/wire/envelope.ts'
import { type CharterView, hexOf, NAME_CHARS_MAX, REASON_CHARS_MAX } from '../charter.ts'
import {
  admitAtHello,
  CREDENTIAL_BYTES_MAX,
  type CredentialProblem,
  draftClaims,
  isDueForRenewal,
  isExpired,
  isRevoked,
} from '../credential.ts'
import { BootstrapError } from '../errors.ts'
import { type Hello, helloFrame } from '../messages.ts'
import { type Charter, type CharterKeeper, createCharterKeeper } from './charter-keeper.ts'
import { type CredentialDirectory, openDirectory } from './credential-directory.ts'
import { type HeldCredential, issueCredential, openCredential } from './credential-signer.ts'
import { rawKeyOfNode, verifyNodeSignature } from './crypto.ts'
import { type EnrolmentDesk, type MintOptions, openEnrolmentDesk, requireOperatorKey } from './enrolment-desk.ts'
import type { NodeKey, OperatorKey } from './key-file.ts'
import type { Membership } from './membership.ts'
import { openRecoveryOrder, signRecoveryOrder } from './recovery-signer.ts'
import { OWN_CREDENTIAL_KEY, type Store } from './store.ts'

export interface GateOptions {
  readonly membership: Membership
  readonly store: Store
  readonly nodeKey: NodeKey
  /** The operator's key, where it is on this device: then the gate enrols and revokes. */
  readonly operatorKey: OperatorKey | null
  /** Of this node, for people; said in hello. */
  readonly name: string
  readonly wall: () => UnixMillis
  /** The charter grew: publish the chain as `charter/chain`, and cut connected peers for whom `isRevoked` now holds. */
  readonly onCharterChanged: (charter: CharterView, chain: Uint8Array) => void
  /** What a person may want to know: `charter-fork`, `charter-refused`, `credential-renewed`. */
  readonly onNotice: (code: string, detail: string) => void
}

/** A gate that keeps the whole of a node's membership. All promises reject when the store fails. */
export interface MembershipGate extends Gate, Signer, Verifier {
  readonly federation: FederationId
  readonly federationName: string
  charter(): CharterView
  /** The encoded chain, as it travels in `charter/chain`. */
  charterChain(): Uint8Array
  /** Takes in a chain that came by gossip; `refused` chains are noticed with the reason. */
  offerCharter(chain: Uint8Array): Promise<'adopted' | 'known' | 'refused'>
  /** How this node itself stands. Nothing it runs stops for it. */
  ownStanding(): 'member' | 'expired' | 'revoked'
  /** One line of text. Rejects with BootstrapError. */
  mintInvite(options: MintOptions): Promise<string>
  /** Puts a node out for good, and tells through `onCharterChanged`. Rejects with BootstrapError. */
  revokeNode(node: NodeId, reason: string): Promise<CharterView>
  /** An order that a domain goes on without its majority: one line of text. Rejects with BootstrapError. */
  signRecovery(domain: DomainPath): Promise<string>
  /** The operator behind such an order; the error is for people. */
  checkRecovery(order: string, domain: DomainPath): Promise<Result<OperatorId, string>>
}

interface Parts {
  readonly options: GateOptions
  readonly keeper: CharterKeeper
  readonly directory: CredentialDirectory
  readonly desk: EnrolmentDesk
  readonly own: HeldCredential
}

/** Opens the gate of a member. Rejects with BootstrapError `damaged-store`. */
export async function createGate(options: GateOptions): Promise<MembershipGate> {
  const { membership, store, operatorKey, wall } = options
  const keeper = createCharterKeeper(membership.charter, store, ({ view, chain }) =>
    options.onCharterChanged(view, chain),
  )
  const directory = await openDirectory(store, membership.charter.view)
  const desk = await openEnrolmentDesk({ store, operatorKey, charter: keeper.current, wall })
  await directory.add(membership.credential, true)
  const own = await renewOwn(options)
  await directory.add(own, true)
  const parts: Parts = { options, keeper, directory, desk, own }
  return {
    federation: membership.federation,
    federationName: membership.federationName,
    facts: own.facts,
    credentialHash: own.hash,
    sign: (payload) => options.nodeKey.sign(payload),
    verify: (from, hash, payload, signature) => verify(parts, from, hash, payload, signature),
    standing: (from, hash) => standing(parts, from, hash),
    ownHello: () => ownHello(parts),
    checkHello: (peer, hello) => checkHello(parts, peer, hello),
    serveJoin: (peer, request) => desk.serve(peer, request),
    credentialByHash: (hash) => directory.byHash(hexOf(hash))?.bytes ?? null,
    learnCredential: (credential) => learnCredential(parts, credential),
    isRevoked: (peer) => isRevoked(peer, directory.lastMet(peer)?.hashHex ?? null, keeper.current().view),
    charter: () => keeper.current().view,
    charterChain: () => keeper.current().chain,
    offerCharter: (chain) => offerCharter(parts, chain),
    ownStanding: () => {
      if (isRevoked(own.facts.node, own.hashHex, keeper.current().view)) return 'revoked'
      return isExpired(own.facts, wall()) ? 'expired' : 'member'
    },
    mintInvite: (order) => desk.mint(order),
    revokeNode: (node, reason) => revokeNode(parts, node, reason),
    signRecovery: async (domain) => {
      const key = requireOperatorKey(operatorKey, keeper.current())
      return await signRecoveryOrder(domain, membership.federation, key, wall())
    },
    checkRecovery: (order, domain) => openRecoveryOrder(order, domain, keeper.current().view, wall()),
  }
}

/**
 * A node that holds its operator's key renews its own credential at the start; the old one stays known for what it
 * signed.
 */
async function renewOwn(options: GateOptions): Promise<HeldCredential> {
  const { membership, operatorKey, store, name, wall } = options
  const { credential, charter } = membership
  const isOurs = operatorKey?.operator === credential.facts.operator
  const isOut = isRevoked(credential.facts.node, credential.hashHex, charter.view)
  if (operatorKey === null || !isOurs || isOut || !isDueForRenewal(credential.facts, wall())) return credential
  const { node, operator, domain, capabilities, labels } = credential.facts
  const facts = { iss: operator, sub: node, federation: membership.federation, domain, capabilities, labels }
  const claims = draftClaims({ ...facts, name: shortName(name) }, wall())
  const renewed = await issueCredential(claims, operatorKey, charter.view)
  await store.put(OWN_CREDENTIAL_KEY, renewed.bytes, { sync: true })
  options.onNotice('credential-renewed', 'this node renewed its own credential with the operator key on this device')
  return renewed
}

function ownHello({ options, keeper, own }: Parts): Uint8Array {
  const { view, chain } = keeper.current()
  return helloFrame.encode({
    kind: 'hello',
    federation: view.federation,
    credential: own.text,
    name: shortName(options.name),
    charter: chain,
  })
}

async function checkHello(
  parts: Parts,
  peer: NodeId,
  encoded: Uint8Array,
): Promise<Result<{ readonly facts: SignerFacts; readonly name: string }, CredentialProblem>> {
  const { options, keeper, directory } = parts
  const hello = helloFrame.decode(encoded)
  if (!hello.ok) return err({ code: 'stranger', detail: `not a hello: ${hello.error}` })
  const charterProblem = await takeCharter(parts, peer, hello.value)
  if (charterProblem !== null) return err(charterProblem)
  const { view } = keeper.current()
  const credential = await openCredential(hello.value.credential, view)
  if (!credential.ok) return credential
  const { facts, hashHex } = credential.value
  const circumstances = { peer, credentialHash: hashHex, wall: options.wall(), metBefore: directory.isMet(hashHex) }
  // Read again: the charter may have grown while the signature was checked.
  const admitted = admitAtHello(facts, keeper.current().view, circumstances)
  if (!admitted.ok) return admitted
  await directory.add(credential.value, true)
  return ok({ facts, name: hello.value.name })
}

/**
 * Takes in the charter of a hello. Null when the peer may still be a member: what it holds may be older, newer or
 * forked.
 */
async function takeCharter({ options, keeper }: Parts, peer: NodeId, hello: Hello): Promise<CredentialProblem | null> {
  const otherFederation = { code: 'other-federation', detail: `${peer} belongs to another federation` } as const
  if (hello.federation !== keeper.current().view.federation) return otherFederation
  const outcome = await keeper.offer(hello.charter)
  switch (outcome.kind) {
    case 'adopted':
    case 'known':
      return null
    case 'other-federation':
      return otherFederation
    case 'fork':
      options.onNotice('charter-fork', `the charter of ${peer} differs from ours from entry ${outcome.seq} on`)
      return null
    case 'invalid':
      options.onNotice('charter-refused', `the charter of ${peer} was not taken in: ${outcome.problem.detail}`)
      // A newer version may know more kinds of entries; its nodes are members all the same.
      if (outcome.problem.kind === 'unknown-kind') return null
      return { code: 'forged', detail: `the charter that ${peer} shows is not valid: ${outcome.problem.detail}` }
  }
}

async function offerCharter({ options, keeper }: Parts, chain: Uint8Array): Promise<'adopted' | 'known' | 'refused'> {
  const outcome = await keeper.offer(chain)
  switch (outcome.kind) {
    case 'adopted':
    case 'known':
      return outcome.kind
    case 'other-federation':
      options.onNotice('charter-refused', 'a charter on gossip is that of another federation')
      return 'refused'
    case 'fork':
      options.onNotice('charter-fork', `a charter on gossip differs from ours from entry ${outcome.seq} on`)
      return 'refused'
    case 'invalid':
      options.onNotice('charter-refused', `a charter on gossip is not valid: ${outcome.problem.detail}`)
      return 'refused'
  }
}

function verify(
  parts: Parts,
  from: NodeId,
  credentialHash: Uint8Array,
  payload: Uint8Array,
  signature: Uint8Array,
): Result<SignerFacts, VerifyProblem> {
  const signer = standing(parts, from, credentialHash)
  return !signer.ok || verifyNodeSignature(from, payload, signature) ? signer : err('bad-signature')
}

/** What a signature under a credential is worth, where it is one. */
function standing(
  { keeper, directory, own }: Parts,
  from: NodeId,
  credentialHash: Uint8Array,
): Result<SignerFacts, VerifyProblem> {
  const hashHex = hexOf(credentialHash)
  const credential = hashHex === own.hashHex ? own : directory.byHash(hashHex)
  if (credential === null) return err('unknown-credential')
  if (credential.facts.node !== from) return err('bad-signature')
  if (isRevoked(from, hashHex, keeper.current().view)) return err('revoked')
  return ok(credential.facts)
}

/**
 * Expired and revoked credentials are learned too: old records were signed with them, and `verify` says what they
 * are worth.
 */
async function learnCredential({ keeper, directory }: Parts, bytes: Uint8Array): Promise<boolean> {
  if (bytes.length > CREDENTIAL_BYTES_MAX) return false
  const credential = await openCredential(new TextDecoder().decode(bytes), keeper.current().view)
  if (!credential.ok) return false
  await directory.add(credential.value, false)
  return true
}

async function revokeNode({ options, keeper, own }: Parts, node: NodeId, reason: string): Promise<CharterView> {
  const operatorKey = requireOperatorKey(options.operatorKey, keeper.current())
  if (rawKeyOfNode(node) === null) {
    throw new BootstrapError('bad-option', `"${node}" is not a node's id`, '`coppice nodes` lists the ids.')
  }
  if (node === own.facts.node) {
    throw new BootstrapError(
      'bad-option',
      'a node cannot revoke itself',
      'Do this on another device with the operator key.',
    )
  }
  if (keeper.current().view.revokedNodes.has(node)) return keeper.current().view
  const at = Math.floor(options.wall())
  const body = { nodes: [node], credentials: [], reason: reason.slice(0, REASON_CHARS_MAX), at }
  const charter: Charter = await keeper.revoke(body, operatorKey)
  return charter.view
}

const shortName = (name: string): string => name.slice(0, NAME_CHARS_MAX)

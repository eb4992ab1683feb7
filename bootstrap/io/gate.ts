// Who is believed, as the network and the envelopes need to know it: one object that says hello, checks hellos, signs
// and verifies, answers joins, and keeps the charter. What it decides by is in credential.ts, charter.ts and
// enrolment.ts.

import type { Gate } from '../../overlay/io/network.ts'
import type { DomainPath, FederationId, NodeId, OperatorId } from '../../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import type { Signer, SignerFacts, Verifier, VerifyProblem } from '../../overlay/wire/envelope.ts'
import { type CharterView, EVERYBODY } from '../charter.ts'
import { type CharterEntry, hexOf, NAME_CHARS_MAX } from '../charter-entry.ts'
import { packPieces, readCharterFile, unpackEntries, writeCharterFile } from '../charter-file.ts'
import { type CharterLog, logCharter } from '../charter-log.ts'
import { CREDENTIAL_BYTES_MAX, isDueForRenewal, isExpired, isRevoked } from '../credential.ts'
import type { InviteView } from '../enrolment.ts'
import { BootstrapError } from '../errors.ts'
import { joinAnswerFrame, PIECE_BYTES_MAX, renewalFrame } from '../messages.ts'
import type { Named } from '../names.ts'
import { type CharterChange, type CharterKeeper, createCharterKeeper, type Taken } from './charter-keeper.ts'
import { type CredentialDirectory, openDirectory } from './credential-directory.ts'
import { type HeldCredential, openCredential } from './credential-signer.ts'
import { verifyNodeSignature } from './crypto.ts'
import { type Enroller, enrollerOf } from './enroller.ts'
import { type EnrolmentDesk, type MintOptions, openEnrolmentDesk, requireOperatorKey } from './enrolment-desk.ts'
import { createHelloDesk, type HelloDesk } from './hello-desk.ts'
import type { NodeKey, OperatorKey } from './key-file.ts'
import type { Membership } from './membership.ts'
import { createOperatorDesk, type OperatorDesk } from './operator-desk.ts'
import { openRecoveryOrder, signRecoveryOrder } from './recovery-signer.ts'
import { OWN_CREDENTIAL_KEY, type Store } from './store.ts'

export interface GateOptions {
  readonly membership: Membership
  readonly store: Store
  readonly nodeKey: NodeKey
  /** The operator's key, where it is on this device: then the gate enrols, and decides with the other operators. */
  readonly operatorKey: OperatorKey | null
  /** Of this node, for people; said in hello. */
  readonly name: string
  readonly wall: () => UnixMillis
  /**
   * Something is new: cut connected peers for whom `isRevoked` now holds, and publish the pieces as `charter/news`.
   * There are none where it came by gossip, which all hear.
   */
  readonly onCharterChanged: (charter: CharterView, news: readonly Uint8Array[]) => void
  /**
   * What a person may want to know: `charter-fork`, `charter-refused`, `charter-waiting` (a draft to sign),
   * `credential-renewed`.
   */
  readonly onNotice: (code: string, detail: string) => void
  /** Which of these names mean something else here, for an operator that wants its federations to become one. */
  readonly takenNames?: (names: readonly Named[]) => Promise<readonly Named[]>
}

/** A gate that keeps the whole of a node's membership. All promises reject when the store fails. */
export interface MembershipGate extends Gate, Signer, Verifier {
  readonly federation: FederationId
  readonly federationName: string
  readonly operators: OperatorDesk
  charter(): CharterView
  /** All entries and drafts, for people. */
  charterLog(): CharterLog
  /** All entries and drafts, to be carried by hand. */
  charterFile(): string
  /** Takes in such a file; what it changed. Rejects with BootstrapError. */
  takeCharterFile(content: string): Promise<Taken>
  /** Takes in news that came from a member. `missing` when they follow from entries that are not known here. */
  takeNews(packed: Uint8Array): Promise<'adopted' | 'known' | 'missing' | 'refused'>
  /** Some of this node's hashes, to ask for what lies between. */
  shownCharter(): readonly Uint8Array[]
  /** What whoever showed its hashes lacks, in pieces for `charter/news`. */
  newsFor(shown: readonly Uint8Array[]): readonly Uint8Array[]
  /** Nodes known here, or named by all, that were put out: themselves or with their operator. */
  outcasts(): readonly NodeId[]
  /** Devices of this node's operator that are known here, whether they are about or not; without the outcasts. */
  devices(): readonly { readonly node: NodeId; readonly name: string }[]
  /** How this node itself stands. Nothing it runs stops for it. */
  ownStanding(): 'member' | 'expired' | 'revoked'
  /** What to ask a device that enrols, when it is time for a new credential; else null. */
  renewalRequest(): Uint8Array | null
  /** Takes in the answer; the error is for people. */
  takeRenewal(answer: Uint8Array): Promise<Result<null, string>>
  /** One line of text. Rejects with BootstrapError. */
  mintInvite(options: MintOptions): Promise<string>
  invites(): readonly InviteView[]
  /** Rejects with BootstrapError. */
  takeBackInvite(idBegins: string): Promise<InviteView>
  /** From now on this key is the operator's on this device. */
  replaceOperatorKey(next: OperatorKey): void
  /** A credential for a device that is still to go out. Rejects with BootstrapError. */
  enrol(node: NodeId, name: string, domain: DomainPath, capabilities: readonly string[]): HeldCredential
  /** The packed charter, for such a device. */
  packedCharter(): Uint8Array
  /** An order that a domain goes on without its majority: one line of text. Rejects with BootstrapError. */
  signRecovery(domain: DomainPath): Promise<string>
  /** The operator behind such an order; the error is for people. */
  checkRecovery(order: string, domain: DomainPath): Promise<Result<OperatorId, string>>
}

interface Parts {
  readonly options: GateOptions
  readonly keeper: CharterKeeper
  readonly directory: CredentialDirectory
  own: HeldCredential
  operatorKey: OperatorKey | null
}

/** Opens the gate of a member. Rejects with BootstrapError `damaged-store`. */
export async function createGate(options: GateOptions): Promise<MembershipGate> {
  const { membership, store, wall } = options
  const keeper = await createCharterKeeper(membership.charter, store, (change) => tell(options, change))
  const directory = await openDirectory(store, membership.charter.view)
  const { credential, federation } = membership
  const parts: Parts = { options, keeper, directory, own: credential, operatorKey: options.operatorKey }
  const desk = await openEnrolmentDesk({
    store,
    enroller: () => enrollerHere(parts),
    operator: () => parts.own.facts.operator,
    charter: keeper.current,
    packed: keeper.packed,
    wall,
    taken: options.takenNames ?? (async () => []),
  })
  await directory.add(credential, true)
  await renewOwn(parts)
  const hello = createHelloDesk({
    keeper,
    directory,
    own: () => parts.own,
    name: shortName(options.name),
    wallFor: (held) => wallFor(parts, held),
    onNotice: options.onNotice,
  })
  const operators = createOperatorDesk({
    self: credential.facts.node,
    keeper,
    directory,
    operatorKey: () => parts.operatorKey,
    wall,
  })
  return {
    federation,
    federationName: membership.federationName,
    operators,
    // Read anew each time, for a credential is renewed while the node runs.
    get facts() {
      return parts.own.facts
    },
    get credentialHash() {
      return parts.own.hash
    },
    sign: (payload) => options.nodeKey.sign(payload),
    verify: (from, hash, payload, signature) => verify(parts, from, hash, payload, signature),
    standing: (from, hash) => standing(parts, from, hash),
    ...doorsOf(parts, hello, desk),
    ...charterOf(parts),
    ...enrolmentOf(parts, desk),
    ownStanding: () => {
      if (isRevoked(parts.own.bearer, keeper.current().view)) return 'revoked'
      return isExpired(parts.own.facts, wall()) ? 'expired' : 'member'
    },
    replaceOperatorKey: (next) => {
      parts.operatorKey = next
    },
    signRecovery: async (domain) => {
      const key = requireOperatorKey(parts.operatorKey, keeper.current())
      return await signRecoveryOrder(domain, federation, key, wall())
    },
    checkRecovery: (order, domain) => openRecoveryOrder(order, domain, keeper.current().view, wall()),
  }
}

const doorsOf = (parts: Parts, hello: HelloDesk, desk: EnrolmentDesk): Gate => ({
  ...hello,
  serveJoin: desk.serve,
  serveRenewal: desk.renew,
  credentialByHash: (hash) => parts.directory.byHash(hexOf(hash))?.bytes ?? null,
  learnCredential: (credential) => learnCredential(parts, credential),
  isRevoked: (peer) => isOutcast(parts, peer),
})

type CharterDoors = Pick<
  MembershipGate,
  | 'charter'
  | 'charterLog'
  | 'charterFile'
  | 'takeCharterFile'
  | 'takeNews'
  | 'shownCharter'
  | 'newsFor'
  | 'outcasts'
  | 'devices'
>

const charterOf = (parts: Parts): CharterDoors => {
  const { keeper } = parts
  return {
    charter: () => keeper.current().view,
    charterLog: () => logCharter(keeper.current(), keeper.drafts()),
    charterFile: () => writeCharterFile(keeper.all()),
    takeCharterFile: (content) => takeCharterFile(parts, content),
    takeNews: (packed) => takeNews(parts, packed),
    shownCharter: () => keeper.shown().shown,
    newsFor: (shown) => packPieces(keeper.lackedBy(shown), PIECE_BYTES_MAX),
    devices: () =>
      [...parts.directory.nodes()].flatMap((node) => {
        const known = parts.directory.lastMet(node)
        const isOurs = known?.facts.operator === parts.own.facts.operator && !isOutcast(parts, node)
        return known === null || !isOurs ? [] : [{ node, name: known.name }]
      }),
    outcasts: () => {
      const named = keeper.current().view.revokedNodes.keys()
      return [...new Set([...parts.directory.nodes(), ...named])].filter((node) => isOutcast(parts, node))
    },
  }
}

type EnrolmentDoors = Pick<
  MembershipGate,
  'renewalRequest' | 'takeRenewal' | 'mintInvite' | 'invites' | 'takeBackInvite' | 'enrol' | 'packedCharter'
>

const enrolmentOf = (parts: Parts, desk: EnrolmentDesk): EnrolmentDoors => ({
  renewalRequest: () => {
    const { own, options } = parts
    if (!isDueForRenewal(own.facts, options.wall()) || isOutcast(parts, own.facts.node)) return null
    return renewalFrame.encode({ kind: 'renew', credential: own.text })
  },
  takeRenewal: (answer) => takeRenewal(parts, answer),
  mintInvite: desk.mint,
  invites: desk.invites,
  takeBackInvite: desk.takeBack,
  enrol: (node, name, domain, capabilities) => {
    const enroller = enrollerHere(parts)
    const grant = { domain, capabilities, labels: {} }
    const problem = enroller === null ? 'anything at all' : enroller.problemWith(grant)
    if (enroller !== null && problem === null) return enroller.issue(node, shortName(name), grant)
    throw new BootstrapError('no-operator-key', `this device may not grant ${problem}`, 'Do this where the key is.')
  },
  packedCharter: parts.keeper.packed,
})

const enrollerHere = ({ options, own, operatorKey, keeper }: Parts): Enroller | null =>
  enrollerOf({ nodeKey: options.nodeKey, operatorKey, own, charter: keeper.current(), wall: options.wall() })

/** Tells what is new: to people, and to whoever spreads it. */
function tell({ onNotice, onCharterChanged }: GateOptions, { charter, entries, drafts, isHeard }: CharterChange): void {
  const added = new Set(entries.map(({ prev, seq }) => (prev === null ? '' : `${seq}/${hexOf(prev)}`)))
  for (const { seq, winner, losers } of charter.view.forks) {
    const prev = charter.placed.get(winner)?.prev ?? ''
    if (!added.has(`${seq}/${prev}`)) continue
    onNotice('charter-fork', `entry ${seq} was signed ${losers.length + 1} times; ${winner.slice(0, 8)} holds`)
  }
  if (drafts.length > 0) {
    onNotice('charter-waiting', `${drafts.length} entries of the charter wait for signatures: \`coppice charter log\``)
  }
  const news: readonly CharterEntry[] = isHeard ? [] : [...entries, ...drafts]
  onCharterChanged(charter.view, packPieces(news, PIECE_BYTES_MAX))
}

/**
 * A node that holds its operator's key renews its own credential at the start; the old one stays known for what it
 * signed. So does one whose operator has changed its key.
 */
async function renewOwn(parts: Parts): Promise<void> {
  const { options, own, operatorKey, keeper } = parts
  const { view } = keeper.current()
  const operator = view.operators.find(({ key }) => key === operatorKey?.operator)
  const isOurs = operator !== undefined && operator.id === own.facts.operator
  if (!isOurs || !isDueForRenewal(own.facts, options.wall()) || isOutcast(parts, own.facts.node)) return
  const { node, domain, capabilities, labels } = own.facts
  const renewed = enrollerHere(parts)?.issue(node, shortName(options.name), { domain, capabilities, labels })
  if (renewed !== undefined) await keepOwn(parts, renewed, 'with the operator key on this device')
}

async function keepOwn(parts: Parts, renewed: HeldCredential, how: string): Promise<void> {
  await parts.options.store.put(OWN_CREDENTIAL_KEY, renewed.bytes, { sync: true })
  await parts.directory.add(renewed, true)
  parts.own = renewed
  parts.options.onNotice('credential-renewed', `this node has a new credential, ${how}`)
}

async function takeRenewal(parts: Parts, answer: Uint8Array): Promise<Result<null, string>> {
  const read = joinAnswerFrame.decode(answer)
  if (!read.ok) return err(`the answer cannot be read: ${read.error}`)
  if (read.value.kind === 'refused') return err(`${read.value.code}: ${read.value.detail}`)
  if (read.value.credential === null) return err('the answer holds no credential')
  const { view } = parts.keeper.current()
  const opened = await openCredential(read.value.credential, view)
  if (!opened.ok) return err(opened.error.detail)
  const { node, operator } = parts.own.facts
  const { facts, bearer } = opened.value
  if (facts.node !== node || facts.operator !== operator) return err('the credential is for somebody else')
  if (isRevoked(bearer, view)) return err('the credential is worth nothing')
  await keepOwn(parts, opened.value, 'signed by a device that enrols')
  return ok(null)
}

/** Gossip is heard by all, so what came by it is not published again. */
async function takeNews(parts: Parts, packed: Uint8Array): Promise<'adopted' | 'known' | 'missing' | 'refused'> {
  const entries = unpackEntries(packed)
  if (!entries.ok) {
    parts.options.onNotice('charter-refused', `news of the charter cannot be read: ${entries.error}`)
    return 'refused'
  }
  const { added, isDraftsChanged, orphans, problems } = await parts.keeper.take(entries.value, true)
  for (const { detail } of problems) parts.options.onNotice('charter-refused', `news were not taken in: ${detail}`)
  if (orphans > 0) return 'missing'
  if (added.length > 0 || isDraftsChanged) return 'adopted'
  return problems.length > 0 ? 'refused' : 'known'
}

async function takeCharterFile({ keeper }: Parts, content: string): Promise<Taken> {
  const entries = readCharterFile(content)
  if (!entries.ok) {
    throw new BootstrapError(
      'bad-option',
      `the file holds no charter: ${entries.error}`,
      '`coppice charter log --out FILE` writes one.',
    )
  }
  return await keeper.take(entries.value)
}

/** The clock of this device, unless the credential's own operator vouched for a later time. */
const wallFor = ({ options, keeper, directory }: Parts, { facts }: HeldCredential): UnixMillis => {
  const vouched = keeper.current().view.vouchedAt.get(facts.operator) ?? 0
  return Math.max(options.wall(), vouched, directory.lastIssued(facts.operator))
}

function isOutcast({ keeper, directory, own }: Parts, node: NodeId): boolean {
  const { view } = keeper.current()
  const known = node === own.facts.node ? own : directory.latest(node)
  if (known !== null) return isRevoked(known.bearer, view)
  return (
    view.revokedNodes.get(node)?.has(own.facts.operator) === true ||
    view.revokedNodes.get(node)?.has(EVERYBODY) === true
  )
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
  if (isRevoked(credential.bearer, keeper.current().view)) return err('revoked')
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

const shortName = (name: string): string => name.slice(0, NAME_CHARS_MAX)

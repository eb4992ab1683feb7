// The host's side of a join: hands out invites and answers those who come with one, and members that ask for a new
// credential. Only a device that may enrol has a desk that says yes; the use of an invite is on disk before the
// credential leaves.

import { randomBytes } from 'node:crypto'
import type { NodeId, OperatorId } from '../../overlay/kernel/ids.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import type { Charter } from '../charter.ts'
import { CREDENTIAL_LIFETIME_MS, isPutOut, isRevoked, MEMBER_CAPABILITIES } from '../credential.ts'
import {
  createEnrolment,
  decodeIssued,
  type EnrolmentChange,
  type EnrolmentState,
  encodeIssued,
  INVITE_LIFETIME_MS_MAX,
  INVITE_USES_MAX,
  INVITES_MAX,
  type InviteView,
  type IssuedInvite,
  issue,
  redeem,
  takeBack,
  viewInvites,
} from '../enrolment.ts'
import { BootstrapError } from '../errors.ts'
import { addressProblem, encodeInvite, INVITE_ID_BYTES, INVITE_SECRET_BYTES } from '../invite.ts'
import { type JoinAnswer, joinAnswerFrame, joinRequestFrame, renewalFrame } from '../messages.ts'
import type { Named } from '../names.ts'
import { isSigned, type Survey, type SurveyAnswer, surveyAnswerFrame, surveyFrame } from '../survey.ts'
import { openCredential } from './credential-signer.ts'
import { nodeCrypto, rawKeyOfNode, sha256 } from './crypto.ts'
import type { Enroller } from './enroller.ts'
import type { OperatorKey } from './key-file.ts'
import { checkClusterPath } from './membership.ts'
import { inviteKey, type Store } from './store.ts'
import { createTurns } from './turns.ts'

/** How long after it expired a credential is renewed without a new invite: another season (a guess). */
const RENEWABLE_MS = CREDENTIAL_LIFETIME_MS

export interface MintOptions {
  /** The cluster that the guests will be in. */
  readonly domain: string
  /** 1 to INVITE_USES_MAX. */
  readonly uses: number
  /** From 1 s to INVITE_LIFETIME_MS_MAX. */
  readonly ttlMs: number
  /** Multiaddrs of this node, each with `/p2p/<id>`; 1 to INVITE_ADDRESSES_MAX. */
  readonly addresses: readonly string[]
  /** Default MEMBER_CAPABILITIES. */
  readonly capabilities?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  /** The only node that may use it. */
  readonly node?: NodeId
}

export interface EnrolmentDesk {
  /** One line of text. Rejects with BootstrapError. */
  mint(options: MintOptions): Promise<string>
  invites(): readonly InviteView[]
  /** Takes an invite back, by the beginning of its id. Rejects with BootstrapError. */
  takeBack(idBegins: string): Promise<InviteView>
  /** Never rejects for what the guest did; rejects when the store fails. */
  serve(peer: NodeId, request: Uint8Array): Promise<Uint8Array>
  /** Answers a member that asks for a new credential in place of the one it shows. */
  renew(peer: NodeId, request: Uint8Array): Promise<Uint8Array>
}

export interface EnrolmentDeskOptions {
  readonly store: Store
  /** Who signs for others here; null when nobody may. */
  readonly enroller: () => Enroller | null
  /** This device's operator. */
  readonly operator: () => OperatorId
  readonly charter: () => Charter
  readonly packed: () => Uint8Array
  readonly wall: () => UnixMillis
  /** Which of these names mean something else in this federation. */
  readonly taken: (names: readonly Named[]) => Promise<readonly Named[]>
}

export async function openEnrolmentDesk(options: EnrolmentDeskOptions): Promise<EnrolmentDesk> {
  const { store, charter, wall, enroller } = options
  const turns = createTurns()
  let state: EnrolmentState = createEnrolment(await loadIssued(store))

  async function keep(change: EnrolmentChange): Promise<void> {
    await store.put(inviteKey(change.slot), encodeIssued(change.invite), { sync: true })
    state = change.state
  }

  async function mint(order: MintOptions): Promise<string> {
    const { issued, line } = draftInvite(order, charter(), requireEnroller(enroller()), wall())
    const change = issue(state, issued, wall())
    if (change === null) throw tooManyInvites()
    await keep(change)
    return line
  }

  /** Counts the guest in, on disk; what follows may be repeated, for the invite knows the guest from now on. */
  async function count(peer: NodeId, inviteId: Uint8Array, secret: Uint8Array): Promise<IssuedInvite | JoinAnswer> {
    const isRevoked = isPutOut(peer, options.operator(), charter().view)
    const redeemed = redeem(state, { inviteId, secretHash: sha256(secret), node: peer, isRevoked }, wall())
    if (!redeemed.ok) return { kind: 'refused', ...redeemed.error }
    if (redeemed.value.isNew) await keep(redeemed.value)
    return redeemed.value.invite
  }

  async function answer(peer: NodeId, request: Uint8Array): Promise<JoinAnswer> {
    const signer = enroller()
    if (signer === null) return notEnrolling
    const read = joinRequestFrame.decode(request)
    if (!read.ok) return refused('malformed', `the request cannot be read: ${read.error}`)
    if (rawKeyOfNode(peer) === null) return refused('malformed', 'a node has an Ed25519 identity')
    const { inviteId, secret, name, operator } = read.value
    if (operator !== undefined && !charter().view.operators.some(({ key }) => key === operator)) {
      return notAdmitted(operator)
    }
    const counted = await turns.take(() => count(peer, inviteId, secret))
    if ('kind' in counted) return counted
    // A guest whose operator belongs to the federation is that operator's to vouch for.
    const credential = operator === undefined ? signer.issue(peer, name, counted).text : null
    return { kind: 'accepted', credential, charter: options.packed() }
  }

  /** For who comes with an open invite and an operator's signature; it uses nothing up. */
  async function survey(peer: NodeId, asked: Survey): Promise<SurveyAnswer> {
    const { view } = charter()
    if (!isSigned(asked, peer, view.federation, nodeCrypto))
      return refused('forged', 'the operator’s signature is missing')
    if (!view.operators.some(({ key }) => key === asked.operator)) return notAdmitted(asked.operator)
    const isRevoked = isPutOut(peer, options.operator(), view)
    const guest = { inviteId: asked.inviteId, secretHash: sha256(asked.secret), node: peer, isRevoked }
    const redeemed = redeem(state, guest, wall())
    if (!redeemed.ok) return { kind: 'refused', ...redeemed.error }
    return { kind: 'surveyed', taken: await options.taken(asked.names), charter: options.packed() }
  }

  async function serve(peer: NodeId, request: Uint8Array): Promise<Uint8Array> {
    const asked = surveyFrame.decode(request)
    if (asked.ok) return surveyAnswerFrame.encode(await survey(peer, asked.value))
    return joinAnswerFrame.encode(await answer(peer, request))
  }

  async function renew(peer: NodeId, request: Uint8Array): Promise<JoinAnswer> {
    const signer = enroller()
    const read = renewalFrame.decode(request)
    if (signer === null) return notEnrolling
    if (!read.ok) return refused('malformed', `the request cannot be read: ${read.error}`)
    const held = await openCredential(read.value.credential, charter().view)
    if (!held.ok) return refused(held.error.code, held.error.detail)
    const { facts, bearer, name } = held.value
    if (facts.node !== peer) return refused('forged', `the credential is for ${facts.node}, shown by ${peer}`)
    if (isRevoked(bearer, charter().view)) return refused('revoked', `${peer} was put out of the federation`)
    if (facts.operator !== options.operator()) return refused('other-operator', 'ask a device of your own operator')
    if (wall() > facts.expiresAt + RENEWABLE_MS)
      return refused('expired', 'it expired too long ago; a new invite helps')
    const problem = signer.problemWith(facts)
    if (problem !== null) return refused('not-enrolling', `this device may not renew it: it grants ${problem}`)
    return { kind: 'accepted', credential: signer.issue(peer, name, facts).text, charter: new Uint8Array(0) }
  }

  return {
    mint: (order) => turns.take(() => mint(order)),
    invites: () => viewInvites(state, wall()),
    takeBack: (idBegins) =>
      turns.take(async () => {
        const change = takeBack(state, idBegins)
        if (change === null) throw noSuchInvite(idBegins)
        await keep(change)
        return viewInvites({ slots: [change.invite] }, wall())[0] as InviteView
      }),
    serve,
    renew: async (peer, request) => joinAnswerFrame.encode(await renew(peer, request)),
  }
}

function requireEnroller(enroller: Enroller | null): Enroller {
  if (enroller !== null) return enroller
  throw new BootstrapError(
    'no-operator-key',
    'this device may not enrol: it has no key of an operator of this federation, nor was it made a delegate',
    'Do this on the device that founded the federation, or on one that was invited with --enrol.',
  )
}

/** The operator key, when there is one that this federation listens to. Throws BootstrapError. */
export function requireOperatorKey(operatorKey: OperatorKey | null, charter: Charter): OperatorKey {
  if (operatorKey === null) {
    throw new BootstrapError(
      'no-operator-key',
      'this device has no operator key',
      'Do this on the device that has it: the one that founded the federation, unless the key was moved.',
    )
  }
  if (isOperator(operatorKey, charter)) return operatorKey
  throw new BootstrapError(
    'not-an-operator',
    `the operator key on this device (${operatorKey.name}) is not that of an operator of "${charter.view.name}"`,
    'Use the key of one of its operators.',
  )
}

const isOperator = (key: OperatorKey, charter: Charter): boolean =>
  charter.view.operators.some((operator) => operator.key === key.operator)

/** The invite as it is handed out, and as the desk remembers it: by the hash of its secret. */
function draftInvite(
  order: MintOptions,
  charter: Charter,
  enroller: Enroller,
  wall: UnixMillis,
): { issued: IssuedInvite; line: string } {
  const { addresses, domain } = checkOrder(order)
  const { federation, name: federationName } = charter.view
  const secret = new Uint8Array(randomBytes(INVITE_SECRET_BYTES))
  const inviteId = new Uint8Array(randomBytes(INVITE_ID_BYTES))
  const expiresAt = Math.floor(wall + order.ttlMs)
  const { capabilities = MEMBER_CAPABILITIES, labels = {}, uses: usesLeft } = order
  const grant = { domain, capabilities, labels, expiresAt }
  const problem = enroller.problemWith(grant)
  if (problem !== null) throw badOption(`the invite would grant ${problem}`, 'Grant less, or make two invites.')
  const bound = order.node === undefined ? {} : { node: order.node }
  return {
    issued: { ...grant, id: inviteId, secretHash: sha256(secret), usesLeft, joined: [], ...bound },
    line: encodeInvite({ federation, federationName, addresses, domain, inviteId, secret, expiresAt }),
  }
}

function checkOrder(order: MintOptions): Pick<IssuedInvite, 'domain'> & Pick<MintOptions, 'addresses'> {
  const domain = checkClusterPath(order.domain)
  if (!Number.isSafeInteger(order.uses) || order.uses < 1 || order.uses > INVITE_USES_MAX) {
    throw badOption(`${order.uses} is no number of uses`, `Use --uses with 1 to ${INVITE_USES_MAX}.`)
  }
  if (!(order.ttlMs >= 1_000 && order.ttlMs <= INVITE_LIFETIME_MS_MAX)) {
    throw badOption('the invite would be good for less than a second or more than a year', 'Use --ttl, as in --ttl 1h.')
  }
  const problem = addressProblem(order.addresses)
  if (problem !== null) {
    throw badOption(
      `no invite can be made: ${problem}`,
      'Start the node with --listen on an address that others reach.',
    )
  }
  if (order.node !== undefined && rawKeyOfNode(order.node) === null) {
    throw badOption(`"${order.node}" is not a node's id`, 'Leave --node out, or copy the id from the device itself.')
  }
  return { domain, addresses: order.addresses }
}

/**
 * Reads the slots in order. A damaged one would let its guests in again or lose them: that is for a person to
 * decide.
 */
async function loadIssued(store: Store): Promise<readonly IssuedInvite[]> {
  const slots: IssuedInvite[] = []
  while (slots.length < INVITES_MAX) {
    const stored = await store.get(inviteKey(slots.length))
    if (stored === null) break
    const read = decodeIssued(stored)
    if (!read.ok) {
      throw new BootstrapError(
        'damaged-store',
        `the invites handed out by this device cannot be read: ${read.error}`,
        'Restore the folder from a backup. Nothing was changed.',
      )
    }
    slots.push(read.value)
  }
  return slots
}

const refused = (code: string, detail: string) => ({ kind: 'refused', code, detail }) as const
const notAdmitted = (operator: OperatorId) =>
  refused('operator-not-admitted', `the operator ${operator} is not admitted to this federation yet`)
const notEnrolling = refused('not-enrolling', 'this device may enrol nobody; ask at the one that made the invite')
const noSuchInvite = (idBegins: string): BootstrapError =>
  new BootstrapError(
    'no-such-invite',
    `no invite of this device, or more than one, begins with "${idBegins}"`,
    '`coppice invite --list` shows those that it made.',
  )
const badOption = (what: string, hint: string): BootstrapError => new BootstrapError('bad-option', what, hint)
const tooManyInvites = (): BootstrapError =>
  new BootstrapError(
    'too-many-invites',
    `${INVITES_MAX} invites are open already`,
    'Wait until one expires, or use one invite for several devices: --uses N.',
  )

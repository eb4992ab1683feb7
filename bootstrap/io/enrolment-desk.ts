// The host's side of a join: hands out invites and answers those who come with one. Only a device with the operator's
// key has a desk that says yes; the use of an invite is on disk before the credential leaves.

import { randomBytes } from 'node:crypto'
import type { NodeId } from '../../overlay/kernel/ids.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import { draftClaims, grantProblem, isRevoked, MEMBER_CAPABILITIES } from '../credential.ts'
import {
  createEnrolment,
  decodeIssued,
  type EnrolmentState,
  encodeIssued,
  INVITE_LIFETIME_MS_MAX,
  INVITE_USES_MAX,
  INVITES_MAX,
  type IssuedInvite,
  issue,
  redeem,
} from '../enrolment.ts'
import { BootstrapError } from '../errors.ts'
import { addressProblem, encodeInvite, INVITE_ID_BYTES, INVITE_SECRET_BYTES } from '../invite.ts'
import { type JoinAnswer, joinAnswerFrame, joinRequestFrame } from '../messages.ts'
import type { Charter } from './charter-keeper.ts'
import { issueCredential } from './credential-signer.ts'
import { rawKeyOfNode, sha256 } from './crypto.ts'
import type { OperatorKey } from './key-file.ts'
import { checkClusterPath } from './membership.ts'
import { inviteKey, type Store } from './store.ts'
import { createTurns } from './turns.ts'

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
}

export interface EnrolmentDesk {
  /** One line of text. Rejects with BootstrapError. */
  mint(options: MintOptions): Promise<string>
  /** Never rejects for what the guest did; rejects when the store fails. */
  serve(peer: NodeId, request: Uint8Array): Promise<Uint8Array>
}

export interface EnrolmentDeskOptions {
  readonly store: Store
  readonly operatorKey: OperatorKey | null
  readonly charter: () => Charter
  readonly wall: () => UnixMillis
}

export async function openEnrolmentDesk(options: EnrolmentDeskOptions): Promise<EnrolmentDesk> {
  const { store, charter, wall } = options
  const turns = createTurns()
  let state: EnrolmentState = createEnrolment(await loadIssued(store))

  async function mint(order: MintOptions): Promise<string> {
    requireOperatorKey(options.operatorKey, charter())
    const { issued, line } = draftInvite(order, charter(), wall())
    const change = issue(state, issued, wall())
    if (change === null) throw tooManyInvites()
    await store.put(inviteKey(change.slot), encodeIssued(issued), { sync: true })
    state = change.state
    return line
  }

  /** Counts the guest in, on disk; what follows may be repeated, for the invite knows the guest from now on. */
  async function count(peer: NodeId, inviteId: Uint8Array, secret: Uint8Array): Promise<IssuedInvite | JoinAnswer> {
    const request = {
      inviteId,
      secretHash: sha256(secret),
      node: peer,
      isRevoked: isRevoked(peer, null, charter().view),
    }
    const redeemed = redeem(state, request, wall())
    if (!redeemed.ok) return { kind: 'refused', ...redeemed.error }
    const { slot, invite, isNew } = redeemed.value
    if (isNew) await store.put(inviteKey(slot), encodeIssued(invite), { sync: true })
    state = redeemed.value.state
    return invite
  }

  async function answer(peer: NodeId, request: Uint8Array): Promise<JoinAnswer> {
    const { operatorKey } = options
    if (operatorKey === null || !isOperator(operatorKey, charter())) {
      return refused('not-enrolling', 'this device has no operator key; ask at the one that made the invite')
    }
    const read = joinRequestFrame.decode(request)
    if (!read.ok) return refused('malformed', `the request cannot be read: ${read.error}`)
    if (rawKeyOfNode(peer) === null) return refused('malformed', 'a node has an Ed25519 identity')
    const counted = await turns.take(() => count(peer, read.value.inviteId, read.value.secret))
    if ('kind' in counted) return counted
    const { view, chain } = charter()
    const { domain, capabilities, labels } = counted
    const facts = { domain, capabilities, labels, federation: view.federation, name: read.value.name }
    const claims = draftClaims({ ...facts, iss: operatorKey.operator, sub: peer }, wall())
    const credential = await issueCredential(claims, operatorKey, view)
    return { kind: 'accepted', credential: credential.text, charter: chain }
  }

  return {
    mint: (order) => turns.take(() => mint(order)),
    serve: async (peer, request) => joinAnswerFrame.encode(await answer(peer, request)),
  }
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
  charter.view.operators.some((operator) => operator.id === key.operator)

/** The invite as it is handed out, and as the desk remembers it: by the hash of its secret. */
function draftInvite(order: MintOptions, charter: Charter, wall: UnixMillis): { issued: IssuedInvite; line: string } {
  const { addresses, domain } = checkOrder(order)
  const { federation, name: federationName } = charter.view
  const secret = new Uint8Array(randomBytes(INVITE_SECRET_BYTES))
  const inviteId = new Uint8Array(randomBytes(INVITE_ID_BYTES))
  const expiresAt = Math.floor(wall + order.ttlMs)
  const { capabilities = MEMBER_CAPABILITIES, labels = {}, uses: usesLeft } = order
  const grant = { domain, capabilities, labels, expiresAt }
  return {
    issued: { ...grant, id: inviteId, secretHash: sha256(secret), usesLeft, joined: [] },
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
  const tooMuch = grantProblem(order.capabilities ?? [], order.labels ?? {})
  if (tooMuch !== null) throw badOption(`the invite would grant ${tooMuch}`, 'Grant less, or make two invites.')
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

const refused = (code: string, detail: string): JoinAnswer => ({ kind: 'refused', code, detail })
const badOption = (what: string, hint: string): BootstrapError => new BootstrapError('bad-option', what, hint)
const tooManyInvites = (): BootstrapError =>
  new BootstrapError(
    'too-many-invites',
    `${INVITES_MAX} invites are open already`,
    'Wait until one expires, or use one invite for several devices: --uses N.',
  )

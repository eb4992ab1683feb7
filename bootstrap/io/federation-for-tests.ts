// A small federation in memory for the tests of this folder: real keys, real signatures, and a store whose
// disk can be full.

import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import type { CharterView } from '../charter.ts'
import { giveConsent, operatorIdOf } from '../charter-entry.ts'
import { decodeInvite, type Invite } from '../invite.ts'
import { encodeRequest } from '../operator-request.ts'
import { privateKeyObject, rawPublicKeyOf, signWith } from './crypto.ts'
import type { MintOptions } from './enrolment-desk.ts'
import { createGate, type MembershipGate } from './gate.ts'
import { loadOrCreateNodeKey, type NodeKey, type OperatorKey } from './key-file.ts'
import { foundFederation, loadMembership } from './membership.ts'
import { redeemInvite } from './redeem-invite.ts'
import type { Store } from './store.ts'

export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS
/** Where the tests' clocks begin. */
export const START: UnixMillis = Date.UTC(2026, 10, 21)

export interface TestClock {
  wall: UnixMillis
}

export const clockAt = (wall = START): TestClock => ({ wall })

/** A store whose writes can be made to fail, and that survives the gate that wrote to it. */
export interface MemoryStore extends Store {
  readonly content: Map<string, Uint8Array>
  failing: boolean
}

export function memoryStore(): MemoryStore {
  const content = new Map<string, Uint8Array>()
  const store: MemoryStore = {
    content,
    failing: false,
    get: async (key) => content.get(key) ?? null,
    put: async (key, value) => {
      if (store.failing) throw new Error('the disk is full')
      content.set(key, value)
    },
    del: async (key) => {
      content.delete(key)
    },
  }
  return store
}

/** An operator whose key follows from its name, so that tests repeat. */
export function operatorNamed(name: string): OperatorKey {
  const privateKey = privateKeyObject(new Uint8Array(createHash('sha256').update(name).digest()))
  const operator = operatorIdOf(rawPublicKeyOf(privateKey))
  return { operator, name, privateKey, sign: (payload) => signWith(privateKey, payload) }
}

export async function newNodeKey(): Promise<NodeKey> {
  const folder = await mkdtemp(join(tmpdir(), 'coppice-key-'))
  try {
    return await loadOrCreateNodeKey(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

export interface Member {
  readonly gate: MembershipGate
  readonly nodeKey: NodeKey
  readonly store: MemoryStore
  readonly operatorKey: OperatorKey | null
  readonly name: string
  readonly notices: string[]
  readonly charters: CharterView[]
  /** What it had to tell all others, packed. */
  readonly news: Uint8Array[]
}

/** Opens the gate of a folder, as a start of the node does. */
export async function start(
  store: MemoryStore,
  nodeKey: NodeKey,
  operatorKey: OperatorKey | null,
  name: string,
  clock: TestClock,
): Promise<Member> {
  const membership = await loadMembership(store, nodeKey)
  if (membership === null) throw new Error(`${name} is no member`)
  const notices: string[] = []
  const charters: CharterView[] = []
  const news: Uint8Array[] = []
  const gate = await createGate({
    membership,
    store,
    nodeKey,
    operatorKey,
    name,
    wall: () => clock.wall,
    onCharterChanged: (charter, pieces) => {
      charters.push(charter)
      news.push(...pieces)
    },
    onNotice: (code) => notices.push(code),
  })
  return { gate, nodeKey, store, operatorKey, name, notices, charters, news }
}

export const restart = (member: Member, clock: TestClock): Promise<Member> =>
  start(member.store, member.nodeKey, member.operatorKey, member.name, clock)

export async function founder(clock: TestClock, federation = 'Green Fields', operator = 'acme'): Promise<Member> {
  const store = memoryStore()
  const nodeKey = await newNodeKey()
  const operatorKey = operatorNamed(operator)
  const domain = '/home' as DomainPath
  const names = { name: federation, nodeName: 'founder' }
  await foundFederation({ store, operatorKey, nodeKey, ...names, domain, wall: clock.wall })
  return start(store, nodeKey, operatorKey, 'founder', clock)
}

export async function inviteFrom(
  host: Member,
  uses = 1,
  ttlMs = HOUR_MS,
  more: Partial<MintOptions> = {},
): Promise<Invite> {
  const addresses = [`/ip4/127.0.0.1/tcp/4001/p2p/${host.nodeKey.node}`]
  const decoded = decodeInvite(await host.gate.mintInvite({ domain: '/home', uses, ttlMs, addresses, ...more }))
  if (!decoded.ok) throw new Error(decoded.error.detail)
  return decoded.value
}

export async function joinWith(
  host: Member,
  invite: Invite,
  name: string,
  clock: TestClock,
  operatorKey: OperatorKey | null = null,
): Promise<Member> {
  const store = memoryStore()
  const nodeKey = await newNodeKey()
  const ask = (request: Uint8Array): Promise<Uint8Array> => host.gate.serveJoin(nodeKey.node, request)
  await redeemInvite(invite, ask, { store, nodeKey, nodeName: name, wall: clock.wall, operatorKey })
  return start(store, nodeKey, operatorKey, name, clock)
}

/** A founder, and a device that it invited. */
export async function pair(clock: TestClock): Promise<readonly [Member, Member]> {
  const host = await founder(clock)
  return [host, await joinWith(host, await inviteFrom(host, 9), 'shed', clock)]
}

/** What an operator sends to be admitted. */
export const requestOf = (key: OperatorKey): string =>
  encodeRequest(giveConsent({ key: key.operator, name: key.name, at: 1 }, key))

/** A founder of acme and a device of another operator that joined with its operator's key. */
export async function twoOperators(clock: TestClock, theirs: OperatorKey): Promise<readonly [Member, Member]> {
  const host = await founder(clock)
  await host.gate.operators.admit(requestOf(theirs))
  const invite = await inviteFrom(host, 9, DAY_MS, { domain: '/paris' })
  return [host, await joinWith(host, invite, `${theirs.name}-1`, clock, theirs)]
}

/** Both sides say hello, as overlay/io/hello.ts has it; the codes with which they are refused, or `ok`. */
export async function greet(a: Member, b: Member): Promise<readonly [string, string]> {
  const [helloOfA, helloOfB] = [a.gate.ownHello(), b.gate.ownHello()]
  const [toB, toA] = [a.gate.piecesFor(helloOfA, helloOfB), b.gate.piecesFor(helloOfB, helloOfA)]
  const judge = async (by: Member, of: Member, hello: Uint8Array, pieces: readonly Uint8Array[]): Promise<string> => {
    for (const piece of pieces) {
      const taken = await by.gate.takePiece(of.nodeKey.node, piece)
      if (!taken.ok) return taken.error.code
    }
    const checked = await by.gate.checkHello(of.nodeKey.node, hello)
    return checked.ok ? 'ok' : checked.error.code
  }
  return Promise.all([judge(b, a, helloOfA, toB ?? []), judge(a, b, helloOfB, toA ?? [])])
}

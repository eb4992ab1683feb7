// From a folder to a member: its keys, its store, its membership, and what the core remembers. Everything here runs
// before the node says its first word.

import { randomInt } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Accepted,
  askToJoin,
  BootstrapError,
  createOperatorKey,
  foundFederation,
  type Invite,
  loadMembership,
  loadOperatorKey,
  loadOrCreateNodeKey,
  type Membership,
  type NodeKey,
  OPERATOR_KEY_FILE,
  type OperatorKey,
  readInvite,
  redeemInvite,
  takePrepared,
} from '../bootstrap/index.ts'
import { type JoinAnswer, JoinUnreachableError, openGuest } from '../overlay/io/join.ts'
import { beginRounds, isOver, onRound, patienceMs, pauseMs } from '../overlay/join-rounds.ts'
import { type DomainPath, type NodeId, nodeId } from '../overlay/kernel/ids.ts'
import { seededRandom } from '../overlay/kernel/random.ts'
import type { SealedStatement } from '../overlay/membership/index.ts'
import { decodeBounded, encodeCbor } from '../overlay/wire/codec.ts'
import type { Sealer } from '../overlay/wire/envelope.ts'
import type { CoreMessage, WantedNode } from './core/effects.ts'
import { type CoreMemory, readMemory } from './core/memory.ts'
import { CoppiceError } from './errors.ts'
import { comeAfter, crossOver } from './federate/crossing.ts'
import { type Disk, openDisk } from './io/disk.ts'
import { restoreMembership, SEEDS_KEY } from './io/membership-copy.ts'
import type { JoinOptions, NodeOptions } from './options.ts'

/** Of how many members a founder keeps the addresses; a guess: one of them is up. */
const SEED_MEMBERS_MAX = 8
const DEFAULT_DOMAIN = '/home' as DomainPath

/** A folder whose keys and store are open. */
export interface Folder {
  readonly dataDir: string
  readonly disk: Disk
  readonly nodeKey: NodeKey
  readonly operatorKey: OperatorKey | null
}

/** A folder and what it is a member of; `isFounding` when the federation began just now. */
export interface Admission {
  readonly folder: Folder
  readonly membership: Membership
  readonly isFounding: boolean
}

export const nameOfNode = (options: NodeOptions): string => options.name ?? hostname()

/**
 * Opens a node's folder, which it makes where there is none; `prepared` is who the device shall be (prepareDevice).
 * Rejects with CoppiceError.
 */
export async function openFolder(
  dataDir: string,
  onFailed: (problem: CoppiceError) => void,
  prepared: string | null = null,
): Promise<Folder> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 }).catch((problem: Error) => {
    throw new CoppiceError(
      'folder-unusable',
      `the folder ${dataDir} cannot be made: ${problem.message}`,
      'Choose another with --data.',
    )
  })
  const disk = await openDisk(join(dataDir, 'store'), onFailed)
  try {
    await restoreMembership(dataDir, disk)
    if (prepared !== null) {
      const { addresses } = await takePrepared(prepared, dataDir, disk)
      await disk.put(SEEDS_KEY, encodeCbor(addresses), { sync: true })
    }
    const nodeKey = await loadOrCreateNodeKey(dataDir)
    await crossOver(disk, nodeKey)
    const operatorKey = await loadOperatorKey(join(dataDir, OPERATOR_KEY_FILE))
    return { dataDir, disk, nodeKey, operatorKey }
  } catch (problem) {
    await disk.close()
    throw asCoppiceError(problem)
  }
}

/** The folder's membership; without one it founds a federation of one operator. */
export async function memberOrFounder(folder: Folder, options: NodeOptions): Promise<Admission> {
  const { dataDir, disk, nodeKey } = folder
  try {
    const present = await loadMembership(disk, nodeKey)
    if (present !== null) {
      checkDomain(present, options)
      return { folder, membership: present, isFounding: false }
    }
    const name = nameOfNode(options)
    const operatorKey = folder.operatorKey ?? (await createOperatorKey(join(dataDir, OPERATOR_KEY_FILE), name))
    const membership = await foundFederation({
      store: disk,
      operatorKey,
      nodeKey,
      name: operatorKey.name,
      nodeName: name,
      domain: options.domain ?? DEFAULT_DOMAIN,
      labels: options.labels ?? {},
      wall: Date.now(),
    })
    return { folder: { ...folder, operatorKey }, membership, isFounding: true }
  } catch (problem) {
    throw asCoppiceError(problem)
  }
}

function checkDomain(membership: Membership, { domain }: NodeOptions): void {
  if (domain === undefined || domain === membership.domain) return
  throw new CoppiceError(
    'other-domain',
    `this node is a member of ${membership.domain}, not of ${domain}`,
    'Leave --domain out, or join with an invite for the other domain in an empty folder.',
  )
}

/** Becomes a member by an invite; in a folder that is one already, only checks that it is the same federation. */
export async function memberByInvite(folder: Folder, options: JoinOptions): Promise<Admission> {
  const { disk, nodeKey } = folder
  const say = options.onProgress ?? (() => undefined)
  try {
    const invite = readInvite(options.invite)
    const exchange = async (request: Uint8Array): Promise<Uint8Array> => {
      say(`asking ${invite.addresses.length} ${invite.addresses.length === 1 ? 'address' : 'addresses'} of the invite`)
      const { answer, from } = await askUntilAnswered(invite, folder, request, say, options.mdns ?? true)
      say(`${from.includes('/p2p-circuit') ? 'a relay carried the answer from' : 'an answer from'} ${from}`)
      return answer
    }
    const redeeming = {
      store: disk,
      nodeKey,
      nodeName: nameOfNode(options),
      wall: Date.now(),
      operatorKey: folder.operatorKey,
      labels: options.labels ?? {},
    }
    if (options.leave) await leaveFor(invite, () => askToJoin(invite, exchange, redeeming), folder, say)
    const membership = await redeemInvite(invite, exchange, redeeming)
    await disk.put(SEEDS_KEY, encodeCbor(invite.addresses), { sync: true })
    say(`a member of federation ${membership.federationName} in ${membership.domain}`)
    return { folder, membership, isFounding: false }
  } catch (problem) {
    throw asCoppiceError(problem)
  }
}

/** The folder leaves another federation of its operator for that of the invite; in other folders nothing is done. */
async function leaveFor(
  invite: Invite,
  ask: () => Promise<Accepted>,
  { disk, nodeKey }: Folder,
  say: (text: string) => void,
): Promise<void> {
  const present = await loadMembership(disk, nodeKey)
  if (present === null || present.federation === invite.federation) return
  if (invite.domain !== present.domain) {
    const hint = `Have one made for its own: \`coppice invite --domain ${present.domain}\`.`
    throw new CoppiceError('other-domain', `this node is in ${present.domain}, the invite for ${invite.domain}`, hint)
  }
  const accepted = await ask()
  if (accepted.credential.facts.operator !== present.credential.facts.operator) {
    const hint = 'Make the invite on a device of its own operator; for another operator, join in an empty folder.'
    throw new CoppiceError('other-operator', 'the invite would give this device to another operator', hint)
  }
  await comeAfter(disk, present, accepted, invite.addresses)
  say(`left the federation ${present.federationName}`)
}

async function askUntilAnswered(
  { federation, addresses }: Invite,
  { nodeKey }: Folder,
  request: Uint8Array,
  say: (text: string) => void,
  mdns: boolean,
): Promise<JoinAnswer> {
  const random = seededRandom(randomInt(2 ** 47))
  const guest = await openGuest({ federation, nodeKey: nodeKey.privateKey, addresses, mdns })
  try {
    for (let rounds = beginRounds(performance.now()); ; ) {
      try {
        return await guest.ask({ request, patienceMs: patienceMs(rounds), onStep: say })
      } catch (problem) {
        if (!(problem instanceof JoinUnreachableError)) throw problem
        rounds = onRound(rounds, isAnyBusy(problem), performance.now())
        if (isOver(rounds, performance.now())) throw problem
        const where = mdns ? ', nor did the device that made it on this network' : ''
        say(`${problem.message}${where}; trying again`)
        await delay(pauseMs(rounds, random))
      }
    }
  } finally {
    await guest.close()
  }
}

const isAnyBusy = ({ attempts }: JoinUnreachableError): boolean => attempts.some(({ isBusy }) => isBusy)

/** Where to meet the others first: what the invite said; for a founder, who joined before this start. */
export async function loadSeeds(
  disk: Disk,
  self: NodeId,
  members: readonly SealedStatement[],
): Promise<readonly string[]> {
  const stored = await disk.get(SEEDS_KEY)
  const read = stored === null ? null : decodeBounded(stored)
  if (read?.ok && Array.isArray(read.value)) return read.value.filter((one): one is string => typeof one === 'string')
  const others = members.filter(({ from }) => from !== self).slice(0, SEED_MEMBERS_MAX)
  const seeds = others.flatMap(({ message }) => message.addresses)
  if (seeds.length > 0) await disk.put(SEEDS_KEY, encodeCbor(seeds), { sync: true })
  return seeds
}

/** Multiaddrs as peers to be connected to: whoever stands behind `/p2p/`. */
export function wantedFrom(addresses: readonly string[], self: NodeId): readonly WantedNode[] {
  const byPeer = new Map<NodeId, string[]>()
  for (const address of addresses) {
    const peer = nodeId(address.slice(address.lastIndexOf('/p2p/') + '/p2p/'.length))
    if (address.includes('/p2p/') && peer !== self) byPeer.set(peer, [...(byPeer.get(peer) ?? []), address])
  }
  return [...byPeer].map(([peer, known]) => ({ peer, addresses: known }))
}

/** What the core remembers; the incarnation is raised and on the disk before it resolves. */
export async function loadMemory(disk: Disk, domain: DomainPath, sealer: Sealer<CoreMessage>): Promise<CoreMemory> {
  const { memory, raised } = readMemory(await disk.scan(''), domain, sealer)
  await disk.put(raised.key, raised.value, { sync: true })
  return memory
}

/** Bootstrap's errors in the form in which all errors leave a node. */
export function asCoppiceError(problem: unknown): unknown {
  if (problem instanceof BootstrapError) {
    return new CoppiceError(problem.refusal ?? problem.code, problem.message, problem.hint)
  }
  if (problem instanceof JoinUnreachableError) {
    const hint = 'Check that the device that made the invite runs and can be reached, or make a new invite there.'
    return new CoppiceError('unreachable', problem.message, hint)
  }
  return problem
}

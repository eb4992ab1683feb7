// Two federations of one operator become one (`coppice federate INVITE`): that of the invite goes on, and this one's
// devices go over into it. Everything that may go wrong is found out first, while nothing has changed: names that both
// use, devices that are away, devices that do not take what they need. Then all are told to begin.

import { setTimeout as delay } from 'node:timers/promises'
import type { Charter } from '../../bootstrap/charter.ts'
import type { Invite } from '../../bootstrap/index.ts'
import {
  askOther,
  collisionsOf,
  credentialThere,
  type Named,
  type OperatorKey,
  PASSAGE_SEEDS_MAX,
  packPassage,
  readInvite,
  signFederationOrder,
  signPolicy,
  withRevocations,
} from '../../bootstrap/index.ts'
import { exchangeJoin } from '../../overlay/io/join.ts'
import type { DomainPath, NodeId } from '../../overlay/kernel/ids.ts'
import { asCoppiceError } from '../boot.ts'
import type { FederateRequest, FederateView } from '../control-membership.ts'
import { CoppiceError } from '../errors.ts'
import type { Member } from '../node.ts'
import { readMessage } from '../owner-proof.ts'
import { clustersOf } from './names.ts'
import { type FederateHeader, type MemberRow, type MembersAnswer, readMembers } from './serve.ts'

/** How long the other federation may take to answer a question. A guess: a slow relay, and lookups there. */
const ASK_MS_MAX = 30_000
/** How long a device of ours may take to answer, or to take its passage. A guess: a slow relay. */
const DEVICE_MS_MAX = 20_000
/** A cluster's members and names: a thousand devices and a thousand services, in JSON. */
const MEMBERS_BYTES_MAX = 4_194_304
/** Devices that are told at the same time. A guess. */
const AT_ONCE = 8
/**
 * How long a device that does not say that it begins is told again, and how soon: what is not reached by then stays
 * behind. A guess: longer than a device that is short of processor stands still.
 */
const BEGIN_MS_MAX = 60_000
const BEGIN_AGAIN_MS = 1_000
const INVITE_SEEDS_MAX = 8

interface Ours {
  readonly members: readonly MemberRow[]
  readonly names: readonly Named[]
  /** Clusters of which nobody answered who is in them. */
  readonly silent: readonly DomainPath[]
}

export async function federate(member: Member, request: FederateRequest): Promise<FederateView> {
  try {
    return await decide(member, request)
  } catch (problem) {
    throw asCoppiceError(problem)
  }
}

async function decide(member: Member, { invite: line, isCheck, isAllowed }: FederateRequest): Promise<FederateView> {
  const invite = readInvite(line)
  const operatorKey = checkMayFederate(member, invite)
  const ours = await gather(member)
  const other = await askOther(invite, member.core.view.self.node, operatorKey, ours.names, (question) =>
    ask(member, invite, question),
  )
  const collisions = collisionsOf(other.taken)
  // Also those that no roster names any more: who was enrolled once may be in a shed with its battery flat.
  const unseen = member.gate.devices().filter(({ node }) => !ours.members.some((row) => row.node === node))
  const away = [...ours.members.filter(({ isHere }) => !isHere), ...unseen]
  const report = {
    federation: invite.federation,
    name: invite.federationName,
    collisions,
    away: [
      ...away.map(({ node, name }) => ({ node, name })),
      ...ours.silent.map((domain) => ({ node: null, name: domain })),
    ],
  }
  if (isCheck) return { ...report, state: 'checked', devices: [] }
  refuseWhatCollides(report, isAllowed)
  const devices = ours.members.filter(({ isHere }) => isHere)
  await handOut(
    member,
    invite,
    operatorKey,
    other.charter,
    devices,
    other.taken.some(({ of }) => of === 'policy'),
  )
  const gone = await beginAll(member, devices)
  return { ...report, state: 'begun', devices: gone }
}

function checkMayFederate(member: Member, invite: Invite): OperatorKey {
  const { gate, folder } = member
  const { operators } = gate.charter()
  const key = folder.operatorKey
  if (invite.federation === gate.federation) {
    throw new CoppiceError('same-federation', 'the invite is of this very federation', 'Nothing is to be done.')
  }
  if (key === null || !operators.some((one) => one.key === key.operator && one.id === gate.facts.operator)) {
    const hint = 'Do this on the device that has it; every device of the operator comes along from there.'
    throw new CoppiceError('no-operator-key', 'the key of this device’s operator is not on this device', hint)
  }
  if (operators.length === 1) return key
  const names = operators.filter((one) => one.key !== key.operator).map(({ name }) => name)
  const problem = `this federation is not this operator’s alone: ${names.join(', ')} would stay behind`
  throw new CoppiceError('several-operators', problem, 'Only federations of one operator become one.')
}

/** Who our devices are and what we call things: each cluster's leader is asked for its own. */
async function gather(member: Member): Promise<Ours> {
  const { view } = member.core
  const own = member.crossing.members()
  const members = new Map(own.members.map((row) => [row.node, row]))
  const names = new Map(own.names.map((one) => [`${one.of} ${one.name} ${one.mark}`, one]))
  const silent: DomainPath[] = []
  for (const domain of clustersOf(view)) {
    if (domain === view.self.domain) continue
    const leader = view.leaders().nodeOf(domain)
    const said = leader === null ? null : await membersOf(member, leader, domain)
    if (said === null) silent.push(domain)
    for (const row of said?.members ?? []) members.set(row.node, row)
    for (const one of said?.names ?? []) names.set(`${one.of} ${one.name} ${one.mark}`, one)
  }
  return { members: [...members.values()], names: [...names.values()], silent }
}

async function membersOf(member: Member, leader: NodeId, domain: DomainPath): Promise<MembersAnswer | null> {
  const answer = await tell(member, { node: leader, domain }, 'members', new Uint8Array(), MEMBERS_BYTES_MAX)
  return answer === null ? null : readMembers(answer)
}

async function ask(member: Member, invite: Invite, request: Uint8Array): Promise<Uint8Array> {
  const { federation, addresses } = invite
  const signal = AbortSignal.any([member.stopping, AbortSignal.timeout(ASK_MS_MAX)])
  const nodeKey = member.folder.nodeKey.privateKey
  const mdns = member.options.mdns ?? true
  return (await exchangeJoin({ federation, nodeKey, addresses, request, signal, mdns })).answer
}

function refuseWhatCollides({ collisions, away }: Pick<FederateView, 'collisions' | 'away'>, isAllowed: boolean): void {
  const blocking = collisions.filter(({ blocks }) => blocks)
  const asked = isAllowed ? blocking : collisions
  const problems = [
    ...asked.map(({ of, name, problem }) => `${of} ${name}: ${problem}`),
    ...(isAllowed ? [] : away.map(({ name }) => `${name} is away and would stay behind`)),
  ]
  if (problems.length === 0) return
  const hint =
    blocking.length > 0
      ? 'Nothing was changed. Remove one of the two, then try again.'
      : 'Nothing was changed. `--yes` goes on all the same.'
  throw new CoppiceError(
    'names-collide',
    `the two federations do not fit together as they are:\n${problems.join('\n')}`,
    hint,
  )
}

/** Gives each device what it needs; rejects, with nothing changed, unless all took it. */
async function handOut(
  member: Member,
  invite: Invite,
  operatorKey: OperatorKey,
  there: Charter,
  devices: readonly MemberRow[],
  isPolicyThere: boolean,
): Promise<void> {
  const { gate, core, network, policy } = member
  const wall = Date.now()
  const { charter, packed } = withRevocations(there, gate.charter(), operatorKey, wall)
  const order = await signFederationOrder(gate.federation, invite.federation, operatorKey, wall)
  const held = policy.current()
  const text = held.statement === null || isPolicyThere ? null : JSON.stringify(held.file)
  const claims = { federation: invite.federation, version: 1, iat: Math.floor(wall / 1_000) }
  const statement = text === null ? null : (await signPolicy({ ...claims, policy: text }, operatorKey)).text
  const failed = await eachAtOnce(devices, async (row) => {
    const { node, name, domain, capabilities, labels } = row
    const beside = devices
      .filter((one) => one.domain === domain && one.node !== node)
      .flatMap(({ addresses }) => addresses)
    const seeds = [...invite.addresses.slice(0, INVITE_SEEDS_MAX), ...network.addresses().slice(0, 2), ...beside]
    const grant = { domain: domain as DomainPath, capabilities, labels }
    const credential = credentialThere(node as NodeId, name, grant, charter, operatorKey, wall)
    const passage = packPassage({
      order,
      credential,
      seeds: seeds.slice(0, PASSAGE_SEEDS_MAX),
      charter: packed,
      policy: statement,
    })
    if (node === core.view.self.node) return (await member.crossing.take(passage)) === null
    return (await tell(member, row, 'take', passage, 1))?.length === 1
  })
  if (failed.length === 0) return
  const names = failed.map(({ name }) => name).join(', ')
  const hint = 'Nothing was changed. `coppice status` shows who can be reached; try again when they can be.'
  throw new CoppiceError('not-all-ready', `these devices did not take what they need: ${names}`, hint)
}

/** All begin, this device last; the answer says of each whether it said that it does. */
async function beginAll(member: Member, devices: readonly MemberRow[]): Promise<FederateView['devices']> {
  const self = member.core.view.self.node
  const others = devices.filter(({ node }) => node !== self)
  const failed = await eachAtOnce(others, async (row) => {
    const deadline = performance.now() + BEGIN_MS_MAX
    while (performance.now() < deadline && !member.stopping.aborted) {
      if ((await tell(member, row, 'begin', new Uint8Array(), 1))?.length === 1) return true
      await delay(BEGIN_AGAIN_MS)
    }
    return false
  })
  await member.crossing.begin()
  return devices.map(({ node, name, domain }) => ({
    node,
    name,
    domain,
    isBegun: !failed.some((row) => row.node === node),
  }))
}

/** Those for which it did not work out. */
async function eachAtOnce(
  rows: readonly MemberRow[],
  work: (row: MemberRow) => Promise<boolean>,
): Promise<readonly MemberRow[]> {
  const failed: MemberRow[] = []
  const queue = [...rows]
  const worker = async (): Promise<void> => {
    for (let row = queue.shift(); row !== undefined; row = queue.shift()) if (!(await work(row))) failed.push(row)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return failed
}

/** Says something to a device and reads what it answers; null where it cannot be reached or says no. */
async function tell(
  { traffic, stopping }: Member,
  { node, domain }: { readonly node: string; readonly domain: string },
  step: FederateHeader['step'],
  message: Uint8Array,
  bytesMax: number,
): Promise<Uint8Array | null> {
  const signal = AbortSignal.any([stopping, AbortSignal.timeout(DEVICE_MS_MAX)])
  const opened = await traffic.tunnelTo(node as NodeId, domain as DomainPath, { kind: 'federate', step }, signal)
  if (!opened.ok) return null
  opened.value.end(message)
  return await readMessage(opened.value, bytesMax, DEVICE_MS_MAX)
}

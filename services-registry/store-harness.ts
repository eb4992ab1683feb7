// For the tests of this folder only: several stores of one domain joined by a queue in virtual time that loses,
// doubles and reorders by a seed. Everything that crosses it is sealed and opened again.

import type { NodeId } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import { type Random, seededRandom } from '../overlay/kernel/random.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import type { LeaderBook } from './leaders.ts'
import type { RegistryMessage } from './messages.ts'
import type { PlainRecord, SealedRecord } from './record.ts'
import { ROOT_DOMAIN, START_WALL, type TestNode } from './record-fixtures.ts'
import type { StoreEffect, StoreInput, StoreState } from './state.ts'
import { createStore, step, wakeAt } from './store.ts'
import type { Entry } from './table.ts'

interface WorldNode {
  readonly node: TestNode
  state: StoreState
  readonly disk: Map<string, Uint8Array>
  readonly effects: StoreEffect[]
}

interface Delivery {
  readonly at: number
  readonly order: number
  readonly to: NodeId
  readonly input: StoreInput
}

interface World {
  readonly nodes: Map<NodeId, WorldNode>
  readonly random: Random
  readonly loss: number
  readonly sent: Map<string, number>
  queue: Delivery[]
  now: number
  order: number
}

export interface WorldOptions {
  readonly seed: number
  /** The share of messages that are lost; of the rest the same share arrives twice. */
  readonly loss: number
  readonly leaders: LeaderBook
}

export function createWorld(members: readonly TestNode[], options: WorldOptions): World {
  const { seed, loss, leaders } = options
  const random = seededRandom(seed)
  const world: World = { nodes: new Map(), random, loss, sent: new Map(), queue: [], now: 0, order: 0 }
  for (const node of members) {
    const store = { domain: ROOT_DOMAIN, self: node.facts, loaded: [], leaders, preset: 'lan' as const }
    const state = createStore(store, contextOf(world))
    world.nodes.set(node.facts.node, { node, state, disk: new Map(), effects: [] })
  }
  return world
}

const contextOf = (world: World): StepContext => ({
  now: world.now,
  wall: START_WALL + world.now,
  random: world.random,
})

export function nodeIn(world: World, { facts }: TestNode): WorldNode {
  const found = world.nodes.get(facts.node)
  if (found === undefined) throw new Error(`no node ${facts.node}`)
  return found
}

/** All hold the store and are connected to all. */
export function joinAll(world: World): void {
  const all = [...world.nodes.values()]
  const ids = [...world.nodes.keys()]
  for (const { node } of all) tell(world, node, { kind: 'holders', nodes: ids })
  for (const { node } of all) {
    for (const peer of ids) if (peer !== node.facts.node) tell(world, node, { kind: 'connected', peer })
  }
}

export const say = (world: World, node: TestNode, record: PlainRecord): void =>
  tell(world, node, { kind: 'record', opened: node.sealer.seal(record) as SealedRecord, from: null })

export function tell(world: World, node: TestNode, input: StoreInput): void {
  const member = nodeIn(world, node)
  const { state, effects } = step(member.state, input, contextOf(world))
  member.state = state
  for (const effect of effects) perform(world, member, effect)
}

function perform(world: World, member: WorldNode, effect: StoreEffect): void {
  const { node } = member
  member.effects.push(effect)
  switch (effect.kind) {
    case 'send':
      world.sent.set(effect.message.kind, (world.sent.get(effect.message.kind) ?? 0) + 1)
      carry(world, effect.to as NodeId, { kind: 'message', opened: reopened(node, effect.message) })
      break
    case 'publish-sealed':
      for (const other of world.nodes.keys()) {
        if (other !== node.facts.node)
          carry(world, other, { kind: 'record', opened: effect.opened, from: node.facts.node })
      }
      break
    case 'persist':
      if (effect.value === null) member.disk.delete(effect.key)
      else member.disk.set(effect.key, effect.value)
      for (const next of effect.then) perform(world, member, next)
      break
    case 'synced':
      tell(world, node, { kind: 'synced', record: effect.record })
      break
    case 'author':
      say(world, node, effect.record)
      break
    default:
      break
  }
}

/** What the other side has after the message crossed the wire. */
function reopened(node: TestNode, message: RegistryMessage): Opened<RegistryMessage> {
  const opened = node.sealer.open(node.sealer.seal(message).bytes)
  if (!opened.ok) throw new Error(`${message.kind}: ${opened.error.detail}`)
  return opened.value as Opened<RegistryMessage>
}

function carry(world: World, to: NodeId, input: StoreInput): void {
  if (!world.nodes.has(to) || world.random.next() < world.loss) return
  world.queue.push({ at: world.now + 1 + world.random.next() * 50, order: world.order++, to, input })
  if (world.random.next() >= world.loss) return
  world.queue.push({ at: world.now + 1 + world.random.next() * 200, order: world.order++, to, input })
}

/** Goes on for some virtual milliseconds. */
export function run(world: World, forMs: number): void {
  const end = world.now + forMs
  for (;;) {
    world.queue.sort((a, b) => a.at - b.at || a.order - b.order)
    const wake = nextWake(world)
    const [delivery] = world.queue
    const at = Math.min(wake?.at ?? Infinity, delivery?.at ?? Infinity)
    if (at > end) break
    world.now = Math.max(world.now, at)
    if (wake !== null && wake.at === at) tell(world, wake.node, { kind: 'wake' })
    else deliverNext(world)
  }
  world.now = end
}

function deliverNext(world: World): void {
  const delivery = world.queue.shift()
  const member = delivery === undefined ? undefined : world.nodes.get(delivery.to)
  if (delivery !== undefined && member !== undefined) tell(world, member.node, delivery.input)
}

function nextWake(world: World): { readonly at: number; readonly node: TestNode } | null {
  let first: { readonly at: number; readonly node: TestNode } | null = null
  for (const { node, state } of world.nodes.values()) {
    const at = wakeAt(state)
    if (at !== null && (first === null || at < first.at)) first = { at, node }
  }
  return first
}

/** Everything a store holds, deletions included, such that equal texts mean equal stores. */
export const contentsOf = (state: StoreState): string => contentsWhere(state, () => true)

/** What is live in a store. */
export const liveContentsOf = (state: StoreState): string => contentsWhere(state, (entry) => !entry.isTombstone)

const contentsWhere = (state: StoreState, keeps: (entry: Entry) => boolean): string =>
  [...state.table.entries.values()]
    .filter(keeps)
    .map((entry) => `${entry.slot} ${entry.mark.high} ${entry.mark.low}`)
    .sort()
    .join('\n')

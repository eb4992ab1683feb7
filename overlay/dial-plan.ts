// Whom to dial, when, and when to give a connection up: libp2p neither dials nor re-dials on its own. A machine: it is
// told what is wanted and what happened, and answers with dials; back-off is capped, so a peer that returns after days
// is found.

import { unreachable } from './kernel/assert.ts'
import type { NodeId } from './kernel/ids.ts'
import type { StepContext, Transition } from './kernel/machine.ts'
import { earlier, type Millis } from './kernel/time.ts'

/** After the first failed dial; doubles with each further one. */
export const DIAL_BACKOFF_MS_MIN: Millis = 250
/** The cap: a returning peer is found within 1.5 times this even if it does not dial itself. */
export const DIAL_BACKOFF_MS_MAX: Millis = 15_000
/** A peer that refused our hello, or that we refused, is asked again this often: its charter may have caught up. */
export const REFUSED_RETRY_MS: Millis = 60_000
/** Of two nodes that learn of each other at once, the one with the higher id lets the other dial first. */
export const YIELD_MS: Millis = 300
/** How many dials run at once; a guess that keeps a restart in a large fleet from flooding a small device. */
export const DIALS_AT_ONCE_MAX = 16
/** How soon a direct path is tried once a peer is connected through a relay; doubles with each attempt that failed. */
export const UPGRADE_BACKOFF_MS_MIN: Millis = 4_000
/** The cap: a path that a changed network would allow is found within 1.5 times this; new addresses end the wait. */
export const UPGRADE_BACKOFF_MS_MAX: Millis = 600_000
/** Where an attempt was in vain, the next one waits as after so many failures: for a minute. */
export const IN_VAIN_FAILURES = 4
/**
 * Where both sides could not even dial each other, as one was busy or had just come: it is tried again after so long,
 * doubling each time; after so many times it counts as an attempt that failed. A guess.
 */
export const UNREADY_RETRY_MS: Millis = 1_000
export const UNREADY_TRIES_MAX = 3
/** The first attempt: as soon as both ends have said hello. */
export const UPGRADE_FIRST_MS: Millis = 100

export interface DialTarget {
  readonly peer: NodeId
  readonly addresses: readonly string[]
}

/**
 * `in-vain`: no direct path can come about as long as both stay in their networks. `unready`: what was asked for was
 * not tried, as one side could not at that moment.
 */
export type DialOutcome = 'connected' | 'failed' | 'refused' | 'in-vain' | 'unready'

export type DialPlanInput =
  | { readonly kind: 'want'; readonly peers: readonly DialTarget[] }
  /** Addresses that turned up elsewhere, e.g. by mDNS, in place of earlier ones; only wanted peers are dialled. */
  | { readonly kind: 'discovered'; readonly target: DialTarget }
  | { readonly kind: 'connected'; readonly peer: NodeId; readonly path: 'direct' | 'relay' }
  | { readonly kind: 'disconnected'; readonly peer: NodeId }
  /** The device has an address that it had not: what failed before may succeed now. */
  | { readonly kind: 'address-gained' }
  | { readonly kind: 'dialled'; readonly peer: NodeId; readonly attempt: number; readonly outcome: DialOutcome }
  | { readonly kind: 'wake' }

/**
 * Dials. `upgrade` asks for a direct path besides the relayed one that there is; `punch` that both ends dial at once
 * for it, which the one with the lower id begins. Answer: `dialled` with the same `attempt`. `besides` is for addresses
 * that turned up while another dial runs, which may take seconds to fail: there is no answer but `connected`.
 */
export interface DialPlanEffect {
  readonly kind: 'dial'
  readonly peer: NodeId
  readonly attempt: number
  readonly addresses: readonly string[]
  readonly upgrade: boolean
  readonly punch: boolean
  readonly besides: boolean
}

interface Target {
  /** Of whoever wants the peer. */
  readonly named: readonly string[]
  /** What turned up last. Anybody in the local network may say it, so it takes the place of nothing that was named. */
  readonly found: readonly string[]
  readonly failures: number
  /** Attempts in a row that a side was not ready for. */
  readonly unready: number
  /** Counts the dials: what comes of one that is not waited for any more does not count. */
  readonly attempt: number
  /** When to dial next; null while a dial runs or nothing is to be dialled. */
  readonly dialAt: Millis | null
  readonly isDialling: boolean
  /** Whether what runs is the search for a direct path besides a relayed one. */
  readonly isUpgrading: boolean
  /** Addresses that turned up while a dial ran and were not dialled yet. */
  readonly fresh: readonly string[]
}

type Link = 'direct' | 'relay'

export interface DialPlanState {
  readonly self: NodeId
  readonly targets: ReadonlyMap<NodeId, Target>
  readonly links: ReadonlyMap<NodeId, Link>
}

type Change = Transition<DialPlanState, DialPlanEffect>

export const createDialPlan = (self: NodeId): DialPlanState => ({
  self,
  targets: new Map(),
  links: new Map(),
})

export function step(state: DialPlanState, input: DialPlanInput, context: StepContext): Change {
  return dialDue(told(state, input, context), context)
}

function told(state: DialPlanState, input: DialPlanInput, context: StepContext): DialPlanState {
  switch (input.kind) {
    case 'want':
      return onWant(state, input.peers, context)
    case 'discovered':
      return onDiscovered(state, input.target, context)
    case 'connected':
      return onConnected(state, input, context)
    case 'disconnected':
      return onDisconnected(state, input.peer, context)
    case 'dialled':
      return onDialled(state, input, context)
    case 'address-gained':
      return onAddressGained(state, context)
    case 'wake':
      return state
    default:
      return unreachable(input)
  }
}

/** When the next dial is due. Where no more dials may run, the end of one is waited for. */
export function wakeAt(state: DialPlanState): Millis | null {
  let running = 0
  let dialAt: Millis | null = null
  for (const target of state.targets.values()) {
    if (target.isDialling) running += 1
    else dialAt = earlier(dialAt, target.dialAt)
  }
  return running < DIALS_AT_ONCE_MAX ? dialAt : null
}

function onWant(state: DialPlanState, peers: readonly DialTarget[], context: StepContext): DialPlanState {
  const targets = new Map<NodeId, Target>()
  for (const { peer, addresses } of peers) {
    if (peer === state.self) continue
    const known = state.targets.get(peer)
    const link = state.links.get(peer)
    targets.set(
      peer,
      known === undefined
        ? firstDial(state, peer, addresses, context)
        : readdressed(known, { ...known, named: addresses }, link, context),
    )
  }
  return { ...state, targets }
}

function firstDial(state: DialPlanState, peer: NodeId, named: readonly string[], { now, random }: StepContext): Target {
  const link = state.links.get(peer)
  const wait = state.self < peer ? 0 : YIELD_MS * (0.5 + random.next())
  const dialAt = needsDial(link) ? now + wait : null
  return {
    named,
    found: [],
    failures: 0,
    unready: 0,
    attempt: 0,
    dialAt,
    isDialling: false,
    isUpgrading: false,
    fresh: [],
  }
}

/** A new address makes the past failures meaningless. */
function readdressed(known: Target, next: Target, link: Link | undefined, { now }: StepContext): Target {
  const before = addressesOf(known)
  const added = addressesOf(next).filter((address) => !before.includes(address))
  if (added.length === 0 || !needsDial(link)) return next
  if (!known.isDialling) return { ...next, failures: 0, unready: 0, dialAt: now }
  // Where the dial that runs has relays to go over, another one is no hurry.
  const hasRelay = link !== undefined || !before.every(isDirect)
  const fresh = hasRelay ? added.filter(isDirect) : added
  return { ...next, failures: 0, unready: 0, dialAt: now, fresh: [...known.fresh, ...fresh] }
}

function onDiscovered(state: DialPlanState, { peer, addresses }: DialTarget, context: StepContext): DialPlanState {
  const known = state.targets.get(peer)
  if (known === undefined) return state
  const next = { ...known, found: addresses }
  return withTarget(state, peer, readdressed(known, next, state.links.get(peer), context))
}

function onConnected(
  state: DialPlanState,
  { peer, path }: Extract<DialPlanInput, { kind: 'connected' }>,
  { now, random }: StepContext,
): DialPlanState {
  const linked = { ...state, links: new Map(state.links).set(peer, path) }
  const target = state.targets.get(peer)
  if (target === undefined) return linked
  const dialAt = needsDial(path) ? now + UPGRADE_FIRST_MS * (0.5 + random.next()) : null
  // A first dial that still hangs, at an address that swallows packets, keeps nobody from the search for a direct path.
  const isDialling = target.isDialling && target.isUpgrading
  return withTarget(linked, peer, { ...target, isDialling, failures: 0, unready: 0, dialAt })
}

function onDisconnected(state: DialPlanState, peer: NodeId, context: StepContext): DialPlanState {
  const links = new Map(state.links)
  links.delete(peer)
  const unlinked = { ...state, links }
  const target = state.targets.get(peer)
  if (target === undefined) return unlinked
  return withTarget(unlinked, peer, { ...target, failures: 0, unready: 0, dialAt: context.now + backoff(0, context) })
}

/** Dials that run are not waited for: they began where nothing answers any more. */
function onAddressGained(state: DialPlanState, { now, random }: StepContext): DialPlanState {
  const targets = new Map<NodeId, Target>()
  for (const [peer, target] of state.targets) {
    const link = state.links.get(peer)
    const dialAt = now + UPGRADE_FIRST_MS * (0.5 + random.next())
    const fresh = target.isDialling ? addressesOf(target) : target.fresh
    targets.set(peer, needsDial(link) ? { ...target, failures: 0, unready: 0, dialAt, fresh } : target)
  }
  return { ...state, targets }
}

function onDialled(
  state: DialPlanState,
  { peer, attempt, outcome }: Extract<DialPlanInput, { kind: 'dialled' }>,
  context: StepContext,
): DialPlanState {
  const target = state.targets.get(peer)
  if (target === undefined || !target.isDialling || target.attempt !== attempt) return state
  const link = state.links.get(peer)
  if (outcome === 'unready' && link === 'relay' && target.unready < UNREADY_TRIES_MAX) {
    return onUnready(state, peer, target, context)
  }
  const before = outcome === 'in-vain' ? Math.max(target.failures, IN_VAIN_FAILURES) : target.failures
  const retry = (): Millis => {
    if (link !== undefined) return upgradeBackoff(before, context)
    return outcome === 'refused' ? REFUSED_RETRY_MS : backoff(target.failures, context)
  }
  const dialAt = needsDial(link) ? (target.dialAt ?? context.now + retry()) : null
  // Where a direct path was asked for, finding the relayed one again is no success.
  const isDone = outcome === 'connected' && !(target.isUpgrading && link === 'relay')
  const failures = isDone ? 0 : before + 1
  return withTarget(state, peer, { ...target, isDialling: false, isUpgrading: false, failures, dialAt })
}

/** Nothing was learned of the path, so nothing counts as a failure. */
function onUnready(state: DialPlanState, peer: NodeId, target: Target, context: StepContext): DialPlanState {
  const wait = UNREADY_RETRY_MS * 2 ** target.unready * (0.5 + context.random.next())
  const dialAt = target.dialAt ?? context.now + wait
  const unready = target.unready + 1
  return withTarget(state, peer, { ...target, isDialling: false, isUpgrading: false, unready, dialAt })
}

const addressesOf = ({ named, found }: Target): readonly string[] => [...new Set([...named, ...found])]

/** Not connected at all, or only through a relay. */
const needsDial = (link: Link | undefined): boolean => link !== 'direct'

const isDirect = (address: string): boolean => !address.includes('/p2p-circuit')

/** Exponential with a cap, times 0.5 to 1.5, so that a fleet that lost one peer does not call it in step. */
const backoff = (failures: number, { random }: StepContext): Millis =>
  Math.min(DIAL_BACKOFF_MS_MAX, DIAL_BACKOFF_MS_MIN * 2 ** Math.min(failures, 16)) * (0.5 + random.next())

const upgradeBackoff = (failures: number, { random }: StepContext): Millis =>
  Math.min(UPGRADE_BACKOFF_MS_MAX, UPGRADE_BACKOFF_MS_MIN * 2 ** Math.min(failures, 16)) * (0.5 + random.next())

function dialDue(state: DialPlanState, { now }: StepContext): Change {
  let running = [...state.targets.values()].filter((target) => target.isDialling).length
  let next = state
  const effects: DialPlanEffect[] = []
  for (const [peer, target] of state.targets) {
    if (target.fresh.length > 0) {
      const { attempt, fresh: addresses } = target
      const upgrade = state.links.has(peer)
      effects.push({ kind: 'dial', peer, attempt, addresses, upgrade, punch: false, besides: true })
      next = withTarget(next, peer, { ...target, fresh: [] })
      continue
    }
    if (running >= DIALS_AT_ONCE_MAX) break
    if (target.isDialling || target.dialAt === null || target.dialAt > now) continue
    const upgrade = state.links.has(peer)
    const all = addressesOf(target)
    const addresses = upgrade ? all.filter(isDirect) : all
    // The other end may not want this one, and then nobody would begin.
    const punch = upgrade && (state.self < peer || target.failures > 0)
    const attempt = target.attempt + 1
    effects.push({ kind: 'dial', peer, attempt, addresses, upgrade, punch, besides: false })
    next = withTarget(next, peer, { ...target, attempt, isDialling: true, isUpgrading: upgrade, dialAt: null })
    running += 1
  }
  return { state: next, effects }
}

const withTarget = (state: DialPlanState, peer: NodeId, target: Target): DialPlanState => ({
  ...state,
  targets: new Map(state.targets).set(peer, target),
})

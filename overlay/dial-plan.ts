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
/** How often a direct path is tried while a peer is connected through a relay. */
export const UPGRADE_RETRY_MS: Millis = 30_000
/**
 * How long a connected relay has to give us an address before its connection is made anew. libp2p needs about 1.5 s.
 */
export const RELAY_PATIENCE_MS: Millis = 10_000
/** The most patience after repeated attempts: a relay that is full is not helped by flapping. */
export const RELAY_PATIENCE_MS_MAX: Millis = 300_000

export interface DialTarget {
  readonly peer: NodeId
  readonly addresses: readonly string[]
}

export type DialPlanInput =
  | { readonly kind: 'want'; readonly peers: readonly DialTarget[] }
  /** Addresses that turned up elsewhere, e.g. by mDNS; only wanted peers are dialled. */
  | { readonly kind: 'discovered'; readonly target: DialTarget }
  | { readonly kind: 'connected'; readonly peer: NodeId; readonly path: 'direct' | 'relay'; readonly isRelay: boolean }
  | { readonly kind: 'disconnected'; readonly peer: NodeId }
  | { readonly kind: 'dialled'; readonly peer: NodeId; readonly outcome: 'connected' | 'failed' | 'refused' }
  /** Whether an address through a relay is wanted and missing. */
  | { readonly kind: 'relay-address'; readonly missing: boolean }
  | { readonly kind: 'wake' }

export type DialPlanEffect =
  /** Dials; `upgrade` asks for a direct path besides the relayed one that there is. Answer: `dialled`. */
  | { readonly kind: 'dial'; readonly peer: NodeId; readonly addresses: readonly string[]; readonly upgrade: boolean }
  /** Closes every connection to a relay that does not give us an address; it will be dialled again. */
  | { readonly kind: 'hang-up'; readonly peer: NodeId }

interface Target {
  readonly addresses: readonly string[]
  readonly failures: number
  /** When to dial next; null while a dial runs or nothing is to be dialled. */
  readonly dialAt: Millis | null
  readonly isDialling: boolean
}

interface Link {
  readonly path: 'direct' | 'relay'
  readonly isRelay: boolean
  readonly since: Millis
}

export interface DialPlanState {
  readonly self: NodeId
  readonly targets: ReadonlyMap<NodeId, Target>
  readonly links: ReadonlyMap<NodeId, Link>
  /** Since when a relay address is missing; null while there is one or none is wanted. */
  readonly relayMissingSince: Millis | null
  readonly relayPatience: Millis
}

type Change = Transition<DialPlanState, DialPlanEffect>

export const createDialPlan = (self: NodeId): DialPlanState => ({
  self,
  targets: new Map(),
  links: new Map(),
  relayMissingSince: null,
  relayPatience: RELAY_PATIENCE_MS,
})

export function step(state: DialPlanState, input: DialPlanInput, context: StepContext): Change {
  const next = told(state, input, context)
  const { state: watched, effects: hangUps } = watchRelays(next, context)
  const { state: dialled, effects: dials } = dialDue(watched, context)
  return { state: dialled, effects: [...hangUps, ...dials] }
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
    case 'relay-address':
      return onRelayAddress(state, input.missing, context)
    case 'wake':
      return state
    default:
      return unreachable(input)
  }
}

/** When the next dial or look at the relays is due. Where no more dials may run, the end of one is waited for. */
export function wakeAt(state: DialPlanState): Millis | null {
  let running = 0
  let dialAt: Millis | null = null
  for (const target of state.targets.values()) {
    if (target.isDialling) running += 1
    else dialAt = earlier(dialAt, target.dialAt)
  }
  return earlier(running < DIALS_AT_ONCE_MAX ? dialAt : null, relayDeadline(state))
}

function onWant(state: DialPlanState, peers: readonly DialTarget[], context: StepContext): DialPlanState {
  const targets = new Map<NodeId, Target>()
  for (const { peer, addresses } of peers) {
    if (peer === state.self) continue
    const known = state.targets.get(peer)
    const link = state.links.get(peer)
    targets.set(
      peer,
      known === undefined ? firstDial(state, peer, addresses, context) : readdressed(known, addresses, link, context),
    )
  }
  return { ...state, targets }
}

function firstDial(
  state: DialPlanState,
  peer: NodeId,
  addresses: readonly string[],
  { now, random }: StepContext,
): Target {
  const link = state.links.get(peer)
  const wait = state.self < peer ? 0 : YIELD_MS * (0.5 + random.next())
  return { addresses, failures: 0, dialAt: needsDial(link, addresses) ? now + wait : null, isDialling: false }
}

/** A new address makes the past failures meaningless. */
function readdressed(
  known: Target,
  addresses: readonly string[],
  link: Link | undefined,
  { now }: StepContext,
): Target {
  const isNew = addresses.some((address) => !known.addresses.includes(address))
  if (!isNew || !needsDial(link, addresses)) return { ...known, addresses }
  return { ...known, addresses, failures: 0, dialAt: now }
}

function onDiscovered(state: DialPlanState, found: DialTarget, context: StepContext): DialPlanState {
  const known = state.targets.get(found.peer)
  if (known === undefined) return state
  const addresses = [...new Set([...known.addresses, ...found.addresses])]
  return withTarget(state, found.peer, readdressed(known, addresses, state.links.get(found.peer), context))
}

function onConnected(
  state: DialPlanState,
  { peer, path, isRelay }: Extract<DialPlanInput, { kind: 'connected' }>,
  { now, random }: StepContext,
): DialPlanState {
  const link: Link = { path, isRelay, since: now }
  const linked = { ...state, links: new Map(state.links).set(peer, link) }
  const target = state.targets.get(peer)
  if (target === undefined) return linked
  const dialAt = needsDial(link, target.addresses) ? now + UPGRADE_RETRY_MS * (0.5 + random.next()) : null
  return withTarget(linked, peer, { ...target, failures: 0, dialAt })
}

function onDisconnected(state: DialPlanState, peer: NodeId, context: StepContext): DialPlanState {
  const links = new Map(state.links)
  links.delete(peer)
  const unlinked = { ...state, links }
  const target = state.targets.get(peer)
  if (target === undefined) return unlinked
  return withTarget(unlinked, peer, { ...target, failures: 0, dialAt: context.now + backoff(0, context) })
}

function onDialled(
  state: DialPlanState,
  { peer, outcome }: Extract<DialPlanInput, { kind: 'dialled' }>,
  context: StepContext,
): DialPlanState {
  const target = state.targets.get(peer)
  if (target === undefined) return state
  const link = state.links.get(peer)
  const retry = (): Millis => {
    if (link !== undefined) return UPGRADE_RETRY_MS * (0.5 + context.random.next())
    return outcome === 'refused' ? REFUSED_RETRY_MS : backoff(target.failures, context)
  }
  const dialAt = needsDial(link, target.addresses) ? (target.dialAt ?? context.now + retry()) : null
  const failures = outcome === 'connected' ? 0 : target.failures + 1
  return withTarget(state, peer, { ...target, isDialling: false, failures, dialAt })
}

function onRelayAddress(state: DialPlanState, missing: boolean, { now }: StepContext): DialPlanState {
  if (!missing) return { ...state, relayMissingSince: null, relayPatience: RELAY_PATIENCE_MS }
  return state.relayMissingSince === null ? { ...state, relayMissingSince: now } : state
}

/** Not connected at all, or only through a relay while a direct address is known. */
const needsDial = (link: Link | undefined, addresses: readonly string[]): boolean =>
  link === undefined || (link.path === 'relay' && addresses.some(isDirect))

const isDirect = (address: string): boolean => !address.includes('/p2p-circuit')

/** Exponential with a cap, times 0.5 to 1.5, so that a fleet that lost one peer does not call it in step. */
const backoff = (failures: number, { random }: StepContext): Millis =>
  Math.min(DIAL_BACKOFF_MS_MAX, DIAL_BACKOFF_MS_MIN * 2 ** Math.min(failures, 16)) * (0.5 + random.next())

function dialDue(state: DialPlanState, { now }: StepContext): Change {
  let running = [...state.targets.values()].filter((target) => target.isDialling).length
  let next = state
  const effects: DialPlanEffect[] = []
  for (const [peer, target] of state.targets) {
    if (running >= DIALS_AT_ONCE_MAX) break
    if (target.isDialling || target.dialAt === null || target.dialAt > now) continue
    const upgrade = state.links.has(peer)
    const addresses = upgrade ? target.addresses.filter(isDirect) : target.addresses
    effects.push({ kind: 'dial', peer, addresses, upgrade })
    next = withTarget(next, peer, { ...target, isDialling: true, dialAt: null })
    running += 1
  }
  return { state: next, effects }
}

/**
 * libp2p never remakes a reservation on a relay that came back, but it does make one on a new connection. So while our
 * relay address is missing, the connections to relays that had their time are made anew.
 */
function watchRelays(state: DialPlanState, { now }: StepContext): Change {
  const deadline = relayDeadline(state)
  if (deadline === null || deadline > now) return { state, effects: [] }
  const patience = Math.min(RELAY_PATIENCE_MS_MAX, state.relayPatience * 2)
  const effects = idleRelays(state).map(([peer]): DialPlanEffect => ({ kind: 'hang-up', peer }))
  return { state: { ...state, relayMissingSince: now, relayPatience: patience }, effects }
}

function relayDeadline(state: DialPlanState): Millis | null {
  const missingSince = state.relayMissingSince
  if (missingSince === null) return null
  const since = idleRelays(state).map(([, link]) => Math.max(link.since, missingSince))
  return since.length === 0 ? null : Math.max(...since) + state.relayPatience
}

/** Relays that we are connected to and keep connected, but that give us no address. */
const idleRelays = (state: DialPlanState): readonly [NodeId, Link][] =>
  [...state.links].filter(([peer, link]) => link.isRelay && link.path === 'direct' && state.targets.has(peer))

const withTarget = (state: DialPlanState, peer: NodeId, target: Target): DialPlanState => ({
  ...state,
  targets: new Map(state.targets).set(peer, target),
})

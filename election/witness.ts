// The parent as witness (DESIGN section 6, Loss of quorum). Who lost the majority of a domain cannot know whether the
// other side is dead or only out of sight; the parent's leader hears both. It grants one of them, once, that it is the
// domain from now on, and its own register remembers that, so that the next leader of the parent cannot grant the
// other.

import { unreachable } from '../overlay/kernel/assert.ts'
import { emit } from '../overlay/kernel/effect.ts'
import { type ChildId, type DomainPath, isDomain, type NodeId, parentOf } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { GRANT_SILENCE_TIMEOUTS, GRANTS_MAX } from './constants.ts'
import { GRANTS_KEY, type Granted, grantsOf, withGrant } from './grants.ts'
import type { LeaderBookView } from './leaders.ts'
import { propose } from './leading.ts'
import type { Announcement, Grant, WitnessMessage, WitnessRequest } from './messages.ts'
import { speaksFor } from './proof.ts'
import { compareVersions, electorIds, majorityOf, type Register } from './register.ts'
import {
  drawName,
  type ElectionEffect,
  type ElectionInput,
  type ElectionState,
  epochAbove,
  isElector,
  type KnownLine,
  type Leading,
  lineOf,
} from './state.ts'

/** One survivor's request, as it was heard last. */
export interface Plea {
  readonly request: WitnessRequest
  readonly heardAt: Millis
}

/** What the leader of the parent has heard from the survivors of one child domain. */
export interface Pleas {
  readonly line: string
  /** Since when they plead without a longer break. */
  readonly since: Millis
  /** Whether the child had a vote here at that time: its leader was heard all along, also if it is replaced since. */
  readonly hadVote: boolean
  readonly latest: ReadonlyMap<ChildId, Plea>
}

/** Whether whoever signed a request may speak for the elector that it names. */
function isGenuineRequest({ from, signer, message }: Opened<WitnessRequest>): boolean {
  if (isDomain(message.child)) return speaksFor(message.child, message.speaker) === from
  return message.child === from && signer.domain === message.domain && signer.capabilities.includes('lead')
}

/**
 * Survivors plead with the leader of the parent. `known` is who led the child domain last, as the leader book has it.
 */
export function onPlea(
  state: ElectionState,
  request: WitnessRequest,
  known: KnownLine | null,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const { role, register } = state
  if (role.kind !== 'leader' || !role.established || register === null || context.now >= role.leaseUntil) return state
  if (request.domain === state.self) return state
  const before = grantsOf(register).find((granted) => granted.domain === request.domain) ?? null
  if (before !== null && before.of === request.line) {
    const isMade = !role.proposals.some((proposal) => proposal.token === tokenOf(before))
    if (isMade && before.child === request.child) out.push(sendGrant(before))
    return state
  }
  if (known === null || !mayBeGranted(state, register, request, before, known)) return state
  const pleas = heardPlea(state, role, request, context.now)
  const heard: ElectionState = {
    ...state,
    role: { ...role, pleas: new Map(role.pleas).set(request.domain, pleas) },
  }
  const silentSince = lastSignOf(role, request.domain, pleas, known)
  const waitMs = GRANT_SILENCE_TIMEOUTS * state.timing.electionTimeoutMsMin
  if (context.now - silentSince < waitMs) {
    // A leader that is alive says so at once; only an elector's voice is heard all the time, and it may be replaced.
    out.push({ kind: 'roll-call', domain: request.domain })
    return heard
  }
  return isBest(request, pleas, state.timing.electionTimeoutMsMin, context.now)
    ? grant(heard, request, before, known, context, out)
    : heard
}

/**
 * Nobody but an elector of the line that leads the domain, and where this parent has granted before, only of that
 * line; and only a parent that cannot be one of two itself.
 */
function mayBeGranted(
  state: ElectionState,
  register: Register,
  request: WitnessRequest,
  before: Granted | null,
  known: KnownLine,
): boolean {
  if (request.under !== lineOf(state) || isDoubtful({ ...register, electors: electorIds(register) })) return false
  if (before !== null && before.line !== request.line) return false
  if (before === null && grantsOf(register).length >= GRANTS_MAX) return false
  return known.line === request.line && known.electors.includes(request.child)
}

/**
 * A line that began in silence, with neither a witness nor an operator, may have a twin that grants as well; not any
 * more when most of those whom it left behind have joined it.
 */
export function isDoubtful({ predecessor, electors }: Pick<Announcement, 'predecessor' | 'electors'>): boolean {
  if (predecessor === null || predecessor.cause !== 'silence') return false
  const joined = predecessor.electors.filter((child) => electors.includes(child))
  return joined.length < majorityOf(predecessor.electors.length)
}

function heardPlea({ register, timing }: ElectionState, role: Leading, request: WitnessRequest, now: Millis): Pleas {
  const before = role.pleas.get(request.domain) ?? null
  const breakMs = timing.electionTimeoutMsMax
  const lastAt = Math.max(Number.NEGATIVE_INFINITY, ...[...(before?.latest.values() ?? [])].map((one) => one.heardAt))
  const isOngoing = before !== null && before.line === request.line && now - lastAt <= breakMs
  const latest = new Map(isOngoing ? before.latest : [])
  return {
    line: request.line,
    since: isOngoing ? before.since : now,
    hadVote: isOngoing ? before.hadVote : electorIds(register).includes(request.domain),
    latest: latest.set(request.child, { request, heardAt: now }),
  }
}

/** When the domain's leader was heard last. Of a learner that is only known since it was asked for. */
function lastSignOf(role: Leading, domain: DomainPath, pleas: Pleas, known: KnownLine): Millis {
  const heardOf = role.progress.get(domain)?.heardOf ?? role.since
  return Math.max(known.spokenAt, pleas.hadVote ? Math.max(heardOf, role.since) : pleas.since)
}

/**
 * Of several who plead the one that remembers most is granted, then that which reaches more electors, then the lower.
 */
function isBest(request: WitnessRequest, pleas: Pleas, freshMs: Millis, now: Millis): boolean {
  return [...pleas.latest.values()].every(({ request: other, heardAt }) => {
    if (other.child === request.child || now - heardAt > freshMs) return true
    const order = compareVersions(request.register, other.register) || request.reached - other.reached
    return order > 0 || (order === 0 && request.child < other.child)
  })
}

function grant(
  state: ElectionState,
  request: WitnessRequest,
  before: Granted | null,
  known: KnownLine,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const { domain, line: of, child } = request
  const granted: Granted = {
    domain,
    of,
    line: drawName(context.random),
    epoch: epochAbove(Math.max(request.epoch, known.epoch), context.random),
    child,
    number: (before?.number ?? 0) + 1,
  }
  out.push(emit('child-granted', { domain: state.domain, child: domain, of, line: granted.line, to: child }, 'warn'))
  const value = withGrant(grantsOf(state.register), granted)
  const change = { key: GRANTS_KEY, value, token: tokenOf(granted), then: [sendGrant(granted)] }
  return propose(announceSoon(state, context.now), change, context, out)
}

/** Its children shall hear of the grant before the one who was granted speaks. */
const announceSoon = (state: ElectionState, now: Millis): ElectionState =>
  state.role.kind === 'leader' ? { ...state, role: { ...state.role, announceAt: now } } : state

const tokenOf = ({ domain, number }: Granted): string => `grant ${domain} ${number}`

function sendGrant({ number: _number, ...granted }: Granted): ElectionEffect {
  const message: Grant = { kind: 'election/grant', ...granted }
  return { kind: 'send', to: granted.child, message }
}

/** A survivor asks, for as long as its domain has neither a leader nor a majority that agrees on one. */
export function plead(state: ElectionState, { now }: StepContext, out: ElectionEffect[]): void {
  const { role, register, domain, epoch, self, speaker } = state
  if (register === null || !isElector(state) || register.electors.length === 1) return
  const isTried = role.kind === 'pre-candidate'
  if (!isTried && now - state.leaderlessSince < state.timing.electionTimeoutMsMin) return
  const { index, term } = register
  const version = { epoch: register.epoch, term, index }
  const reached = isTried ? role.granted.size : 1
  out.push({
    kind: 'ask-parent',
    message: {
      kind: 'election/witness-request',
      domain,
      line: register.line,
      epoch,
      register: version,
      child: self,
      reached,
      speaker,
    },
  })
}

/** Where a message between a broken domain and its parent goes, null where nobody is known who could hear it. */
export function addressed(
  effect: Extract<ElectionEffect, { kind: 'ask-parent' | 'roll-call' }>,
  book: LeaderBookView,
): { readonly to: NodeId; readonly message: WitnessMessage } | null {
  if (effect.kind === 'roll-call') {
    const to = book.nodeOf(effect.domain)
    return to === null ? null : { to, message: { kind: 'election/roll-call', domain: effect.domain } }
  }
  const parent = parentOf(effect.message.domain)
  const known = parent === null ? null : book.leaderOf(parent)
  if (known === null) return null
  return { to: known.announcement.node, message: { ...effect.message, under: known.announcement.line } }
}

/**
 * What the leader of a line that is not the granted one has to hear: the parent's announcement that says so. Null where
 * the parent granted nothing that this node knows of, or just that line.
 */
export function objectionTo({ domain, line }: Announcement, book: LeaderBookView): Opened<Announcement> | null {
  const parent = parentOf(domain)
  const granted = book.grantedLineOf(domain)
  if (parent === null || granted === null || granted === line) return null
  return book.leaderOf(parent)?.opened ?? null
}

/** What such a message says to which domain's seat; null where its sender had no right to say it. */
export function heardAs(
  opened: Opened<WitnessMessage>,
  book: LeaderBookView,
): { readonly domain: DomainPath; readonly input: ElectionInput } | null {
  const { message, from } = opened
  const { domain } = message
  const parent = parentOf(domain)
  switch (message.kind) {
    case 'election/witness-request': {
      if (parent === null || !isGenuineRequest(opened as Opened<WitnessRequest>)) return null
      return { domain: parent, input: { kind: 'plea', request: message, known: book.lineOf(domain) } }
    }
    case 'election/grant': {
      const isFromParent = parent !== null && book.nodeOf(parent) === from
      return isFromParent ? { domain, input: { kind: 'granted', grant: message } } : null
    }
    case 'election/roll-call':
      return { domain, input: { kind: 'roll-call' } }
    default:
      return unreachable(message)
  }
}

// What this node says about itself. It alone may raise its incarnation, and it never speaks under one that could be
// forgotten in a crash: the disk first, then the word.

import type { NodeId } from '../kernel/ids.ts'
import { earliest, type Millis } from '../kernel/time.ts'
import {
  ADDRESS_CHARS_MAX,
  ADDRESSES_MAX,
  FITNESS_MS_PER_MEMBER,
  FITNESS_STEP_MIN,
  NAME_CHARS_MAX,
  REFUTE_GAP_MS_MAX,
  REFUTE_GAP_MS_MIN,
  REFUTE_QUIET_MS,
  STATEMENT_GAP_MS,
} from './constants.ts'
import { encodeIncarnation, incarnationKey, type MemberStatement, type SealedStatement } from './messages.ts'
import { admitStatement, ringsOf } from './roster.ts'
import { announce, become, type MembershipInput, type MembershipState, persistStatement, type Turn } from './state.ts'
import { healthAfter, isMajority } from './suspicion.ts'
import { watchersIn } from './watchers.ts'

/** Says the present statement under the next version. */
export function sayOwn(turn: Turn): void {
  const { own } = turn.state
  become(turn, { own: { ...own, version: own.version + 1 }, newsGapMs: null, saidAt: turn.context.now })
  turn.effects.push({ kind: 'author', message: statementOf(turn.state) })
}

/** Raises the incarnation above `above`: durable first, then said. */
export function raise(turn: Turn, above: number): void {
  const { own, domain } = turn.state
  const incarnation = Math.max(own.incarnation, above) + 1
  const raised = { ...own, incarnation, version: 0 }
  become(turn, { own: raised, isRaising: true, newsGapMs: null, saidAt: turn.context.now, refute: null })
  turn.effects.push({
    kind: 'persist',
    key: incarnationKey(domain),
    value: encodeIncarnation(incarnation),
    sync: true,
    then: [{ kind: 'author', message: statementOf(turn.state) }],
  })
}

/** Contradicts whoever says that this node is unreachable or dead in an incarnation up to `incarnation`. */
export function refute(turn: Turn, incarnation: number): void {
  const { own, phase, refutedAt, refuteGapMs } = turn.state
  if (phase !== 'running' || incarnation < own.incarnation) return
  const { now } = turn.context
  // A lone watcher without a path would make us refute for ever, so that may wait; a majority could kill, so that may
  // not.
  const gapMs = isDoubtedByMost(turn.state) ? REFUTE_GAP_MS_MIN : refuteGapMs
  const dueAt = refutedAt === null ? now : refutedAt + gapMs
  if (dueAt > now) {
    const earlier = turn.state.refute
    become(turn, {
      refute: { at: earliest(earlier?.at ?? null, dueAt) ?? dueAt, above: Math.max(earlier?.above ?? 0, incarnation) },
    })
    return
  }
  const isQuiet = refutedAt === null || now - refutedAt > REFUTE_QUIET_MS
  become(turn, {
    refutedAt: now,
    refuteGapMs: isQuiet ? REFUTE_GAP_MS_MIN : Math.min(refuteGapMs * 2, REFUTE_GAP_MS_MAX),
    health: healthAfter(turn.state.health, turn.state.timing, now, 1),
  })
  raise(turn, incarnation)
  const fields = { node: turn.state.self, incarnation: turn.state.own.incarnation }
  turn.effects.push({
    kind: 'emit',
    event: { name: 'suspicion-refuted', level: 'info', domain: turn.state.domain, fields },
  })
}

/** Takes in an own statement: one just sealed, or one of a former life that somebody still had. */
export function onOwnStatement(turn: Turn, opened: SealedStatement): boolean {
  const { own, self, table } = turn.state
  const { incarnation, version, state } = opened.message
  const isUnsaid =
    incarnation === own.incarnation && (version > own.version || (state === 'left' && own.state !== 'left'))
  if (incarnation > own.incarnation || isUnsaid) {
    // A former life knew more than this one's disk: a folder put back from a copy. Go above it.
    if (turn.state.phase === 'running') raise(turn, incarnation)
    return false
  }
  const admission = admitStatement(table, opened, turn.context.now, self)
  if (admission.kind !== 'admitted') return false
  if (incarnation === own.incarnation) become(turn, { isRaising: false })
  persistStatement(turn, self, opened.bytes)
  announce(turn, admission.entry, admission.previous?.state ?? null, 'said by this node itself')
  return true
}

export function onSelfChanged(turn: Turn, input: Extract<MembershipInput, { kind: 'self-changed' }>): void {
  const { own } = turn.state
  // Longer ones would be refused by everyone else.
  const name = input.name?.slice(0, NAME_CHARS_MAX) ?? own.name
  const fitting = input.addresses?.filter((address) => address.length <= ADDRESS_CHARS_MAX).slice(0, ADDRESSES_MAX)
  const addresses = fitting ?? own.addresses
  const isFitter = input.fitness !== undefined && Math.abs(input.fitness - own.fitness) >= FITNESS_STEP_MIN
  const fitness = isFitter ? Math.min(1, Math.max(0, input.fitness ?? 0)) : own.fitness
  const canLead = input.canLead ?? turn.state.canLead
  const isRelay = input.isRelay ?? turn.state.isRelay
  const isAbleAsBefore = canLead === turn.state.canLead && isRelay === turn.state.isRelay
  const isSame = isAbleAsBefore && name === own.name && isSameList(addresses, own.addresses)
  if (!isFitter && isSame) return
  const gapMs = isSame ? fitnessGapMs(turn.state) : STATEMENT_GAP_MS
  const newsGapMs = Math.min(gapMs, turn.state.newsGapMs ?? gapMs)
  become(turn, { own: { ...own, name, addresses, fitness }, canLead, isRelay, newsGapMs })
  sayWhatIsDue(turn)
}

const fitnessGapMs = ({ table, timing }: MembershipState): Millis =>
  Math.max(timing.fitnessGapMs, table.entries.size * FITNESS_MS_PER_MEMBER)

/** Says what changed, and refutes what had to wait, once each is due. */
export function sayWhatIsDue(turn: Turn): void {
  const { now } = turn.context
  const { refute: waiting } = turn.state
  if (waiting !== null && waiting.at <= now) {
    become(turn, { refute: null })
    refute(turn, waiting.above)
  }
  const newsAt = newsDueAt(turn.state)
  if (newsAt !== null && newsAt <= now) sayOwn(turn)
}

/**
 * When the changes gathered may be said; null where there are none or an incarnation is still on its way to the disk.
 */
export function newsDueAt(state: MembershipState): Millis | null {
  if (state.phase !== 'running' || state.newsGapMs === null || state.isRaising) return null
  return state.saidAt === null ? 0 : state.saidAt + state.newsGapMs
}

export function onLeave(turn: Turn): void {
  if (turn.state.phase === 'left') return
  const { own } = turn.state
  become(turn, {
    phase: 'left',
    own: { ...own, state: 'left' },
    watches: new Map(),
    syncAt: null,
    handOnAt: null,
    refute: null,
  })
  sayOwn(turn)
}

function statementOf(state: MembershipState): MemberStatement {
  const { self, domain, canLead, isRelay, own } = state
  return { kind: 'membership/member', domain, node: self, ...own, canLead, isRelay }
}

/** Whether most of those who watch this node say that it cannot be reached as it is now. */
function isDoubtedByMost(state: MembershipState): boolean {
  const { self, own, table } = state
  const watchers = watchersIn(ringsOf(table), self)
  const reports = table.reports.get(self)
  const doubts = (watcher: NodeId): boolean => {
    const report = reports?.get(watcher)?.message
    return report?.verdict === 'unreachable' && report.incarnation >= own.incarnation
  }
  return isMajority(watchers.filter(doubts).length, watchers.length)
}

const isSameList = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((item, index) => item === b[index])

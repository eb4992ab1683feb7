// Moving an instance: the placement names the child that shall run it and the one that goes on until it does. All there
// is to know of a move stands in that record, so that the next leader finishes it or takes it back like its own.

import { type ChildId, type InstanceKey, isDomain, isWithin, parentOf } from '../overlay/kernel/ids.ts'
import type { PlacementRecord } from '../services-registry/record.ts'
import { finishMove, goBack, noteFailure } from './commitment.ts'
import { MOVE_MS_MAX, RETRY_GAP_MS, SWITCH_MS } from './constants.ts'
import { isLost, lastWordOf, placementOf, reportOf, type Verdict } from './desire.ts'
import { reportUp } from './negotiation.ts'
import {
  beginMove,
  change,
  letGo,
  type MoveProgress,
  type SchedulerState,
  show,
  type Turn,
  type Work,
} from './scheduler-state.ts'
import { findSpec } from './versions.ts'

/** The child of this domain that a move leaves; null when there is none, or only one of another domain. */
export function leftBy(state: SchedulerState, placed: PlacementRecord | null): ChildId | null {
  const previous = placed?.previous ?? null
  if (previous === null) return null
  return isDomain(previous) && !isWithin(previous, state.domain) ? null : previous
}

/**
 * Takes a move one step on. False when there is none, or when what is due now is to find another place, as for any
 * instance.
 */
export function followMove(
  turn: Turn,
  key: InstanceKey,
  placed: PlacementRecord | null,
  verdict: Verdict,
  wantsNewer: boolean,
): boolean {
  if (placed?.previous === undefined) {
    forgetMove(turn, key)
    return false
  }
  const { state, context } = turn
  const left = leftBy(state, placed)
  const mayGoBack = left !== null && stillRuns(turn, placed, left)
  const move = noteMove(turn, key, placed)
  if (verdict.kind === 'absent') {
    if (mayGoBack) goBack(turn, key, placed, left, verdict.reason)
    return mayGoBack
  }
  if (verdict.kind === 'replace') {
    if (!mayGoBack || wantsNewer) return false
    if (verdict.failed !== null) noteFailure(turn, key, verdict.failed.child, verdict.failed.detail)
    goBack(turn, key, placed, left, verdict.failed?.detail ?? verdict.why)
    return true
  }
  if (verdict.kind === 'unconfirmed') return false
  calm(turn, key)
  if (move.runsSince !== null) {
    if (move.runsSince + SWITCH_MS <= context.now) finishMove(turn, key, placed)
    return true
  }
  if (move.since + MOVE_MS_MAX > context.now) return true
  if (mayGoBack && placed.child !== null) {
    noteFailure(turn, key, placed.child, 'it did not run there in time')
    goBack(turn, key, placed, left, 'it did not run there in time')
  } else finishMove(turn, key, placed)
  return true
}

/** It is placed and reported: nothing is under way but the wait for it to run. */
function calm(turn: Turn, key: InstanceKey): void {
  const work = turn.state.work.get(key)
  if (work === undefined) return
  const { phase, order } = work
  if (order !== null && (phase.kind === 'asking' || phase.kind === 'held')) return
  letGo(turn, work)
  show(turn, key, null)
  change(turn, key, work, { phase: { kind: 'idle' }, rounds: 0, stuckSince: null })
}

/** What is known of a move: a new leader counts from when it first looks. */
function noteMove(turn: Turn, key: InstanceKey, placed: PlacementRecord): MoveProgress {
  const { state, context } = turn
  const work = state.work.get(key)
  const before = work?.move ?? beginMove(context.now)
  const isDomainPlace = placed.child === null || isDomain(placed.child)
  const runs = isDomainPlace ? before.runsSince !== null : answers(state, placed, work)
  const runsSince = runs ? (before.runsSince ?? context.now) : null
  const dueAt = runsSince === null ? before.since + MOVE_MS_MAX : runsSince + SWITCH_MS
  const lookAt = dueAt > context.now ? dueAt : context.now + RETRY_GAP_MS
  const move = { since: before.since, runsSince, lookAt }
  change(turn, key, placed, { move })
  return move
}

export function forgetMove(turn: Turn, key: InstanceKey): void {
  const work = turn.state.work.get(key)
  if (work !== undefined && work.move !== null) change(turn, key, work, { move: null })
}

/**
 * Nobody wants it here: no move is under way and no next try is due, whatever the parent's leader asks about it
 * meanwhile.
 */
export function standDown(turn: Turn, key: InstanceKey): void {
  forgetMove(turn, key)
  const work = turn.state.work.get(key)
  if (work?.phase.kind === 'pending' && work.order !== null) change(turn, key, work, { phase: { kind: 'idle' } })
}

/** Whether the node that it is placed on says that it runs. */
function answers(state: SchedulerState, placed: PlacementRecord, work: Work | undefined): boolean {
  if (placed.child === null || isDomain(placed.child)) return false
  const report = reportOf(state, placed, placed.child, work)
  const healthcheck = findSpec(state, placed.service, placed.specClock)?.spec.healthcheck ?? null
  return report?.live === true && report.state === 'running' && (healthcheck === null || report.healthy === true)
}

/** Whether the child that it leaves runs it still, as far as is known. */
function stillRuns({ state, children, context }: Turn, { service, number }: PlacementRecord, left: ChildId): boolean {
  if (isLost(state, left, children, context.now)) return false
  return isDomain(left) || lastWordOf(state, service, number, left)?.live !== false
}

/** The child that a move under way leaves goes on, also when another place has to be found. */
export function goingOn({ state, children, context }: Turn, key: InstanceKey): ChildId | null {
  const left = leftBy(state, placementOf(state, key))
  return left === null || isLost(state, left, children, context.now) ? null : left
}

/** The child's leader says that what was moved there runs. */
export function onRunning(turn: Turn, key: InstanceKey, placed: PlacementRecord): InstanceKey | null {
  if (placed.previous === undefined) return null
  const { now } = turn.context
  const move = turn.state.work.get(key)?.move ?? beginMove(now)
  change(turn, key, placed, { move: { ...move, runsSince: move.runsSince ?? now } })
  return key
}

/** Tells the parent's leader, who moves it here, that it runs; said again with each look until it has heard. */
export function announce(turn: Turn, key: InstanceKey, placed: PlacementRecord | null): void {
  const { state } = turn
  if (placed === null || placed.child === null || placed.previous !== undefined || parentOf(state.domain) === null)
    return
  const order = state.view.parentStore()?.placement(placed.service, placed.number)?.message ?? null
  if (order?.child !== state.domain || order.previous === undefined) return
  const runs = isDomain(placed.child) || answers(state, placed, state.work.get(key))
  if (runs) reportUp(turn, key, 'running', `it runs on ${placed.child}`)
}

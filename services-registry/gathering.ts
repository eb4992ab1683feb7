// Records on their way out by gossip. A record that comes alone goes at once; of many that come together the first
// goes at once and the others with each other, so that a thousand instances cost messages by the time they take and not
// by their number. Each stays in the envelope of its owner; only the way is shared.

import { unreachable } from '../overlay/kernel/assert.ts'
import type { DomainPath } from '../overlay/kernel/ids.ts'
import type { StepContext, Transition } from '../overlay/kernel/machine.ts'
import { earlier, type Millis } from '../overlay/kernel/time.ts'
import { GOSSIP_BREATH_MS, GOSSIP_BURST, GOSSIP_GATHER_MS, PIECE_BYTES_MAX } from './constants.ts'
import { piecesOf } from './pieces.ts'
import type { SealedRecord } from './record.ts'
import { compareRecords, slotOf } from './version.ts'

export interface GatheringState {
  /** Of each domain's topic; updated in place. */
  readonly outgoing: Map<DomainPath, Outgoing>
}

interface Outgoing {
  /** By slot: a later version takes the place of an earlier one that nobody has heard of yet. */
  readonly waiting: ReadonlyMap<string, SealedRecord>
  /** When what waits goes; null while nothing does. */
  readonly dueAt: Millis | null
  /** Messages that may go at once, as they stood at `sentAt`. */
  readonly allowed: number
  readonly sentAt: Millis
}

export type GatheringInput =
  | { readonly kind: 'record'; readonly domain: DomainPath; readonly opened: SealedRecord }
  | { readonly kind: 'wake' }

/** Publish these in one message: of one signer each, and at most PIECE_BYTES_MAX. */
export interface PublishTogether {
  readonly kind: 'publish-together'
  readonly domain: DomainPath
  readonly records: readonly SealedRecord[]
}

type GatheringStep = Transition<GatheringState, PublishTogether>

export const createGathering = (): GatheringState => ({ outgoing: new Map() })

export function step(state: GatheringState, input: GatheringInput, context: StepContext): GatheringStep {
  switch (input.kind) {
    case 'record':
      return onRecord(state, input.domain, input.opened, context)
    case 'wake':
      return onWake(state, context)
    default:
      return unreachable(input)
  }
}

export function wakeAt(state: GatheringState): Millis | null {
  let at: Millis | null = null
  for (const { dueAt } of state.outgoing.values()) at = earlier(at, dueAt)
  return at
}

function onRecord(
  state: GatheringState,
  domain: DomainPath,
  record: SealedRecord,
  { now }: StepContext,
): GatheringStep {
  const known = state.outgoing.get(domain) ?? NOTHING
  const slot = slotOf(record)
  const before = known.waiting.get(slot)
  if (before !== undefined && compareRecords(record, before) <= 0) return { state, effects: [] }
  const waiting = new Map(known.waiting).set(slot, record)
  const dueAt = known.dueAt ?? nextAt(known, now)
  const next = { ...known, waiting, dueAt }
  state.outgoing.set(domain, next)
  const isDue = dueAt <= now || bytesOf(waiting) >= PIECE_BYTES_MAX
  return { state, effects: isDue ? send(state, domain, next, now) : [] }
}

function onWake(state: GatheringState, { now }: StepContext): GatheringStep {
  const effects: PublishTogether[] = []
  for (const [domain, one] of state.outgoing) {
    if (one.dueAt !== null && one.dueAt <= now) effects.push(...send(state, domain, one, now))
  }
  return { state, effects }
}

const NOTHING: Outgoing = { waiting: new Map(), dueAt: null, allowed: GOSSIP_BURST, sentAt: Number.NEGATIVE_INFINITY }

/** When the next message may go: what was written in one go comes in one breath, and is worth waiting for. */
function nextAt({ allowed, sentAt }: Outgoing, now: Millis): Millis {
  const breathed = sentAt + GOSSIP_BREATH_MS
  const refilled = allowed >= 1 ? breathed : sentAt + (1 - allowed) * GOSSIP_GATHER_MS
  return Math.max(now, breathed, refilled)
}

function bytesOf(records: ReadonlyMap<string, SealedRecord>): number {
  let sum = 0
  for (const { bytes } of records.values()) sum += bytes.length
  return sum
}

function send(state: GatheringState, domain: DomainPath, one: Outgoing, now: Millis): readonly PublishTogether[] {
  const refilled = Math.min(GOSSIP_BURST, one.allowed + (now - one.sentAt) / GOSSIP_GATHER_MS)
  state.outgoing.set(domain, { ...NOTHING, allowed: Math.max(0, refilled - 1), sentAt: now })
  return piecesOf([...one.waiting.values()]).map(({ records }) => ({ kind: 'publish-together', domain, records }))
}

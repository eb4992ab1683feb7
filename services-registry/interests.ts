// Who asked for which service lately, and so wants to hear when its answer changes. Longest ago first, so what has
// expired and what has to make room are always at the front.

import type { NodeId, ServiceId } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { INTEREST_MS, INTERESTS_MAX, INTERESTS_PER_ASKER_MAX } from './constants.ts'
import type { Asker } from './visibility.ts'

export interface Interest {
  readonly asker: Asker
  readonly service: ServiceId
  /** The asker's number for it, which every later answer bears. */
  readonly requestId: number
  readonly until: Millis
}

/** Owned by the lookup machine and updated in place. */
export interface Interests {
  readonly inOrder: Map<string, Interest>
  readonly byService: Map<ServiceId, Map<NodeId, Interest>>
  readonly countByAsker: Map<NodeId, number>
}

export const createInterests = (): Interests => ({
  inOrder: new Map(),
  byService: new Map(),
  countByAsker: new Map(),
})

/** Notes (or renews) an interest. At an asker's limit nothing is noted: it will ask again when its answer expires. */
export function noteInterest(
  interests: Interests,
  asked: Pick<Interest, 'asker' | 'service' | 'requestId'>,
  now: Millis,
): void {
  forgetExpired(interests, now)
  const held = interests.byService.get(asked.service)?.get(asked.asker.node)
  if (held !== undefined) forgetInterest(interests, held)
  if ((interests.countByAsker.get(asked.asker.node) ?? 0) >= INTERESTS_PER_ASKER_MAX) return
  const [oldest] = interests.inOrder.values()
  if (interests.inOrder.size >= INTERESTS_MAX && oldest !== undefined) forgetInterest(interests, oldest)
  const interest: Interest = { ...asked, until: now + INTEREST_MS }
  const ofService = interests.byService.get(asked.service) ?? new Map<NodeId, Interest>()
  interests.byService.set(asked.service, ofService.set(asked.asker.node, interest))
  interests.inOrder.set(nameOf(interest), interest)
  interests.countByAsker.set(asked.asker.node, (interests.countByAsker.get(asked.asker.node) ?? 0) + 1)
}

export function interestsIn(interests: Interests, service: ServiceId, now: Millis): readonly Interest[] {
  forgetExpired(interests, now)
  return [...(interests.byService.get(service)?.values() ?? [])]
}

function forgetExpired(interests: Interests, now: Millis): void {
  for (const interest of interests.inOrder.values()) {
    if (interest.until > now) return
    forgetInterest(interests, interest)
  }
}

function forgetInterest(interests: Interests, interest: Interest): void {
  interests.inOrder.delete(nameOf(interest))
  const ofService = interests.byService.get(interest.service)
  ofService?.delete(interest.asker.node)
  if (ofService?.size === 0) interests.byService.delete(interest.service)
  const count = (interests.countByAsker.get(interest.asker.node) ?? 1) - 1
  if (count > 0) interests.countByAsker.set(interest.asker.node, count)
  else interests.countByAsker.delete(interest.asker.node)
}

const nameOf = (interest: Pick<Interest, 'asker' | 'service'>): string => `${interest.service} ${interest.asker.node}`

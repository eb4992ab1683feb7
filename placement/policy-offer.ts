// What a device tells of its owner's policy, so that a leader seldom asks in vain: the most that it gives to other
// operators under any of its rules. It may promise too much, never too little; the worker that is asked knows better.

import type { OperatorId } from '../overlay/kernel/ids.ts'
import { flag, type Infer, list, literal, object, text } from '../overlay/wire/schema.ts'
import { anyMatches, type Grant, OTHERS_DEFAULT, type PolicyFile } from './policy.ts'
import { isNow } from './policy-decision.ts'
import { type Reason, refusal } from './refusal.ts'
import type { ServiceSpec } from './spec.ts'
import type { ChildNews } from './summary.ts'

const FEATURES = ['privileged', 'host-paths', 'devices'] as const
const RUNTIMES_MAX = 64

export const othersOfferSchema = object({
  /** Whether any work of others is taken now. */
  open: flag,
  /** Patterns of runtimes. */
  runtimes: list(text(128), RUNTIMES_MAX),
  features: list(literal(...FEATURES), FEATURES.length),
})
export type OthersOffer = Infer<typeof othersOfferSchema>

/** What a device gives to the work of others, at most. */
export function othersOfferOf(
  policy: PolicyFile,
  ground: { readonly owner: OperatorId; readonly wall: number; readonly power: 'mains' | 'battery' | null },
): OthersOffer {
  const base: Grant = { ...OTHERS_DEFAULT, ...policy.others }
  const rules = (policy.rules ?? []).filter(({ operators }) => operators?.every((one) => one === ground.owner) !== true)
  const { hold } = policy
  const isHeld = hold !== undefined && (hold.until === undefined || Date.parse(hold.until) > ground.wall)
  const grants = [base, ...rules.map((rule) => ({ ...base, ...rule }))].filter(
    (grant) => !isHeld && grant.place !== false && isNow(policy, grant, ground),
  )
  const features = FEATURES.filter((feature) => grants.some((grant) => FEATURE_IN[feature](grant)))
  const runtimes = [...new Set(grants.flatMap((grant) => grant.runtimes ?? ['*']))].slice(0, RUNTIMES_MAX)
  return { open: grants.length > 0, runtimes, features }
}

const FEATURE_IN: Readonly<Record<(typeof FEATURES)[number], (grant: Grant) => boolean>> = {
  privileged: (grant) => grant.privileged === true,
  'host-paths': (grant) => (grant.host_paths ?? []).length > 0,
  devices: (grant) => (grant.devices ?? []).length > 0,
}

/** The most of several offers. */
export const foldOffers = (offers: readonly OthersOffer[]): OthersOffer => ({
  open: offers.some(({ open }) => open),
  runtimes: [...new Set(offers.flatMap(({ runtimes }) => runtimes))].sort().slice(0, RUNTIMES_MAX),
  features: FEATURES.filter((feature) => offers.some(({ features }) => features.includes(feature))),
})

/** Why nobody who makes such an offer takes a service of another operator; null where somebody may. */
export function whyNotOffered(offer: OthersOffer, spec: Pick<ServiceSpec, 'runtime' | 'privileged'>): Reason | null {
  if (!offer.open) return refusal('policy', 'takes no work of other operators')
  if (!anyMatches(offer.runtimes, spec.runtime)) {
    return refusal('policy', `runs by ${spec.runtime}; allowed is ${offer.runtimes.join(', ') || 'nothing'}`)
  }
  return spec.privileged && !offer.features.includes('privileged') ? refusal('policy', 'is privileged') : null
}

/** Whose devices stand behind a child, as far as is known. */
export const ownersOf = (news: ChildNews): readonly OperatorId[] =>
  news.kind === 'node' ? (news.operator === undefined ? [] : [news.operator]) : (news.aggregate.owners ?? [])

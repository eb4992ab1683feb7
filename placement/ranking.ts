// The best child for an instance, without judging all of them again: what was judged of a child for a demand is kept
// until something that it was judged by is different. Between two replicas of a service that is one child of a
// thousand. The outcome is planInstance's, always; whatever cannot be kept is left to that.

import type { ChildId } from '../overlay/kernel/ids.ts'
import { splitInstanceKey } from '../overlay/kernel/ids.ts'
import { RANKINGS_MAX } from './constants.ts'
import { demandKey } from './demand.ts'
import type { InventoryRow } from './inventory.ts'
import { isMeasured } from './nearness.ts'
import type { Resources } from './need.ts'
import { candidateFor, clusterLabels, isBefore, type PlanInput, planInstance, type RankedChild } from './plan.ts'
import { refusedBy, type SchedulerFunctions } from './plugin.ts'
import type { Reason } from './refusal.ts'
import type { ChildView } from './view.ts'

/** Judgements by demand, the one that was used last at the end. A scheduler has one table, for one domain and plugin. */
export type Rankings = Map<string, Map<ChildId, Judged>>

/** A judgement and all that it was made by. */
interface Judged {
  readonly alive: boolean
  readonly canWork: boolean
  readonly row: InventoryRow | undefined
  readonly promised: Resources | undefined
  readonly siblings: number
  readonly verdict: Verdict
}

type Verdict =
  | { readonly kind: 'fits'; readonly score: number }
  | { readonly kind: 'out'; readonly by: 'rule' | 'scheduler'; readonly reason: Reason }

export interface Choice {
  readonly best: RankedChild | null
  /** Why each child cannot; empty while one can. */
  readonly ruledOut: readonly Reason[]
}

/** The child to ask first. */
export function choosePlace(input: PlanInput, rankings: Rankings): Choice {
  const { each } = input.plugin
  // A plugin that looks at all candidates together, distances to what moves, and a word of a person's: never the same.
  if (each === undefined || isMeasured(input.spec) || input.to !== null) {
    const { ranked, ruledOut } = planInstance(input)
    const [best = null] = ranked
    return { best, ruledOut: best === null ? ruledOut : [] }
  }
  const labels = clusterLabels(input.spec, input.inventory)
  const judge = (view: ChildView): Verdict => verdictOn(input, each, view, labels)
  const kept = judgedFor(rankings, `${demandKey(input.spec)} ${labels.join()}`, input.children.length)
  const verdictFor = remembering(input, kept, judge)
  let best: { readonly child: ChildId; readonly score: number } | null = null
  let view: ChildView | null = null
  for (const one of input.children) {
    if (input.tried.has(one.child)) continue
    const verdict = verdictFor(one)
    if (verdict.kind === 'out') continue
    const ranked = { child: one.child, score: verdict.score }
    if (best !== null && !isBefore(ranked, best, input.current)) continue
    best = ranked
    view = one
  }
  if (best === null || view === null) return { best: null, ruledOut: reasonsOf(input, verdictFor) }
  const candidate = candidateFor(input, view, labels)
  const reason = 'code' in candidate ? '' : each.reason(input.spec, candidate)
  return { best: { ...best, reason }, ruledOut: [] }
}

/** Those of the rules first, as planInstance has them. */
function reasonsOf(input: PlanInput, verdictFor: (view: ChildView) => Verdict): readonly Reason[] {
  const verdicts = input.children.filter(({ child }) => !input.tried.has(child)).map(verdictFor)
  const by = (who: 'rule' | 'scheduler'): readonly Reason[] =>
    verdicts.flatMap((verdict) => (verdict.kind === 'out' && verdict.by === who ? [verdict.reason] : []))
  return [...by('rule'), ...by('scheduler')]
}

/** Judges by what is kept; a child that is something else to this instance than to others, by itself. */
function remembering(
  input: PlanInput,
  kept: Map<ChildId, Judged>,
  judge: (view: ChildView) => Verdict,
): (view: ChildView) => Verdict {
  const { ledger, inventory, key } = input
  const siblings = ledger.siblings.get(splitInstanceKey(key).service)
  const apart = new Set<ChildId | null>([input.current, input.leaving, ...input.avoid.keys(), ...input.avoidNodes])
  for (const entries of [ledger.placed, ledger.leaving, ledger.asked]) apart.add(entries.get(key)?.child ?? null)
  return (view) => {
    const { child, alive, canWork } = view
    if (apart.has(child)) return judge(view)
    const before = kept.get(child)
    const row = inventory.get(child)
    const promised = ledger.sums.get(child)
    const beside = siblings?.get(child) ?? 0
    const isSame =
      before !== undefined &&
      before.row === row &&
      before.promised === promised &&
      before.siblings === beside &&
      before.alive === alive &&
      before.canWork === canWork
    if (isSame) return before.verdict
    const verdict = judge(view)
    kept.set(child, { alive, canWork, row, promised, siblings: beside, verdict })
    return verdict
  }
}

function verdictOn(input: PlanInput, each: SchedulerFunctions, view: ChildView, labels: readonly string[]): Verdict {
  const candidate = candidateFor(input, view, labels)
  if ('code' in candidate) return { kind: 'out', by: 'rule', reason: candidate }
  const refused = refusedBy(each, input.spec, candidate)
  if (refused !== null) return { kind: 'out', by: 'scheduler', reason: refused }
  return { kind: 'fits', score: Math.min(1, Math.max(0, each.value(input.spec, candidate))) }
}

/** What is kept for a demand, which becomes the one that was used last; the one that was not used for longest goes. */
function judgedFor(rankings: Rankings, demand: string, children: number): Map<ChildId, Judged> {
  const kept = rankings.get(demand) ?? new Map<ChildId, Judged>()
  // Most of them are of children that are gone for good.
  if (kept.size > 2 * children) kept.clear()
  rankings.delete(demand)
  rankings.set(demand, kept)
  const [oldest] = rankings.keys()
  if (rankings.size > RANKINGS_MAX && oldest !== undefined) rankings.delete(oldest)
  return kept
}

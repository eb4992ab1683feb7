// The best child for an instance, without judging all of them again: what was judged of a child for a demand is kept
// until something that it was judged by is different. Between two replicas of a service that is one child of a
// thousand. The outcome is planInstance's, always; whatever cannot be kept is left to that.

import { type ChildId, instanceKey, type ServiceId, splitInstanceKey } from '../overlay/kernel/ids.ts'
import { RANKINGS_MAX } from './constants.ts'
import { demandKey } from './demand.ts'
import type { InventoryRow } from './inventory.ts'
import { isMeasured } from './nearness.ts'
import type { Resources } from './need.ts'
import { candidateFor, clusterLabels, isBefore, type PlanInput, planInstance, type RankedChild } from './plan.ts'
import { refusedBy, type SchedulerFunctions } from './plugin.ts'
import type { Reason } from './refusal.ts'
import type { ChildView } from './view.ts'

/** By demand, the one that was used last at the end. A scheduler has one table, for its domain and plugin. */
export type Rankings = Map<string, Ranking>

interface Ranking {
  readonly judged: Map<ChildId, Judged>
  /** What was judged in this step, which changes only with what this step promises; null before. */
  current: Current | null
}

interface Current {
  readonly children: readonly ChildView[]
  readonly service: ServiceId
  /** In the order of the children. */
  readonly verdicts: Verdict[]
  readonly indexOf: ReadonlyMap<ChildId, number>
  /** How much of the ledger's list of touched children is in it. */
  touched: number
}

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
  const judgedBy = `${demandKey(input.spec)} ${input.operator ?? ''} ${labels.join()}`
  const ranking = rankingFor(rankings, judgedBy, input.children.length)
  const anyone = forAnyone(input)
  const { verdicts, indexOf } = upToDate(anyone, ranking, (view) => verdictOn(anyone, each, view, labels))
  const own = new Map<number, Verdict | null>()
  for (const child of childrenApart(input)) {
    const index = indexOf.get(child)
    const view = index === undefined ? undefined : input.children[index]
    if (index === undefined || view === undefined) continue
    own.set(index, input.tried.has(child) ? null : verdictOn(input, each, view, labels))
  }
  const best = bestOf(input, verdicts, own)
  if (best === null) return { best: null, ruledOut: reasonsOf(verdicts, own) }
  const view = input.children[indexOf.get(best.child) ?? -1]
  const candidate = view === undefined ? null : candidateFor(input, view, labels)
  const reason = candidate === null || 'code' in candidate ? '' : each.reason(input.spec, candidate)
  return { best: { ...best, reason }, ruledOut: [] }
}

/** An instance of the service that has no place, no past, and is asked for nowhere. */
const forAnyone = (input: PlanInput): PlanInput => ({
  ...input,
  key: instanceKey(splitInstanceKey(input.key).service, Number.MAX_SAFE_INTEGER),
  current: null,
  leaving: null,
  tried: new Set(),
  avoid: new Map(),
  avoidNodes: [],
})

/** Children that are something else to this instance than to others, or that it has asked already. */
function childrenApart({ ledger, key, current, leaving, avoid, avoidNodes, tried }: PlanInput): ReadonlySet<ChildId> {
  const children = new Set<ChildId>([...avoid.keys(), ...avoidNodes, ...tried])
  const places = [ledger.placed, ledger.leaving, ledger.asked].map((entries) => entries.get(key)?.child)
  for (const child of [current, leaving, ...places]) if (child !== null && child !== undefined) children.add(child)
  return children
}

/** `own` has the verdicts that hold for this instance alone, by index; null for a child that is not asked again. */
function bestOf(
  { children, current }: PlanInput,
  verdicts: readonly Verdict[],
  own: ReadonlyMap<number, Verdict | null>,
): Omit<RankedChild, 'reason'> | null {
  let best: { readonly child: ChildId; readonly score: number } | null = null
  const consider = (index: number, verdict: Verdict | null | undefined): void => {
    const child = children[index]?.child
    if (child === undefined || verdict?.kind !== 'fits') return
    if (best === null || isBefore({ child, score: verdict.score }, best, current))
      best = { child, score: verdict.score }
  }
  for (let index = 0, least = 0; index < verdicts.length; index++) {
    const verdict = verdicts[index]
    if (verdict?.kind !== 'fits' || verdict.score < least || own.has(index)) continue
    consider(index, verdict)
    least = verdict.score
  }
  for (const [index, verdict] of own) consider(index, verdict)
  return best
}

/** Those of the rules first, as planInstance has them. */
function reasonsOf(verdicts: readonly Verdict[], own: ReadonlyMap<number, Verdict | null>): readonly Reason[] {
  const all = verdicts.map((verdict, index) => (own.has(index) ? own.get(index) : verdict))
  const by = (who: 'rule' | 'scheduler'): readonly Reason[] =>
    all.flatMap((verdict) => (verdict?.kind === 'out' && verdict.by === who ? [verdict.reason] : []))
  return [...by('rule'), ...by('scheduler')]
}

/** All verdicts by what is known now: in the step that looked at all children, only those of children touched since. */
function upToDate(input: PlanInput, ranking: Ranking, judge: (view: ChildView) => Verdict): Current {
  const { ledger, children, key } = input
  const { service } = splitInstanceKey(key)
  const verdictFor = remembering(input, ranking, service, judge)
  const before = ranking.current
  const isSameStep = before?.children === children && before.service === service
  if (isSameStep && before.touched <= ledger.touched.length) {
    for (const child of ledger.touched.slice(before.touched)) {
      const index = before.indexOf.get(child)
      const view = index === undefined ? undefined : children[index]
      if (index !== undefined && view !== undefined) before.verdicts[index] = verdictFor(view)
    }
    before.touched = ledger.touched.length
    return before
  }
  const indexOf = before?.children === children ? before.indexOf : indexed(children)
  ranking.current = { children, service, indexOf, verdicts: children.map(verdictFor), touched: ledger.touched.length }
  return ranking.current
}

const indexed = (children: readonly ChildView[]): ReadonlyMap<ChildId, number> =>
  new Map(children.map(({ child }, index) => [child, index]))

/** Judges as for an instance that has no place yet, by what is kept where that still holds. */
function remembering(
  { ledger, inventory }: PlanInput,
  { judged }: Ranking,
  service: ServiceId,
  judge: (view: ChildView) => Verdict,
): (view: ChildView) => Verdict {
  const besides = ledger.siblings.get(service)
  return (view) => {
    const { child, alive, canWork } = view
    const before = judged.get(child)
    const row = inventory.get(child)
    const promised = ledger.sums.get(child)
    const siblings = besides?.get(child) ?? 0
    const isSame =
      before !== undefined &&
      before.row === row &&
      before.promised === promised &&
      before.siblings === siblings &&
      before.alive === alive &&
      before.canWork === canWork
    if (isSame) return before.verdict
    const verdict = judge(view)
    judged.set(child, { alive, canWork, row, promised, siblings, verdict })
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
function rankingFor(rankings: Rankings, demand: string, children: number): Ranking {
  const ranking = rankings.get(demand) ?? { judged: new Map(), current: null }
  // Most of them are of children that are gone for good.
  if (ranking.judged.size > 2 * children) ranking.judged.clear()
  rankings.delete(demand)
  rankings.set(demand, ranking)
  const [oldest] = rankings.keys()
  if (rankings.size > RANKINGS_MAX && oldest !== undefined) rankings.delete(oldest)
  return ranking
}

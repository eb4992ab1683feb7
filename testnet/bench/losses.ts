// A leader is lost in three ways: killed (its kernel closes its connections), frozen (nothing is said at all), and
// asked to end (it hands over first). How long until everybody knows the next one.

import type { Seen } from '../local/watch.ts'
import { type Figure, loadNow, median, medianAndWorst, worstOf } from './figures.ts'
import { CLUSTER, DOMAINS, knownAt, type Leadership, type Stage, whole } from './stage.ts'

/** After this long a leader that was lost counts as never replaced: the run is missed. */
const REPLACED_MS_MAX = 30_000

/** Milliseconds, of the cluster and of the root. */
type Times = Readonly<Record<string, number>>

export interface LossOptions {
  readonly runs: number
  readonly verbose: boolean
}

/** SIGKILL: median at most 150 ms, the worst at most 500 ms (issue 3). */
export async function loseByKill(stage: Stage, { runs, verbose }: LossOptions): Promise<readonly Figure[]> {
  const all: Times[] = []
  const breakdowns: Times[] = []
  for (let run = 1; run <= runs; run++) {
    const before = await whole(stage)
    const startedMs = begin(stage)
    const gone = stage.fleet.cutDown(before.leader)
    const times = await knownToOthers(stage, before, startedMs)
    await gone
    all.push(times)
    const steps = stepsOf(stage.watch.since(startedMs), startedMs)
    breakdowns.push(steps)
    tell(`killed ${run}`, times, verbose ? steps : null)
    await stage.watch.follow(stage.fleet.restart(before.leader))
  }
  if (verbose) tellSteps('killed, median of each step', breakdowns)
  return DOMAINS.flatMap((domain) =>
    medianAndWorst(`leader of ${domain} killed -> the next known to all`, column(all, domain), {
      median: 150,
      worst: 500,
    }),
  )
}

/** SIGSTOP: median at most 2.5 s, the worst at most 4 s; woken up, it follows and never leads in its old term. */
export async function loseByFreeze(stage: Stage, { runs, verbose }: LossOptions): Promise<readonly Figure[]> {
  const all: Times[] = []
  const breakdowns: Times[] = []
  let ledAgain = 0
  for (let run = 1; run <= runs; run++) {
    const before = await whole(stage)
    const startedMs = begin(stage)
    before.leader.process.kill('SIGSTOP')
    const times = await knownToOthers(stage, before, startedMs).finally(() => before.leader.process.kill('SIGCONT'))
    const wokenMs = Date.now()
    all.push(times)
    const steps = stepsOf(stage.watch.since(startedMs), startedMs)
    breakdowns.push(steps)
    await whole(stage)
    const stale = stage.watch.since(startedMs).filter(({ name, teller, domain, fields }) => {
      const isOld = Number(fields.term) <= (before.terms[domain ?? ''] ?? Number.NaN)
      return name === 'leadership-begun' && teller === before.leader.name && isOld
    })
    ledAgain += stale.length
    const ended = stage.watch.since(wokenMs).find((one) => one.name === 'leadership-ended' && one.domain === CLUSTER)
    const endedMs = ended === undefined ? 'before' : `${ended.atMs - wokenMs} ms after`
    tell(`frozen ${run}`, times, verbose ? steps : null, `; it stepped down ${endedMs} it was woken`)
  }
  if (verbose) tellSteps('frozen, median of each step', breakdowns)
  return [
    ...DOMAINS.flatMap((domain) =>
      medianAndWorst(`leader of ${domain} frozen -> the next known to all`, column(all, domain), {
        median: 2_500,
        worst: 4_000,
      }),
    ),
    { what: 'frozen leaders that led again in a term of before', value: ledAgain, target: 0, unit: 'times' },
  ]
}

/** SIGTERM: nobody leads for at most 50 ms, by the words of the one that ends and the one that begins. */
export async function loseByTerm(stage: Stage, { runs, verbose }: LossOptions): Promise<readonly Figure[]> {
  const gaps: Times[] = []
  for (let run = 1; run <= runs; run++) {
    const before = await whole(stage)
    const startedMs = begin(stage)
    const gone = stage.fleet.terminate(before.leader)
    const times = await knownToOthers(stage, before, startedMs)
    await gone
    const seen = stage.watch.since(startedMs)
    const gap = Object.fromEntries(DOMAINS.map((domain) => [domain, gapOf(seen, before, domain)]))
    gaps.push(gap)
    tell(`ended ${run}: nobody leads`, gap, null, `; the next known to all after ${inWords(times)}`)
    if (verbose) console.error(`  ${inWords(stepsOf(seen, startedMs))}`)
    await stage.watch.follow(stage.fleet.restart(before.leader))
  }
  return DOMAINS.map((domain) => ({
    what: `leader of ${domain} ends on SIGTERM -> nobody leads, worst of ${runs}`,
    value: worstOf(column(gaps, domain)),
    target: 50,
    unit: 'ms',
  }))
}

/** From the old leader's last moment under its fence to the first of the next; NaN where one of them was not told. */
function gapOf(seen: readonly Seen[], { leader }: Leadership, domain: string): number {
  const ofDomain = seen.filter((one) => one.domain === domain)
  const ended = ofDomain.find((one) => one.name === 'leadership-ended' && one.teller === leader.name)
  const begun = ofDomain.find((one) => one.name === 'leadership-begun' && one.teller !== leader.name)
  return begun === undefined || ended === undefined ? Number.NaN : Math.max(0, begun.atMs - ended.atMs)
}

function begin({ watch }: Stage): number {
  const now = Date.now()
  watch.forget(now)
  return now
}

/** How long until each of the others knows the same new leader, by domain; NaN where that did not come about. */
async function knownToOthers({ watch }: Stage, before: Leadership, startedMs: number): Promise<Times> {
  const times: Record<string, number> = {}
  for (const domain of DOMAINS) {
    const term = before.terms[domain] ?? 0
    const known = await watch.find(startedMs, REPLACED_MS_MAX, (seen) => knownAt(seen, before.others, domain, term))
    times[domain] = known === null ? Number.NaN : known.atMs - startedMs
  }
  return times
}

/**
 * The steps of a replacement in ms since the loss: the first that anybody said of each, and by whom it was said last.
 */
function stepsOf(seen: readonly Seen[], startedMs: number): Times {
  const steps: Record<string, number> = {}
  for (const domain of DOMAINS) {
    const ofDomain = seen.filter((one) => one.domain === domain)
    const first = (name: string) => ofDomain.find((one) => one.name === name)?.atMs
    const known = ofDomain.filter((one) => one.name === 'leader-known').map(({ atMs }) => atMs)
    const moments: Readonly<Record<string, number | undefined>> = {
      lost: first('leader-lost'),
      canvass: first('election-canvass'),
      stand: first('election-stand'),
      'own vote kept': first('election-vote-kept'),
      elected: first('leader-elected'),
      leads: first('leadership-begun'),
      'first knows': known.length > 0 ? Math.min(...known) : undefined,
      'last knows': known.length > 0 ? Math.max(...known) : undefined,
    }
    for (const [step, at] of Object.entries(moments)) if (at !== undefined) steps[`${domain} ${step}`] = at - startedMs
  }
  return steps
}

const column = (all: readonly Times[], domain: string): readonly number[] =>
  all.map((times) => times[domain] ?? Number.NaN)

const inWords = (times: Times): string =>
  Object.entries(times)
    .map(([what, ms]) => `${what} ${Math.round(ms)} ms`)
    .join(', ')

function tell(what: string, times: Times, steps: Times | null, more = ''): void {
  console.error(`${what}: ${inWords(times)}${more} (${loadNow()})`)
  if (steps !== null) console.error(`  ${inWords(steps)}`)
}

function tellSteps(what: string, breakdowns: readonly Times[]): void {
  console.log(`${what}:`)
  for (const step of new Set(breakdowns.flatMap((one) => Object.keys(one)))) {
    const values = breakdowns.flatMap((one) => one[step] ?? [])
    console.log(`  ${step}: ${median(values).toFixed(1)} ms (worst ${worstOf(values)} ms, in ${values.length} runs)`)
  }
}

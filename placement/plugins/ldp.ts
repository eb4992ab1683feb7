// Latency and distance aware: of the children that keep within the limits of the service (constraint.ts has left out
// the others) the nearest, and among those the emptiest. After the LDP scheduler of Oakestra: Bartolomeo, Yosofie,
// Bäurle, Haluszczynski, Mohan, Ott, "Oakestra: A Lightweight Hierarchical Orchestration Framework for Edge Computing",
// USENIX ATC 2023, algorithm 1, which filters by great-circle and Vivaldi distance and then takes the largest free
// capacity; here being nearer counts as well, because a limit is the worst that may be, not what is wanted.

import type { Candidate } from '../candidate.ts'
import type { Demand } from '../demand.ts'
import type { Measure } from '../nearness.ts'
import { needOf } from '../need.ts'
import { pluginOf, type SchedulerPlugin } from '../plugin.ts'
import { apart, besideWhom, fullness } from '../score.ts'

/** How much being near counts against being empty. A guess. */
const NEAR_SHARE = 0.75
/** What cannot be judged is taken as half way to the limit: after what is known to be near, before what is far. */
const UNKNOWN_NEARNESS = 0.5

export const ldp: SchedulerPlugin = pluginOf({
  name: 'ldp',
  filter: () => null,
  value: (demand, candidate) => scoreOf(demand, candidate),
  reason: (demand, candidate) => {
    const far = candidate.measures.map(inWords).join(', ')
    const beside = besideWhom(candidate.siblings)
    return `ldp ${scoreOf(demand, candidate).toFixed(2)} (${far === '' ? '' : `${far}, `}${beside})`
  },
})

function scoreOf(demand: Demand, { measures, total, free, siblings }: Candidate): number {
  const empty = 1 - fullness(total, free, needOf(demand))
  const near = measures.length === 0 ? null : Math.min(...measures.map(nearness))
  return apart(siblings, near === null ? empty : NEAR_SHARE * near + (1 - NEAR_SHARE) * empty)
}

/** 1 at the target, 0 at the limit. */
function nearness({ kind, value, threshold }: Measure): number {
  if (value === null) return UNKNOWN_NEARNESS
  if (kind === 'bandwidth') return value <= 0 ? 0 : Math.max(0, 1 - threshold / value)
  return threshold <= 0 ? (value <= 0 ? 1 : 0) : Math.max(0, 1 - value / threshold)
}

const UNITS = { geo: 'km', latency: 'ms', bandwidth: 'Mbit/s' } as const

const inWords = ({ kind, to, value }: Measure): string =>
  `${value === null ? 'unknown' : Math.round(value)} ${UNITS[kind]} to ${to}`

// Evenly over domains, then over nodes: the child with the fewest replicas of the service, and of those the emptiest.
// A child is a domain above and a node in a cluster, so the same rule at each level does both.

import type { Candidate } from '../candidate.ts'
import type { Demand } from '../demand.ts'
import { needOf } from '../need.ts'
import { pluginOf, type SchedulerPlugin } from '../plugin.ts'
import { apart, besideWhom, fullness } from '../score.ts'

/** Emptiness is that of everything behind the child: a domain of many devices has more of it than its best device. */
export const spread: SchedulerPlugin = pluginOf({
  name: 'spread',
  filter: () => null,
  value: (demand, candidate) => apart(candidate.siblings, emptiness(demand, candidate)),
  reason: (demand, candidate) => {
    const empty = emptiness(demand, candidate)
    const value = apart(candidate.siblings, empty)
    return `spread ${value.toFixed(2)} (${besideWhom(candidate.siblings)}, ${percent(empty)} left)`
  },
})

const emptiness = (demand: Demand, { total, free }: Candidate): number => 1 - fullness(total, free, needOf(demand))

const percent = (share: number): string => `${Math.round(share * 100)} %`

// Evenly over domains, then over nodes: the child with the fewest replicas of the service, and of those the emptiest.
// A child is a domain above and a node in a cluster, so the same rule at each level does both.

import { needOf } from '../need.ts'
import { pluginOf, type SchedulerPlugin } from '../plugin.ts'
import { apart, besideWhom, fullness } from '../score.ts'

/** Emptiness is that of everything behind the child: a domain of many devices has more of it than its best device. */
export const spread: SchedulerPlugin = pluginOf({
  name: 'spread',
  filter: () => null,
  score: (spec, { total, free, siblings }) => {
    const empty = 1 - fullness(total, free, needOf(spec))
    const value = apart(siblings, empty)
    return { value, reason: `spread ${value.toFixed(2)} (${besideWhom(siblings)}, ${percent(empty)} left)` }
  },
})

const percent = (share: number): string => `${Math.round(share * 100)} %`

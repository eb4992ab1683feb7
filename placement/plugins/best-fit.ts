// The default scheduler: the child that the service fills best without touching its headroom, and never beside its own
// kind while another child has none of it.

import type { Candidate } from '../candidate.ts'
import type { Demand } from '../demand.ts'
import { needOf } from '../need.ts'
import { pluginOf, type SchedulerPlugin } from '../plugin.ts'
import { apart, besideWhom, tightness, wholeAndFree } from '../score.ts'

export const bestFit: SchedulerPlugin = pluginOf({
  name: 'best-fit',
  filter: () => null,
  value: (demand, candidate) => apart(candidate.siblings, fitOf(demand, candidate)),
  reason: (demand, candidate) => {
    const fit = fitOf(demand, candidate)
    const value = apart(candidate.siblings, fit)
    return `best-fit ${value.toFixed(2)} (fit ${fit.toFixed(2)}, ${besideWhom(candidate.siblings)})`
  },
})

function fitOf(demand: Demand, candidate: Candidate): number {
  const { whole, free } = wholeAndFree(demand, candidate)
  return tightness(whole, free, needOf(demand))
}

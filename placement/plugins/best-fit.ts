// The default scheduler: the child that the service fills best without touching its headroom, and never beside its own
// kind while another child has none of it.

import type { Candidate } from '../candidate.ts'
import { needOf } from '../need.ts'
import { pluginOf, type SchedulerPlugin, type Score } from '../plugin.ts'
import { apart, besideWhom, tightness, wholeAndFree } from '../score.ts'
import type { ServiceSpec } from '../spec.ts'

export const bestFit: SchedulerPlugin = pluginOf({
  name: 'best-fit',
  filter: () => null,
  score: (spec, candidate) => scoreOf(spec, candidate),
})

function scoreOf(spec: ServiceSpec, candidate: Candidate): Score {
  const { whole, free } = wholeAndFree(spec, candidate)
  const fit = tightness(whole, free, needOf(spec))
  const value = apart(candidate.siblings, fit)
  return { value, reason: `best-fit ${value.toFixed(2)} (fit ${fit.toFixed(2)}, ${besideWhom(candidate.siblings)})` }
}

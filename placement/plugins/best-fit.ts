// The default scheduler: the child that the service fills best without touching its headroom, and never beside its own
// kind while another child has none of it.

import type { Candidate } from '../candidate.ts'
import { needOf } from '../need.ts'
import type { SchedulerPlugin, Score } from '../plugin.ts'
import { tightness } from '../score.ts'
import type { ServiceSpec } from '../spec.ts'

export const bestFit: SchedulerPlugin = {
  name: 'best-fit',
  filter: () => null,
  score: (spec, candidate) => scoreOf(spec, candidate),
}

/**
 * Replicas apart come before fit: n siblings put the score into the band from 1/(n+2) to 1/(n+1), fit decides inside
 * it.
 */
function scoreOf(spec: ServiceSpec, candidate: Candidate): Score {
  const free = candidate.slotFor(spec.runtime) ?? candidate.free
  const whole = candidate.kind === 'node' ? candidate.total : free
  const fit = tightness(whole, free, needOf(spec))
  const lowest = 1 / (candidate.siblings + 2)
  const value = lowest + fit * (1 / (candidate.siblings + 1) - lowest)
  const beside = candidate.siblings === 0 ? 'no other replica there' : `beside ${candidate.siblings} of its replicas`
  return { value, reason: `best-fit ${value.toFixed(2)} (fit ${fit.toFixed(2)}, ${beside})` }
}

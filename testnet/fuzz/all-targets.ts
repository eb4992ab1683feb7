// Everything that is fuzzed: a new reader of what comes from outside belongs here.

import { codecTargets } from './codec-targets.ts'
import { coreTarget } from './core-target.ts'
import { doorTargets } from './door-targets.ts'
import { streamTargets } from './stream-targets.ts'
import type { Target } from './target.ts'
import { textTargets } from './text-targets.ts'

export const allTargets = (): readonly Target[] => [
  coreTarget(),
  ...codecTargets(),
  ...textTargets(),
  ...doorTargets(),
  ...streamTargets(),
]

// `npm run bench -- election`: the figures that an election has to reach (issue 3), taken on real processes, each
// beside its target. A miss is an exit code of 1.

import { type Figure, isMet, lineOf, loadNow } from './figures.ts'
import { type LossOptions, loseByFreeze, loseByKill, loseByTerm } from './losses.ts'
import { onStage, type Stage } from './stage.ts'

export const ELECTION_PARTS = ['kill', 'freeze', 'term'] as const

export interface ElectionBenchOptions extends LossOptions {
  readonly parts: readonly string[]
  readonly nodes: number
}

/** Resolves to whether every figure was reached. */
export async function benchElection(options: ElectionBenchOptions): Promise<boolean> {
  const { parts } = options
  const figures: Figure[] = []
  const show = (taken: readonly Figure[]): void => {
    for (const figure of taken) console.log(`${lineOf(figure)} [${loadNow()}]`)
    figures.push(...taken)
  }
  const losses = { kill: loseByKill, freeze: loseByFreeze, term: loseByTerm }
  const asked = Object.entries(losses).filter(([part]) => parts.includes(part))
  if (asked.length > 0) {
    console.log('leaders and moments by the event streams of all nodes (wall clock of one machine, whole ms)')
    await onStage({ nodes: options.nodes, preset: 'lan' }, async (stage: Stage) => {
      for (const [, lose] of asked) show(await lose(stage, options))
    })
  }
  const missed = figures.filter((figure) => !isMet(figure)).length
  console.log(missed === 0 ? 'all reached' : `${missed} of ${figures.length} missed`)
  return missed === 0
}

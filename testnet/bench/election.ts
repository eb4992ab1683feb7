// `npm run bench -- election`: the figures that an election has to reach taken on real processes and, where days have
// to pass, in virtual time, each beside its target.

import { type Figure, isMet, lineOf, loadNow } from './figures.ts'
import { stayHealthy } from './healthy.ts'
import { benchIdle, benchLinks } from './idle.ts'
import { type LossOptions, loseByFreeze, loseByKill, loseByTerm } from './losses.ts'
import { onStage, type Stage } from './stage.ts'
import { benchSteady } from './steady.ts'

/** Alone, a small cluster, and one in which not everybody can talk to everybody. */
const IDLE_SIZES = [1, 3, 100]

export interface ElectionBenchOptions extends LossOptions {
  readonly parts: readonly string[]
  readonly nodes: number
  /** How long a healthy cluster is watched. */
  readonly minutes: number
  /** Virtual hours in a network that loses this share of all messages, 0 to 1. */
  readonly hours: number
  readonly loss: number
  /** How long processors and links are measured; links of `metered`, where less is said, twice as long. */
  readonly seconds: number
}

type Part = (options: ElectionBenchOptions) => Promise<readonly Figure[]>

const onLan = (options: ElectionBenchOptions, play: (stage: Stage) => Promise<readonly Figure[]>) =>
  onStage({ nodes: options.nodes, preset: 'lan' }, play)

const PARTS: Readonly<Record<string, Part>> = {
  kill: (options) => onLan(options, (stage) => loseByKill(stage, options)),
  freeze: (options) => onLan(options, (stage) => loseByFreeze(stage, options)),
  term: (options) => onLan(options, (stage) => loseByTerm(stage, options)),
  healthy: (options) => onLan(options, (stage) => stayHealthy(stage, options.minutes)),
  steady: async ({ hours, loss }) => [benchSteady({ hours, loss })],
  idle: ({ seconds }) => benchIdle({ seconds, sizes: IDLE_SIZES, isBundled: true }),
  links: async ({ seconds }) => {
    const lan = benchLinks({ preset: 'lan', seconds })
    const metered = benchLinks({ preset: 'metered', seconds: 2 * seconds })
    return (await Promise.all([lan, metered])).flat()
  },
}

export const ELECTION_PARTS: readonly string[] = Object.keys(PARTS)
/** Those that take minutes, not hours. */
export const ELECTION_PARTS_DEFAULT: readonly string[] = ['kill', 'freeze', 'term']

/** Takes the figures of each part; resolves to whether all were reached. */
export async function benchElection(options: ElectionBenchOptions): Promise<boolean> {
  console.log('leaders and moments by the event streams of all nodes (wall clock of one machine, whole ms)')
  const figures: Figure[] = []
  for (const [name, part] of Object.entries(PARTS)) {
    if (!options.parts.includes(name)) continue
    const taken = await part(options)
    for (const figure of taken) console.log(`${lineOf(figure)} [${loadNow()}]`)
    figures.push(...taken)
  }
  const missed = figures.filter((figure) => !isMet(figure)).length
  console.log(missed === 0 ? `all ${figures.length} reached` : `${missed} of ${figures.length} missed`)
  return missed === 0
}

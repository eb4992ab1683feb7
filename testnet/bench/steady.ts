// Whether a lossy network alone changes a leader: five electors on preset `lan` in virtual time, the shipping election
// machine with encoded messages, and nothing else of a node.

import { createWorld, domainOf, QUICK, type World } from '../../election/world.test-kit.ts'
import type { DomainPath, NodeId } from '../../overlay/kernel/ids.ts'
import type { Figure } from './figures.ts'

const HOUR_MS = 3_600_000
const ELECTORS = 5
/** Until all five are electors: as QUICK has it, after a second of steadiness each. */
const GROWN_MS = 10_000

export interface SteadyOptions {
  /** Virtual hours. */
  readonly hours: number
  /** Share of messages that get lost, 0 to 1. */
  readonly loss: number
  readonly seed?: number
}

/** How often the leader changed. */
export function benchSteady({ hours, loss, seed = 1 }: SteadyOptions): Figure {
  const domain = domainOf('/berlin')
  const world = createWorld({ seed, clusters: { berlin: ELECTORS }, timing: QUICK })
  world.run(GROWN_MS)
  const electors = world.known(world.all[0] as NodeId, domain)?.electors.length ?? 0
  if (electors !== ELECTORS) throw new Error(`${electors} electors instead of ${ELECTORS}`)
  world.setWeather({ loss })
  const began = performance.now()
  const before = world.events.length
  for (let hour = 1; hour <= hours; hour++) {
    world.run(HOUR_MS)
    console.error(`hour ${hour}: ${changesOf(world.events.slice(before), domain)} changes of leader`)
  }
  const seconds = Math.round((performance.now() - began) / 1_000)
  const changes = changesOf(world.events.slice(before), domain)
  const network = `${hours} virtual hours at ${loss * 100} % loss, ${ELECTORS} electors on lan`
  const what = `changes of leader in ${network}, seed ${seed} (${seconds} s)`
  return { what, value: changes, target: 0, unit: '' }
}

const changesOf = (events: World['events'], domain: DomainPath): number =>
  events.filter((event) => event.name === 'leader-elected' && event.domain === domain).length

// The simulator on the command line: one seed with its trace, or many with their sums.

import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { CANARIES } from './canaries.ts'
import { huntAll } from './canary-hunt.ts'
import { FAULT_KINDS } from './fault-plan.ts'
import type { FaultKind } from './faults.ts'
import { idleLines } from './idle.ts'
import { runSeeds } from './pool.ts'
import { createTally, failureLine } from './report.ts'
import { FAULTS_MS_DEFAULT, type RunOptions } from './run.ts'
import { type Setting, settingOf } from './setting.ts'
import { shrink } from './shrink.ts'
import { clustersFor, sizeOf } from './sizes.ts'
import { NODES_MAX } from './topology.ts'

/** Seeds for each canary, where nobody asks for another number. */
const CANARY_SEEDS = 50

const USAGE = `npm run sim -- --seed N [--no-trace]   one seed, replayed bit for bit, with all that happens
npm run sim -- --seeds N [--from M]     many, from seed M (1) on
  --nodes N      nodes of each world, 1 to ${NODES_MAX}; by default it depends on the seed
  --clusters N   clusters of each world
  --levels N     2 for clusters under the root, 3 for regions in between; by default, and so with the next two, it
                 depends on the seed
  --preset P     lan, wan or metered; slower places have faults for longer
  --electors N   electors of a domain: 3, 5 or 7
  --seconds N    virtual seconds of faults (${FAULTS_MS_DEFAULT / 1_000})
  --idle N       with --seed: N virtual seconds more once all agree, and what a node hears in one of them, by kind
  --jobs N       threads for many seeds (${availableParallelism()}: the cores of this machine); changes no result
  --trace        prints what happens, also of many
  --kinds K,L    plans only faults of these kinds: ${FAULT_KINDS.join(', ')}
  --only A,B,C   of the planned faults of a seed only these, or none
  --minimise     with --seed: drops faults from a failing seed's plan while it still fails, and prints what remains
  --canaries     plants bugs and prints which rule caught each in how many of the seeds (${CANARY_SEEDS})`

/** More threads than any machine has cores, fewer than would fill its memory. A guess. */
const JOBS_MAX = 256

interface Asked {
  readonly first: number
  readonly count: number
  readonly nodes: number | null
  readonly clusters: number | null
  readonly faultsMs: number
  readonly idleMs: number | null
  readonly jobs: number
  readonly trace: boolean
  readonly setting: Partial<Setting>
  readonly kept: readonly number[] | null
  readonly kinds: readonly FaultKind[] | null
  readonly does: 'run' | 'minimise' | 'canaries'
}

function read(): Asked {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      from: { type: 'string' },
      nodes: { type: 'string' },
      clusters: { type: 'string' },
      seconds: { type: 'string' },
      idle: { type: 'string' },
      jobs: { type: 'string' },
      trace: { type: 'boolean' },
      levels: { type: 'string' },
      preset: { type: 'string' },
      electors: { type: 'string' },
      only: { type: 'string' },
      kinds: { type: 'string' },
      minimise: { type: 'boolean' },
      canaries: { type: 'boolean' },
    },
    allowNegative: true,
  })
  return {
    first: whole('seed', values.seed) ?? whole('from', values.from) ?? 1,
    count: whole('seeds', values.seeds) ?? 1,
    nodes: whole('nodes', values.nodes, NODES_MAX),
    clusters: whole('clusters', values.clusters, NODES_MAX),
    faultsMs: (whole('seconds', values.seconds) ?? FAULTS_MS_DEFAULT / 1_000) * 1_000,
    idleMs: values.idle === undefined ? null : (whole('idle', values.idle) ?? 0) * 1_000,
    jobs: whole('jobs', values.jobs, JOBS_MAX) ?? availableParallelism(),
    trace: values.trace ?? (values.seed !== undefined && !values.minimise),
    setting: settingAsked(values),
    kept: values.only === undefined ? null : numbers(values.only),
    kinds: values.kinds?.split(',').map((kind) => oneOf('kinds', kind, FAULT_KINDS)) ?? null,
    does: values.canaries ? 'canaries' : values.minimise ? 'minimise' : 'run',
  }
}

function settingAsked(values: { levels?: string; preset?: string; electors?: string }): Partial<Setting> {
  return {
    ...(values.levels !== undefined && { levels: Number(oneOf('levels', values.levels, ['2', '3'])) as 2 | 3 }),
    ...(values.preset !== undefined && { preset: oneOf('preset', values.preset, ['lan', 'wan', 'metered']) }),
    ...(values.electors !== undefined && { electorsMax: Number(oneOf('electors', values.electors, ['3', '5', '7'])) }),
  }
}

function oneOf<T extends string>(name: string, text: string, allowed: readonly T[]): T {
  if (allowed.includes(text as T)) return text as T
  throw new Error(`--${name} is one of ${allowed.join(', ')}; got "${text}"`)
}

function numbers(text: string): readonly number[] {
  const list = text === 'none' ? [] : text.split(',').map(Number)
  if (list.every((number) => Number.isSafeInteger(number) && number >= 0)) return list
  throw new Error(`--only is a list of whole numbers with commas, or none; got "${text}"`)
}

function whole(name: string, text: string | undefined, max = Number.MAX_SAFE_INTEGER): number | null {
  if (text === undefined) return null
  const number = Number(text)
  if (Number.isSafeInteger(number) && number >= 1 && number <= max) return number
  throw new Error(`--${name} is a whole number from 1 to ${max}; got "${text}"`)
}

function optionsFor(seed: number, asked: Asked): RunOptions {
  const { nodes = null, idleMs, faultsMs, trace, kept, kinds } = asked
  const size = nodes === null ? sizeOf(seed) : { nodes, clusters: clustersFor(nodes) }
  const clusters = Math.min(size.nodes, asked.clusters ?? size.clusters)
  const setting = { ...settingOf(seed), ...asked.setting }
  const base = {
    seed,
    nodes: size.nodes,
    clusters,
    faultsMs,
    setting,
    ...(idleMs !== null && { idleMs }),
    ...(kept !== null && { kept }),
    ...(kinds && { kinds }),
  }
  return { ...base, ...(trace && { onLine: (line) => console.log(line) }) }
}

async function sing({ first, count }: Asked): Promise<number> {
  const seeds = Array.from({ length: count > 1 ? count : CANARY_SEEDS }, (_, index) => first + index)
  const missed = await huntAll(CANARIES, seeds, (line) => console.log(line))
  for (const name of missed) console.log(`not caught: ${name}`)
  return missed.length === 0 ? 0 : 1
}

async function run(asked: Asked): Promise<number> {
  if (asked.does === 'minimise') return shrink(optionsFor(asked.first, asked), (line) => console.log(line)) ? 1 : 0
  const tally = createTally()
  const began = performance.now()
  const plans = Array.from({ length: asked.count }, (_, index) => optionsFor(asked.first + index, asked))
  // What is printed on the way has to come from this thread.
  let index = 0
  for await (const result of runSeeds(plans, asked.trace ? 1 : asked.jobs)) {
    const options = plans[index++] as RunOptions
    tally.add(result)
    if (result.failure !== null) console.log(failureLine(options, result))
    if (asked.count === 1) console.log(`trace hash   ${result.hash}`)
    if (result.idle !== null) for (const line of idleLines(result.idle, result.nodes)) console.log(line)
  }
  for (const line of tally.lines(performance.now() - began)) console.log(line)
  return tally.failures.length === 0 ? 0 : 1
}

try {
  const asked = read()
  process.exitCode = asked.does === 'canaries' ? await sing(asked) : await run(asked)
} catch (problem) {
  console.error(problem instanceof Error ? problem.message : problem)
  console.error(USAGE)
  process.exitCode = 2
}

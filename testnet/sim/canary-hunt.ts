// Lets a canary sing: runs seeds with one planted bug in a thread of their own, and counts which rules notice.

import { Worker } from 'node:worker_threads'
import type { Canary } from './canaries.ts'
import type { CanaryAnswer, CanaryTask } from './canary-worker.ts'
import type { RunOptions } from './run.ts'
import { PLAIN, settingOf } from './setting.ts'

export interface Hunt {
  readonly canary: Canary
  readonly seeds: number
  readonly answers: readonly CanaryAnswer[]
}

/**
 * The world of a canary's seed: big enough for five electors, or for clusters of two, on a local network, where the
 * most happens.
 */
export const canaryWorld = (seed: number, clusters: number | null): RunOptions => ({
  seed,
  nodes: clusters === null ? 5 : 2 * clusters,
  clusters: clusters ?? (seed % 3 === 0 ? 2 : 1),
  setting: { ...settingOf(seed), preset: PLAIN.preset, levels: PLAIN.levels },
})

/** Resolves to what the seeds came to. Rejects where the bug cannot be planted or the simulator itself fails. */
export function hunt(canary: Canary, seeds: readonly number[], { once }: { readonly once: boolean }): Promise<Hunt> {
  const task: CanaryTask = { name: canary.name, mutation: canary.mutation ?? null, seeds, once }
  const { promise, resolve, reject } = Promise.withResolvers<Hunt>()
  const answers: CanaryAnswer[] = []
  const worker = new Worker(new URL('./canary-worker.ts', import.meta.url), { workerData: task })
  worker.on('message', (answer: CanaryAnswer) => void answers.push(answer))
  worker.on('error', reject)
  worker.on('exit', () => resolve({ canary, seeds: seeds.length, answers }))
  return promise
}

/** Of the answers those that an expected rule gave. */
export const catches = ({ canary, answers }: Hunt): readonly CanaryAnswer[] =>
  answers.filter(({ rule }) => rule !== null && canary.rules.includes(rule))

/** One line of the table: the canary, what caught it how often, and where first. */
export function huntLine(found: Hunt): string {
  const { canary, answers } = found
  const caught = catches(found)
  const byRule = Map.groupBy(
    answers.filter(({ rule }) => rule !== null),
    ({ rule }) => rule,
  )
  const rules = [...byRule].map(([rule, all]) => {
    const isExpected = canary.rules.includes(rule ?? '')
    return `${rule}${isExpected ? '' : ' (unexpected)'} ${all.length}`
  })
  const first = caught[0]?.seed ?? '-'
  return `| ${canary.name} | ${rules.join(', ') || 'none'} | ${first} | ${caught.length} of ${answers.length} |`
}

/** Runs all canaries, two at a time, and prints the table; resolves to the names of those that nobody caught. */
export async function huntAll(
  canaries: readonly Canary[],
  seeds: readonly number[],
  say: (line: string) => void,
): Promise<readonly string[]> {
  say('| planted bug | broken rules, in how many seeds | first seed | caught |')
  say('| --- | --- | --- | --- |')
  const missed: string[] = []
  const waiting = [...canaries]
  const work = async (): Promise<void> => {
    for (let canary = waiting.shift(); canary !== undefined; canary = waiting.shift()) {
      const found = await hunt(canary, seeds, { once: false })
      say(huntLine(found))
      if (catches(found).length === 0) missed.push(canary.name)
    }
  }
  await Promise.all([work(), work()])
  return missed
}

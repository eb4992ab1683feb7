// What many seeds came to, for people: how fast, how much, what went wrong and how to see it again.

import { spawnSync } from 'node:child_process'
import type { FaultKind } from './faults.ts'
import { FAULTS_MS_DEFAULT, type RunOptions, type RunResult } from './run.ts'
import { settingOf } from './setting.ts'

export interface Tally {
  add(result: RunResult): void
  readonly failures: readonly RunResult[]
  lines(realMs: number): readonly string[]
}

export function createTally(): Tally {
  const results: RunResult[] = []
  return {
    add: (result) => void results.push(result),
    get failures() {
      return results.filter(({ failure }) => failure !== null)
    },
    lines: (realMs) => {
      const virtualMs = sum(results, (one) => one.virtualMs)
      const settled = results.flatMap(({ settledMs }) => settledMs ?? []).sort((a, b) => a - b)
      const faults = new Map<string, number>()
      for (const result of results) {
        for (const [kind, count] of Object.entries(result.faults)) faults.set(kind, (faults.get(kind) ?? 0) + count)
      }
      const perSecond = ((results.length * 1_000) / realMs).toFixed(1)
      const failed = results.filter(({ failure }) => failure !== null).length
      const median = settled[settled.length >> 1] ?? 0
      const nodeHours = sum(results, (one) => (one.nodes * one.virtualMs) / 3_600_000)
      const perNodeHour = (of: (result: RunResult) => number): number => Math.round(sum(results, of) / nodeHours)
      const leaderless = results.flatMap((one) => one.leaderlessMs).sort((a, b) => a - b)
      const toALeader = (share: number): string =>
        seconds(leaderless[Math.min(leaderless.length - 1, Math.floor(leaderless.length * share))] ?? 0)
      const kilobytes = perNodeHour((one) => one.bytes / 1_000)
      return [
        `seeds        ${results.length} in ${seconds(realMs)} s: ${perSecond} per second`,
        `virtual time ${(virtualMs / 3_600_000).toFixed(2)} hours`,
        `faults       ${[...faults].map(([kind, count]) => `${count} ${kind as FaultKind}`).join(', ') || 'none'}`,
        `elections    ${sum(results, (one) => one.elections)}`,
        `leaderless   ${leaderless.length} times, for ${toALeader(0.5)} s (median), ${toALeader(1)} s (worst)`,
        `specs        ${sum(results, (one) => one.specs)} accepted`,
        `pressure     ${sum(results, (one) => one.evictions)} instances ended by devices that were short of something`,
        `an hour has  ${perNodeHour((one) => one.messages)} messages and ${kilobytes} KB of each node`,
        `settled      after ${seconds(median)} s (median), ${seconds(settled.at(-1) ?? 0)} s (worst)`,
        `failures     ${failed}, at commit ${commitOfNow()}`,
      ]
    },
  }
}

/** What the sources are, as far as git knows it. */
function commitOfNow(): string {
  const asked = spawnSync('git', ['describe', '--always', '--dirty'], { cwd: import.meta.dirname, encoding: 'utf8' })
  return asked.status === 0 ? asked.stdout.trim() : 'unknown'
}

const sum = <T>(items: readonly T[], of: (item: T) => number): number =>
  items.reduce((total, item) => total + of(item), 0)

const seconds = (ms: number): string => (ms / 1_000).toFixed(1)

/** The command that shows a run again; what belongs to the seed anyway is not said. */
export function replayOf(options: Replayed): string {
  const { seed, nodes, clusters, faultsMs = FAULTS_MS_DEFAULT, setting, kept, kinds } = options
  const { preset, levels, electorsMax } = settingOf(seed)
  const words = [`--seed ${seed} --nodes ${nodes} --clusters ${clusters} --seconds ${faultsMs / 1_000}`]
  if (setting !== undefined && setting.preset !== preset) words.push(`--preset ${setting.preset}`)
  if (setting !== undefined && setting.levels !== levels) words.push(`--levels ${setting.levels}`)
  if (setting !== undefined && setting.electorsMax !== electorsMax) words.push(`--electors ${setting.electorsMax}`)
  if (kinds !== undefined) words.push(`--kinds ${kinds.join()}`)
  if (kept !== undefined) words.push(`--only ${kept.length === 0 ? 'none' : kept.join()}`)
  return `npm run sim -- ${words.join(' ')}`
}

type Replayed = Pick<RunOptions, 'seed' | 'nodes' | 'clusters' | 'faultsMs' | 'setting' | 'kept' | 'kinds'>

export function failureLine(options: Replayed, { failure }: RunResult): string {
  if (failure === null) return ''
  return `seed ${options.seed}, at ${seconds(failure.at)} s: ${failure.what}\n    ${replayOf(options)}`
}

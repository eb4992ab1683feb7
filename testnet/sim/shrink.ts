// A failing seed, told as short as it can be: which of its faults it takes.

import { minimise } from './minimise.ts'
import { replayOf } from './report.ts'
import { planOf, type RunOptions, runSeed } from './run.ts'

/** Runs a seed with fewer and fewer faults while the same rule breaks, and says what is left. */
export function shrink(options: RunOptions, say: (line: string) => void): boolean {
  const { failure } = runSeed(options)
  if (failure === null) {
    say(`seed ${options.seed} breaks no rule`)
    return false
  }
  say(`seed ${options.seed} breaks ${failure.rule} at ${(failure.at / 1_000).toFixed(1)} s: ${failure.what}`)
  const plan = planOf(options)
  const asked = options.kept ?? plan.map((_, number) => number)
  let runs = 0
  const needed = minimise(asked, (kept) => {
    runs += 1
    const { failure: left } = runSeed({ ...options, kept })
    return left !== null && shapeOf(left.what) === shapeOf(failure.what)
  })
  say(`${needed.length} of ${asked.length} faults are needed (${runs} runs):`)
  for (const number of needed) {
    const { at, forMs, fault } = plan[number] as (typeof plan)[number]
    const { kind, ...details } = fault
    const when = `${(at / 1_000).toFixed(3).padStart(9)} s for ${(forMs / 1_000).toFixed(3)} s`
    say(`  ${String(number).padStart(3)} ${when}  ${kind} ${JSON.stringify(details)}`)
  }
  const least: RunOptions = { ...options, kept: needed }
  say(`${runSeed(least).failure?.what}\n    ${replayOf(least)}`)
  return true
}

/** What went wrong, whoever it was that it happened to. */
const shapeOf = (what: string): string => what.replace(/\/\S*|\S*[0-9]\S*/g, '*')

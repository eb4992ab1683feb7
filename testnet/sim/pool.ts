// Many seeds on all the cores of a machine. A seed knows nothing of the others, so which thread runs it changes
// nothing, and the results come out in the order in which they were asked for.

import { Worker } from 'node:worker_threads'
import { type RunOptions, type RunResult, runSeed } from './run.ts'

/** A thread has its next seed before it is through with one, so that it never waits for this thread. */
const PLANS_AHEAD = 2

/** Runs the plans on so many threads, to which they can be told if there are no functions in them; on one, in this. */
export async function* runSeeds(plans: readonly RunOptions[], jobs: number): AsyncGenerator<RunResult> {
  if (jobs <= 1 || plans.length <= 1) {
    for (const plan of plans) yield runSeed(plan)
    return
  }
  const threads = Array.from(
    { length: Math.min(jobs, plans.length) },
    () => new Worker(new URL('./pool-thread.ts', import.meta.url)),
  )
  try {
    const results = share(plans, threads)
    for (const result of results) yield await result
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()))
  }
}

/** Hands the plans out as the threads get through with them. */
function share(plans: readonly RunOptions[], threads: readonly Worker[]): readonly Promise<RunResult>[] {
  const pending = plans.map(() => Promise.withResolvers<RunResult>())
  // Whoever reads the results meets the first failure; the others are no unhandled ones.
  for (const { promise } of pending) promise.catch(() => undefined)
  let next = 0
  const handOn = (thread: Worker): void => {
    const plan = plans[next]
    if (plan === undefined) return
    thread.postMessage({ index: next, plan })
    next += 1
  }
  for (const thread of threads) {
    thread.on('message', ({ index, result }: { readonly index: number; readonly result: RunResult }) => {
      pending[index]?.resolve(result)
      handOn(thread)
    })
    thread.on('error', (problem) => {
      for (const { reject } of pending) reject(problem)
    })
    for (let ahead = 0; ahead < PLANS_AHEAD; ahead++) handOn(thread)
  }
  return pending.map(({ promise }) => promise)
}

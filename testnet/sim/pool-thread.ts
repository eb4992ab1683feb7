// One thread of a pool: runs the seeds that it is handed, one after another.

import { parentPort } from 'node:worker_threads'
import { type RunOptions, runSeed } from './run.ts'

parentPort?.on('message', ({ index, plan }: { readonly index: number; readonly plan: RunOptions }) => {
  parentPort?.postMessage({ index, result: runSeed(plan) })
})

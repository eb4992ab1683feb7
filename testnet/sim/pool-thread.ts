// One thread of a pool: runs the seeds that it is handed, one after another.

import { enableCompileCache } from 'node:module'
import { parentPort } from 'node:worker_threads'
import type { RunOptions } from './run.ts'

// A thread loads some four hundred files: what became of them is kept beside the system's other temporary files.
enableCompileCache()
const { runSeed } = await import('./run.ts')

parentPort?.on('message', ({ index, plan }: { readonly index: number; readonly plan: RunOptions }) => {
  parentPort?.postMessage({ index, result: runSeed(plan) })
})

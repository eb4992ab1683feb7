// Runs seeds in a thread whose shipping code has one passage replaced, and tells what broke. The passage is replaced
// as its module is loaded, so everything that imports it has to come after the hook.

import { registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import type { Mutation } from './canaries.ts'

/** What the thread is asked. */
export interface CanaryTask {
  readonly name: string
  readonly mutation: Mutation | null
  readonly seeds: readonly number[]
  /** Whether one catch is enough. */
  readonly once: boolean
}

/** What a seed came to; null where no rule was broken. */
export interface CanaryAnswer {
  readonly seed: number
  readonly rule: string | null
  readonly what: string
}

const { name, mutation, seeds, once } = workerData as CanaryTask
const planted = mutation === null || plant(mutation)
const [{ runSeed }, { CANARIES }, { canaryWorld }] = await Promise.all([
  import('./run.ts'),
  import('./canaries.ts'),
  import('./canary-hunt.ts'),
])
if (planted !== true && !planted()) throw new Error(`${mutation?.file} is not loaded by the simulator`)
const { defects, kinds, clusters = null } = CANARIES.find((canary) => canary.name === name) ?? {}

for (const seed of seeds) {
  const { failure } = runSeed({ ...canaryWorld(seed, clusters), ...(defects && { defects }), ...(kinds && { kinds }) })
  const answer: CanaryAnswer = { seed, rule: failure?.rule ?? null, what: failure?.what ?? '' }
  parentPort?.postMessage(answer)
  if (failure !== null && once) break
}

/** Replaces the passage when its file is loaded, and fails where it is not what it was; returns whether it was. */
function plant({ file, find, replace }: Mutation): () => boolean {
  const url = pathToFileURL(new URL(`../../${file}`, import.meta.url).pathname).href
  let isPlanted = false
  registerHooks({
    load: (loaded, context, next) => {
      const module = next(loaded, context)
      if (loaded !== url) return module
      const parts = String(module.source).split(find)
      if (parts.length !== 2) throw new Error(`canary "${name}": ${file} has ${parts.length - 1} times: ${find}`)
      isPlanted = true
      return { ...module, source: parts.join(replace) }
    },
  })
  return () => isPlanted
}

// A user's scheduler module in a thread of its own. The leader's machine is synchronous and asks for scores in the
// middle of a step; it waits for the thread, but never longer than a bound, and a thread that hangs is ended. In the
// same thread a loop without an end would stop the whole node, leadership, tunnels and all.

import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import type { CandidateFacts, SchedulerModule } from '../user-scheduler.ts'
import { messageOf } from './deadline.ts'

/**
 * How long one round of scores may hold the node up: a fifth of a heartbeat on `lan`, and for each candidate ten times
 * what copying it to the thread and back was measured to take.
 */
export const JUDGE_MS_MAX = 50
const JUDGE_MS_PER_CANDIDATE = 0.1
/** How long loading the module may take, which holds nothing up. A guess. */
const LOAD_MS_MAX = 10_000

export interface SchedulerThread extends SchedulerModule {
  /** Resolves once the module is loaded, or cannot be: `problem()` says which. */
  readonly loaded: Promise<void>
  close(): Promise<void>
}

type Answer =
  | { readonly kind: 'loaded' | 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'problem'; readonly id: number; readonly problem: string }

export interface SchedulerThreadOptions {
  /** In place of JUDGE_MS_MAX. */
  readonly judgeMsMax?: number
}

/** Starts loading the module of that address (`file://…`). */
export function createSchedulerThread(moduleUrl: string, options: SchedulerThreadOptions = {}): SchedulerThread {
  const { judgeMsMax = JUDGE_MS_MAX } = options
  const { port1: near, port2: far } = new MessageChannel()
  const bell = new Int32Array(new SharedArrayBuffer(4))
  const workerData = { moduleUrl, port: far, bell }
  const worker = new Worker(`(${serveModule.toString()})()`, { eval: true, workerData, transferList: [far] })
  worker.unref()
  let problem: string | null = 'is not loaded yet'
  let nextId = 1

  const end = (why: string): Result<never, string> => {
    problem = why
    near.close()
    void worker.terminate()
    return err(why)
  }
  const loaded = new Promise<void>((resolve) => {
    const late = setTimeout(() => resolve(void end(`was not loaded within ${LOAD_MS_MAX} ms`)), LOAD_MS_MAX)
    late.unref()
    const settle = (why: string | null): void => {
      clearTimeout(late)
      if (problem === 'is not loaded yet') problem = why
      resolve()
    }
    worker.once('message', (first: Answer) => settle(first.kind === 'problem' ? first.problem : null))
    worker.on('error', (error) => settle(`failed: ${messageOf(error)}`))
    worker.on('exit', () => settle('ended by itself'))
  })
  worker.on('exit', () => {
    problem ??= 'ended by itself'
  })

  return {
    loaded,
    problem: () => problem,
    judge: (spec, candidates) => {
      if (problem !== null) return err(problem)
      const id = nextId++
      const before = Atomics.load(bell, 0)
      near.postMessage({ id, spec, candidates })
      const boundMs = judgeMsMax + candidates.length * JUDGE_MS_PER_CANDIDATE
      const until = performance.now() + boundMs
      while (performance.now() < until) {
        Atomics.wait(bell, 0, before, until - performance.now())
        const received = receiveMessageOnPort(near) as { readonly message: Answer } | undefined
        if (received === undefined || received.message.id !== id) continue
        const { message } = received
        return message.kind === 'problem' ? err(message.problem) : ok(message.value)
      }
      return end(`did not answer within ${Math.round(boundMs)} ms`)
    },
    close: async () => {
      problem ??= 'was closed'
      near.close()
      await worker.terminate()
    },
  }
}

/** Runs in the thread, from its own text: it can use nothing of this file. */
function serveModule(): void {
  const { parentPort, workerData } = require('node:worker_threads') as typeof import('node:worker_threads')
  const { moduleUrl, port, bell } = workerData as {
    readonly moduleUrl: string
    readonly port: import('node:worker_threads').MessagePort
    readonly bell: Int32Array
  }
  const wrong = (problem: unknown): string => (problem instanceof Error ? problem.message : String(problem))
  const serve = (functions: Record<string, unknown>): void => {
    const { filter, score } = functions as {
      filter(spec: unknown, candidate: unknown): unknown
      score(spec: unknown, candidate: unknown): unknown
    }
    const judge = (spec: unknown, candidate: CandidateFacts): unknown => {
      const refused = filter(spec, candidate)
      return refused === null || refused === undefined ? score(spec, candidate) : { refused }
    }
    port.on('message', ({ id, spec, candidates }) => {
      let answer: Answer
      try {
        const value = (candidates as CandidateFacts[]).map((candidate) => judge(spec, candidate))
        answer = { kind: 'answer', id, value: structuredClone(value) }
      } catch (problem) {
        answer = { kind: 'problem', id, problem: `threw: ${wrong(problem)}` }
      }
      port.postMessage(answer)
      Atomics.add(bell, 0, 1)
      Atomics.notify(bell, 0)
    })
  }
  import(moduleUrl).then(
    (module: Record<string, unknown>) => {
      const functions = (module.default ?? module) as Record<string, unknown>
      if (typeof functions.filter !== 'function' || typeof functions.score !== 'function') {
        parentPort?.postMessage({ kind: 'problem', id: 0, problem: 'has no functions filter and score' })
        return
      }
      serve(functions)
      parentPort?.postMessage({ kind: 'loaded', id: 0, value: null })
    },
    (problem: unknown) =>
      parentPort?.postMessage({ kind: 'problem', id: 0, problem: `cannot be loaded: ${wrong(problem)}` }),
  )
}

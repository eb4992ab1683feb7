// Fires changed messages at targets, batch by batch, and watches three things: that nothing throws, that memory does
// not grow from batch to batch, and that no single message keeps the thread for long. A batch follows from the seed,
// the target's name and its number alone, so it can be run again.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { streamOf } from '../sim/streams.ts'
import type { Target } from './target.ts'

export interface FuzzOptions {
  readonly seed: number
  readonly messages: number
  readonly targets: readonly Target[]
  /** Messages in one batch, which begins with fresh state. */
  readonly batchMessages: number
  /** Only this batch of each target. */
  readonly onlyBatch?: number | undefined
  readonly onProgress?: (text: string) => void
}

/** What a message did that none may do. */
export interface Finding {
  readonly target: string
  readonly batch: number
  readonly message: number
  readonly what: string
  readonly input: Uint8Array
}

export interface TargetSums {
  readonly name: string
  messages: number
  refused: number
  /** The most that one message took of this thread's processor time, in ms, garbage collection included. */
  worstMs: number
}

export interface FuzzResult {
  readonly targets: readonly TargetSums[]
  readonly findings: readonly Finding[]
  /** What was in use after each batch, once its state was given up and the garbage collected, in MB. */
  readonly heapMb: readonly number[]
  /** The most that was in use at the end of a batch, with its state, in MB. */
  readonly heapMbMost: number
}

/** No message may keep the event loop for longer, in ms of processor time: neighbours on this machine do not count. */
export const STALL_MS_MAX = 100
/** What is in use after a batch may be so much more in the last quarter of them than in the second, in MB. */
export const GROWTH_MB_MAX = 16
const BYTES_PER_MB = 1_048_576
const FINDINGS_MAX = 20

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

export async function runFuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { targets, batchMessages, onlyBatch, onProgress = () => undefined } = options
  const total = targets.reduce((sum, { weight }) => sum + weight, 0)
  const sums = targets.map(({ name }): TargetSums => ({ name, messages: 0, refused: 0, worstMs: 0 }))
  const findings: Finding[] = []
  const heapMb: number[] = []
  let heapMbMost = 0
  for (const [index, target] of targets.entries()) {
    const messages = Math.ceil((options.messages * target.weight) / total)
    const batches = Math.ceil(messages / batchMessages)
    for (let batch = onlyBatch ?? 0; batch < (onlyBatch === undefined ? batches : onlyBatch + 1); batch++) {
      const count = onlyBatch === undefined ? Math.min(batchMessages, messages - batch * batchMessages) : batchMessages
      const first = await runBatch(options, target, batch, count)
      heapMbMost = Math.max(heapMbMost, first.heapMb)
      addTo(sums[index] as TargetSums, first)
      findings.push(...first.findings, ...(await stallsOf(options, target, batch, first.slow)))
      collectGarbage()
      heapMb.push(usedMb())
      if (findings.length >= FINDINGS_MAX) return { targets: sums, findings, heapMb, heapMbMost }
    }
    onProgress(`${target.name}: ${(sums[index] as TargetSums).messages} messages`)
  }
  return { targets: sums, findings, heapMb, heapMbMost }
}

interface Batch {
  readonly messages: number
  readonly refused: number
  readonly worstMs: number
  /** What was in use at its end, in MB. */
  readonly heapMb: number
  readonly findings: readonly Finding[]
  /** The messages that took too long. */
  readonly slow: ReadonlyMap<number, Finding>
}

async function runBatch({ seed }: FuzzOptions, target: Target, batch: number, count: number): Promise<Batch> {
  const random = streamOf(seed, `${target.name} ${batch}`)
  const session = await target.open(random)
  const findings: Finding[] = []
  const slow = new Map<number, Finding>()
  let [messages, refused, worstMs] = [0, 0, 0]
  let input: Uint8Array = new Uint8Array(0)
  const onInput = (bytes: Uint8Array): void => {
    input = bytes
  }
  // What broke may be broken for good: the next batch has a new one.
  for (; messages < count && findings.length === 0; messages++) {
    const finding = (what: string): Finding => ({ target: target.name, batch, message: messages, what, input })
    const began = processorMs()
    try {
      const shot = session.fire(random, onInput)
      if ((shot instanceof Promise ? await shot : shot).refused) refused += 1
    } catch (problem) {
      findings.push(finding(problem instanceof Error ? (problem.stack ?? problem.message) : String(problem)))
    }
    const tookMs = processorMs() - began
    worstMs = Math.max(worstMs, tookMs)
    if (tookMs > STALL_MS_MAX) slow.set(messages, finding(`took ${Math.round(tookMs)} ms, at most ${STALL_MS_MAX}`))
  }
  const heapMb = usedMb()
  await session.end()
  return { messages, refused, worstMs, heapMb, findings, slow }
}

function addTo(sums: TargetSums, { messages, refused, worstMs }: Batch): void {
  sums.messages += messages
  sums.refused += refused
  sums.worstMs = Math.max(sums.worstMs, worstMs)
}

/** Of the messages that took too long those that do so again: the others met the collector, or the compiler. */
async function stallsOf(
  options: FuzzOptions,
  target: Target,
  batch: number,
  slow: Batch['slow'],
): Promise<readonly Finding[]> {
  if (slow.size === 0) return []
  const again = await runBatch(options, target, batch, Math.max(...slow.keys()) + 1)
  return [...slow].flatMap(([message, finding]) => (again.slow.has(message) ? [finding] : []))
}

/** By how much the last quarter of the batches left more behind than the second, in MB. */
export function growthMb(heapMb: readonly number[]): number {
  const quarter = Math.floor(heapMb.length / 4)
  if (quarter === 0) return 0
  const mean = (part: readonly number[]): number => part.reduce((sum, one) => sum + one, 0) / part.length
  return mean(heapMb.slice(-quarter)) - mean(heapMb.slice(quarter, 2 * quarter))
}

const usedMb = (): number => process.memoryUsage().heapUsed / BYTES_PER_MB

/** Of this thread; the collector's helpers and other processes do not count. */
function processorMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

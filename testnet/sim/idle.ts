// What a settled world costs while nobody wants anything of it: messages by kind, and processor time, which is the one
// figure here that no seed decides.

import type { Millis } from '../../overlay/kernel/time.ts'
import type { World } from './world.ts'

export interface KindCount {
  readonly kind: string
  readonly messages: number
  readonly bytes: number
}

export interface Idle {
  readonly virtualMs: Millis
  readonly cpuMs: number
  /** And what it took until all agreed. */
  readonly startCpuMs: number
  /** What arrived, the most frequent kind first. */
  readonly kinds: readonly KindCount[]
}

/** Lets a settled world go on for so long. */
export function idle(world: World, virtualMs: Millis, startCpuMs: number): Idle {
  const counts = world.countArrivals()
  const began = threadCpuMs()
  world.run(world.agenda.now() + virtualMs)
  const cpuMs = threadCpuMs() - began
  const kinds = [...counts].map(([kind, { messages, bytes }]) => ({ kind, messages, bytes }))
  return { virtualMs, cpuMs, startCpuMs, kinds: kinds.sort((a, b) => b.messages - a.messages) }
}

/** Processor time of this thread, in ms; other threads run other worlds. */
export const threadCpuMs = (): number => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

/** For people: what one node of so many hears in a second. */
export function idleLines({ virtualMs, cpuMs, startCpuMs, kinds }: Idle, nodes: number): readonly string[] {
  const nodeSeconds = (nodes * virtualMs) / 1_000
  const line = (name: string, messages: number, bytes: number): string => {
    const [often, much] = [(messages / nodeSeconds).toFixed(3), (bytes / nodeSeconds).toFixed(0)]
    return `${name.padEnd(34)} ${often.padStart(8)} ${much.padStart(6)} B`
  }
  const total = (of: (one: KindCount) => number): number => kinds.reduce((sum, one) => sum + of(one), 0)
  return [
    `processor    ${(startCpuMs / 1_000).toFixed(1)} s until all agreed`,
    `idle         ${(cpuMs / nodeSeconds).toFixed(3)} ms of processor time for each node and virtual second`,
    line(
      'a node hears in a second',
      total((one) => one.messages),
      total((one) => one.bytes),
    ),
    ...kinds.map(({ kind, messages, bytes }) => line(`  ${kind}`, messages, bytes)),
  ]
}

// What a process that gets too little of its machine does with what comes in: one thing after the other, each of which
// takes its time. What has come in waits meanwhile; a timer that is due goes first, as in an event loop, which looks at
// its timers before its sockets.

import type { Random } from '../../overlay/kernel/random.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { Agenda } from './agenda.ts'
import { between } from './streams.ts'

/** How slow processes are. */
export interface Load {
  /** How long a process takes to start, and until it reads what came in meanwhile. */
  readonly startMs: { readonly min: Millis; readonly max: Millis }
  /** How long each thing takes that a process is told. */
  readonly stepMs: { readonly min: Millis; readonly max: Millis }
  /** From this moment on nothing takes any time. */
  readonly until: Millis
}

export interface Desk {
  /** Carries out what has come in once all that came before it is done. */
  take(act: () => void, isTimer: boolean): void
  /** How long something waited at most since this was asked for last. */
  delayMs(): Millis
}

interface Waiting {
  readonly act: () => void
  readonly since: Millis
}

/** A desk of one process, which starts now. */
export function createDesk(agenda: Agenda, random: Random, load: Load): Desk {
  const waiting: Waiting[] = []
  let busyUntil = agenda.now() < load.until ? agenda.now() + between(random, load.startMs.min, load.startMs.max) : 0
  let isPlanned = false
  let delayMs: Millis = 0

  const carryOut = ({ act, since }: Waiting): void => {
    const now = agenda.now()
    delayMs = Math.max(delayMs, now - since)
    if (now < load.until) busyUntil = now + between(random, load.stepMs.min, load.stepMs.max)
    act()
  }

  const plan = (): void => {
    if (isPlanned || waiting.length === 0) return
    isPlanned = true
    agenda.at(busyUntil, () => {
      isPlanned = false
      const next = waiting.shift()
      if (next !== undefined) carryOut(next)
      plan()
    })
  }

  return {
    take: (act, isTimer) => {
      const one = { act, since: agenda.now() }
      if (waiting.length === 0 && busyUntil <= agenda.now()) return carryOut(one)
      if (isTimer) waiting.unshift(one)
      else waiting.push(one)
      plan()
    },
    delayMs: () => {
      const most = delayMs
      delayMs = 0
      return most
    },
  }
}

// The one alarm of a simulated process. It is set after every input, mostly to the same moment, so what is already on
// the agenda is left there and looked at again when its time comes.

import type { HostPorts } from '../../node/host.ts'
import { InvariantError } from '../../overlay/kernel/assert.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import { type Agenda, justAfter, onGrain } from './agenda.ts'

/**
 * A process that is woken so often without time passing would never stop: a bug of some `wakeAt`. Far above any honest
 * number.
 */
const WAKES_AT_ONCE_MAX = 1_000

export interface SimAlarm {
  readonly set: HostPorts['clock']['alarm']
  stop(): void
}

/** A process's own clock: where it began, and how fast it goes. */
export interface LocalClock {
  now(): Millis
  /** The first moment of the world, on the grain, at which this clock shows the given one. */
  worldTime(local: Millis): Millis
}

/** `rate` is 1 for a clock that is right, 1.01 for one that gains a second in a hundred. */
export function createLocalClock(agenda: Agenda, offset: Millis, rate: number): LocalClock {
  const shown = (moment: Millis): Millis => (rate === 1 ? moment : moment * rate) + offset
  return {
    now: () => shown(agenda.now()),
    worldTime: (local) => {
      if (rate === 1) return onGrain(local) - offset
      let moment = onGrain((local - offset) / rate)
      while (shown(moment) < local) moment = justAfter(moment)
      return moment
    },
  }
}

/** `deliver` brings the ring to the process. */
export function createAlarm(agenda: Agenda, clock: LocalClock, deliver: (ring: () => void) => void): SimAlarm {
  let wanted: Millis | null = null
  let ring: () => void = () => undefined
  let plannedFor = Number.POSITIVE_INFINITY
  let isStopped = false
  let rangAt: Millis = -1
  let ringsAtOnce = 0

  const plan = (moment: Millis): void => {
    plannedFor = moment
    agenda.at(moment, () => {
      if (plannedFor !== moment) return
      plannedFor = Number.POSITIVE_INFINITY
      if (isStopped || wanted === null) return
      if (wanted > agenda.now()) plan(wanted)
      else deliver(ringNow)
    })
  }

  const ringNow = (): void => {
    if (isStopped || wanted === null) return
    const now = agenda.now()
    ringsAtOnce = rangAt === now ? ringsAtOnce + 1 : 0
    rangAt = now
    if (ringsAtOnce > WAKES_AT_ONCE_MAX) throw new InvariantError('a node wakes itself again and again')
    wanted = null
    ring()
  }

  return {
    set: (at, next) => {
      ring = next
      wanted = at === null ? null : clock.worldTime(at)
      if (wanted !== null && wanted < plannedFor) plan(Math.max(wanted, agenda.now()))
    },
    stop: () => {
      isStopped = true
    },
  }
}

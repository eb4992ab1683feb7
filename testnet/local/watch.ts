// What happens in a fleet, as its nodes tell it: their event streams (`coppice events`), gathered as they come in. An
// event carries the node's own wall clock in whole milliseconds; on one machine that is one clock for all, so nobody
// has to be polled and watching costs next to nothing.

import { setTimeout as delay } from 'node:timers/promises'
import type { EventView } from '../../node/control.ts'
import type { FleetNode } from './fleet.ts'

/** How long after a failed attempt a node that starts is asked again for its events. */
const RETRY_MS = 50

export interface Seen extends EventView {
  /** The name of the node that told it. */
  readonly teller: string
  /** Wall clock of the teller in ms. */
  readonly atMs: number
}

export interface Watch {
  /** Listens to a node from now on, or as soon as it answers; resolves when the stream stands. */
  follow(node: FleetNode): Promise<void>
  /** What was told at or after a moment, in the order in which it arrived here. */
  since(atMs: number): readonly Seen[]
  /** Resolves with what `find` finds among what was told since a moment; null when `timeoutMs` pass without. */
  find<T>(sinceMs: number, timeoutMs: number, find: (seen: readonly Seen[]) => T | null): Promise<T | null>
  /** Forgets what was told before a moment. */
  forget(beforeMs: number): void
  close(): void
}

export function createWatch(): Watch {
  const stop = new AbortController()
  const listeners = new Set<() => void>()
  let told: Seen[] = []

  const listen = async (node: FleetNode, started: () => void): Promise<void> => {
    while (!stop.signal.aborted && node.process.exitCode === null && node.process.signalCode === null) {
      try {
        const events = node.control.events(stop.signal)[Symbol.asyncIterator]()
        // The headers come at once, the first event may take its time: who answers at all is heard from now on.
        const first = events.next()
        first.catch(() => undefined)
        await node.control.status()
        started()
        for (let next = await first; next.done !== true; next = await events.next()) {
          told.push({ ...next.value, teller: node.name, atMs: Date.parse(next.value.at) })
          for (const listener of [...listeners]) listener()
        }
      } catch {
        await delay(RETRY_MS)
      }
    }
  }

  return {
    follow: (node) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      void listen(node, resolve).finally(resolve)
      return promise
    },
    since: (atMs) => told.filter((one) => one.atMs >= atMs),
    find: (sinceMs, timeoutMs, find) => {
      const { promise, resolve } = Promise.withResolvers<ReturnType<typeof find>>()
      const look = (): void => {
        const found = find(told.filter((one) => one.atMs >= sinceMs))
        if (found !== null) resolve(found)
      }
      const timer = setTimeout(() => resolve(null), timeoutMs)
      listeners.add(look)
      look()
      return promise.finally(() => {
        clearTimeout(timer)
        listeners.delete(look)
      })
    },
    forget: (beforeMs) => {
      told = told.filter((one) => one.atMs >= beforeMs)
    },
    close: () => stop.abort(),
  }
}

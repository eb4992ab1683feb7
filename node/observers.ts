// Who watches the node: people and programs who want its events, and its own parts that wait until something has come
// about.

import type { DomainEvent } from '../overlay/kernel/effect.ts'

export interface Observers {
  /** Tells everybody of an event. */
  tell(event: DomainEvent): void
  /** Counts something at the edge of the node and tells of it. */
  notice(code: string, detail: string): void
  count(what: string): void
  readonly counters: ReadonlyMap<string, number>
  /** An input was carried out: whoever waits may look again. */
  settled(): void
  /** Returns how to stop listening. */
  onEvent(listener: (event: DomainEvent, at: number) => void): () => void
  onSettled(listener: () => void): () => void
  /** Resolves once it is so, or when the signal aborts. */
  until(isSo: () => boolean, signal: AbortSignal): Promise<void>
  /** From now on nobody is told that anything settled. */
  close(): void
}

export function createObservers(): Observers {
  const events = new Set<(event: DomainEvent, at: number) => void>()
  const waiting = new Set<() => void>()
  const counters = new Map<string, number>()
  const count = (what: string): void => void counters.set(what, (counters.get(what) ?? 0) + 1)
  const tell = (event: DomainEvent): void => {
    for (const listener of [...events]) listener(event, Date.now())
  }
  return {
    tell,
    count,
    counters,
    notice: (code, detail) => {
      count(code)
      tell({ name: code, level: 'info', fields: { detail } })
    },
    settled: () => {
      for (const listener of [...waiting]) listener()
    },
    onEvent: (listener) => subscribe(events, listener),
    onSettled: (listener) => subscribe(waiting, listener),
    until: (isSo, signal) => {
      if (isSo() || signal.aborted) return Promise.resolve()
      return new Promise((resolve) => {
        const end = (): void => {
          stop()
          signal.removeEventListener('abort', end)
          resolve()
        }
        const stop = subscribe(waiting, () => {
          if (isSo()) end()
        })
        signal.addEventListener('abort', end, { once: true })
      })
    },
    close: () => waiting.clear(),
  }
}

function subscribe<T>(set: Set<T>, listener: T): () => void {
  set.add(listener)
  return () => void set.delete(listener)
}

// What is asked of one instance happens one after the other, in the order of asking; different instances do not wait
// for each other.

import type { InstanceKey } from '../../overlay/kernel/ids.ts'

export interface KeyQueue {
  /** Runs a task after those before it. A task that may fail has to handle that itself. */
  run(key: InstanceKey, task: () => Promise<void>): void
  /** Resolves when nothing is under way. */
  idle(): Promise<void>
}

export function createKeyQueue(): KeyQueue {
  const tails = new Map<InstanceKey, Promise<void>>()
  return {
    run(key, task) {
      const tail = (tails.get(key) ?? Promise.resolve()).then(task).finally(() => {
        if (tails.get(key) === tail) tails.delete(key)
      })
      tails.set(key, tail)
    },
    async idle() {
      while (tails.size > 0) await Promise.allSettled(tails.values())
    },
  }
}

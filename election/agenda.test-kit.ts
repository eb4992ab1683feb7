// What is going to happen in a test, by time; and in the order of arrival where times are the same.

import type { Millis } from '../overlay/kernel/time.ts'

export interface Agenda {
  add(at: Millis, run: () => void): void
  /** The next thing that is due by then, null when there is none. */
  take(until: Millis): { readonly at: Millis; readonly run: () => void } | null
}

/** A binary heap. */
export function createAgenda(): Agenda {
  const heap: { at: Millis; order: number; run: () => void }[] = []
  let arrivals = 0
  const isBefore = (a: number, b: number): boolean => {
    const [x, y] = [heap[a], heap[b]]
    return x !== undefined && y !== undefined && (x.at < y.at || (x.at === y.at && x.order < y.order))
  }
  const swap = (a: number, b: number): void => {
    const [x, y] = [heap[a], heap[b]]
    if (x === undefined || y === undefined) return
    heap[a] = y
    heap[b] = x
  }
  return {
    add: (at, run) => {
      arrivals += 1
      heap.push({ at, order: arrivals, run })
      for (let child = heap.length - 1; child > 0 && isBefore(child, (child - 1) >> 1); child = (child - 1) >> 1) {
        swap(child, (child - 1) >> 1)
      }
    },
    take: (until) => {
      const first = heap[0]
      if (first === undefined || first.at > until) return null
      swap(0, heap.length - 1)
      heap.pop()
      for (let parent = 0; ; ) {
        const [left, right] = [2 * parent + 1, 2 * parent + 2]
        const smaller = right < heap.length && isBefore(right, left) ? right : left
        if (smaller >= heap.length || !isBefore(smaller, parent)) return first
        swap(parent, smaller)
        parent = smaller
      }
    },
  }
}

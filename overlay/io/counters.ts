// Things counted since the start, by name; what a stranger's nonsense comes to, and what was lost on the way.

export interface Counters {
  add(name: string, by?: number): void
  all(): Readonly<Record<string, number>>
}

export function createCounters(): Counters {
  const counts = new Map<string, number>()
  return {
    add: (name, by = 1) => {
      if (by > 0) counts.set(name, (counts.get(name) ?? 0) + by)
    },
    all: () => Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1))),
  }
}

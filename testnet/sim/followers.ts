// Who follows which topic, kept by topic: a message is heard by few topics' followers and by thousands of devices, and
// what is kept by topic is at hand for the next hearer.

export interface Followers {
  /** From now on a device follows these topics and no others. */
  follow(device: number, topics: readonly string[]): void
  of(topic: string): ReadonlySet<number>
}

export function createFollowers(): Followers {
  const byTopic = new Map<string, Set<number>>()
  const followed = new Map<number, readonly string[]>()
  return {
    follow: (device, topics) => {
      for (const topic of followed.get(device) ?? []) byTopic.get(topic)?.delete(device)
      followed.set(device, topics)
      for (const topic of topics) byTopic.set(topic, (byTopic.get(topic) ?? new Set()).add(device))
    },
    of: (topic) => byTopic.get(topic) ?? NOBODY,
  }
}

const NOBODY: ReadonlySet<number> = new Set()

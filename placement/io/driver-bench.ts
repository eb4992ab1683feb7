// What the tests of the drivers share: a record of what a driver said, handed out in order.

import type { InstanceKey } from '../../overlay/kernel/ids.ts'
import type { RuntimeDriver, RuntimeEvent } from '../runtime.ts'

export interface Listener {
  readonly events: RuntimeEvent[]
  readonly onEvent: (event: RuntimeEvent) => void
  /** The next event of a kind that nobody has taken yet. */
  next<K extends RuntimeEvent['kind']>(kind: K): Promise<Extract<RuntimeEvent, { kind: K }>>
}

/** Records events and hands them out in order. */
export function createListener(): Listener {
  const events: RuntimeEvent[] = []
  const untaken: RuntimeEvent[] = []
  const waiting = new Set<() => void>()
  return {
    events,
    onEvent(event) {
      events.push(event)
      untaken.push(event)
      for (const look of [...waiting]) look()
    },
    next<K extends RuntimeEvent['kind']>(kind: K) {
      return new Promise<Extract<RuntimeEvent, { kind: K }>>((resolve) => {
        const look = (): void => {
          const index = untaken.findIndex((event) => event.kind === kind)
          if (index < 0) return
          waiting.delete(look)
          resolve(untaken.splice(index, 1)[0] as Extract<RuntimeEvent, { kind: K }>)
        }
        waiting.add(look)
        look()
      })
    },
  }
}

/** All that is read, as text. */
export async function collect(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const piece of pieces) parts.push(piece)
  return Buffer.concat(parts).toString('utf8')
}

/** Follows a log until it ends with a text; resolves to all of it. */
export async function awaitOutput(driver: RuntimeDriver, key: InstanceKey, end = '\n'): Promise<string> {
  const reading = new AbortController()
  let text = ''
  for await (const piece of driver.logs(key, { follow: true, tail: null, sinceMs: null, signal: reading.signal })) {
    text += Buffer.from(piece).toString('utf8')
    if (text.endsWith(end)) break
  }
  reading.abort()
  return text
}

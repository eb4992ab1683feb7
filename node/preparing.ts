// The way to where a service is about to run. Who calls before anything answers will call again: by then the device is
// found, connected to, and has a line for tunnels, all of which took place while the program started.

import type { DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import { isInstance, type SealedRecord } from '../services-registry/index.ts'

/** States after which an instance may run within moments. */
const COMING: readonly string[] = ['reserved', 'pulling', 'starting']
/** Devices of one service to which ways are made: a call needs one, and a thousand replicas no thousand. A guess. */
const PREPARED_PER_CALL_MAX = 3
/** How long a way is not made again. A guess: an unused line is kept for longer. */
const PREPARED_MS = 10_000
/** Devices that are remembered for that; the one prepared for longest ago goes first. */
const PREPARED_MAX = 256
/** How long it may take. A guess: as long as a call waits for one instance. */
const PREPARE_MS_MAX = 3_000

export interface PreparingOptions {
  readonly self: NodeId
  readonly isConnected: (node: NodeId) => boolean
  readonly reach: (node: NodeId, domain: DomainPath, signal: AbortSignal) => Promise<void>
  readonly prepare: (node: NodeId, signal: AbortSignal) => Promise<void>
}

/** Begins to make ways to the devices on which, by these records, an instance is about to run; waits for nothing. */
export type Prepare = (records: readonly SealedRecord[]) => void

export function createPreparing({ self, isConnected, reach, prepare }: PreparingOptions): Prepare {
  const preparedAt = new Map<NodeId, number>()

  const isDone = (node: NodeId): boolean =>
    performance.now() - (preparedAt.get(node) ?? Number.NEGATIVE_INFINITY) < PREPARED_MS

  const note = (node: NodeId): void => {
    preparedAt.delete(node)
    preparedAt.set(node, performance.now())
    const oldest = preparedAt.keys().next().value
    if (preparedAt.size > PREPARED_MAX && oldest !== undefined) preparedAt.delete(oldest)
  }

  const makeWay = async (node: NodeId, domain: DomainPath): Promise<void> => {
    const signal = AbortSignal.timeout(PREPARE_MS_MAX)
    if (!isConnected(node)) await reach(node, domain, signal)
    await prepare(node, signal)
  }

  return (records) => {
    const coming = records
      .filter(isInstance)
      .filter(({ from, message: { live, state } }) => live && COMING.includes(state) && from !== self)
    for (const { from, message } of coming.slice(0, PREPARED_PER_CALL_MAX)) {
      if (isDone(from)) continue
      note(from)
      // Nobody waits for it: the call that comes finds out for itself what is wrong.
      makeWay(from, message.domain).catch(() => {})
    }
  }
}

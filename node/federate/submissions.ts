// After the step into another federation: what was carried along is submitted there, once the node knows who leads, and
// is forgotten once a store, or the outbox on this disk, has it.

import type { SpecRecord } from '../../services-registry/index.ts'
import { compareClocks } from '../../services-registry/index.ts'
import type { CoreView } from '../core/core-view.ts'
import type { CoreInput } from '../core/effects.ts'
import type { Disk } from '../io/disk.ts'
import { waitingFor } from '../view.ts'
import { CARRIED_PREFIX, decodeCarried } from './carried.ts'

/** Resolves to what is to be called when something may have changed. */
export async function openCarried(
  disk: Pick<Disk, 'scan' | 'write'>,
  view: CoreView,
  input: (input: CoreInput) => void,
): Promise<() => void> {
  const waiting = new Map<string, SpecRecord>()
  const submitted = new Set<string>()
  for (const [key, value] of await disk.scan(CARRIED_PREFIX)) {
    const read = decodeCarried(value)
    if (read.ok) waiting.set(key, read.value)
  }

  const isKept = ({ domain, service, clock }: SpecRecord): boolean => {
    const held = view
      .stores()
      .find((store) => store.domain === domain)
      ?.spec(service)?.message
    const isHeld = held !== undefined && compareClocks(held.clock, clock) >= 0
    return (
      isHeld || view.unaccepted().some(({ message }) => message.kind === 'record/spec' && message.service === service)
    )
  }

  return () => {
    if (waiting.size === 0 || waitingFor(view).length > 0) return
    for (const [key, record] of [...waiting]) {
      if (isKept(record)) {
        waiting.delete(key)
        disk.write(key, null, false, () => undefined)
      } else if (!submitted.has(key)) {
        submitted.add(key)
        input({ kind: 'carried', record })
      }
    }
  }
}

// What a node says of a service when it is asked: the spec that counts, where instances run, and where they were
// placed.

import { childTowards, isWithin, type ServiceId } from '../overlay/kernel/ids.ts'
import { PIECE_BYTES_MAX, PIECE_RECORDS_MAX } from './constants.ts'
import { merge } from './merge.ts'
import type { AnswerMessage } from './messages.ts'
import type { InstanceRecord, SealedRecord } from './record.ts'
import { isTombstone, slotOf } from './version.ts'
import type { StoreView } from './view.ts'
import { type Asker, maySee } from './visibility.ts'

/**
 * All that is known of a service: the spec of the nearest store that has one, then instances and placements from all
 * stores, each in its latest version, deletions left out. Null when no store knows the service.
 */
export function knownOf(stores: readonly StoreView[], service: ServiceId): readonly SealedRecord[] | null {
  const specs = stores.map((store) => store.spec(service))
  const spec = specs.find((record) => record !== null && !isTombstone(record)) ?? null
  if (spec === null) return null
  const instances = latest(stores.flatMap((store) => store.instances(service))).sort(answeringFirst)
  const rollouts = stores.flatMap((store) => store.rollout(service) ?? [])
  const placements = stores.flatMap((store) => store.placements(service))
  return [spec, ...[...rollouts, ...instances, ...placements].filter((record) => !isTombstone(record))]
}

function latest(records: readonly SealedRecord<InstanceRecord>[]): SealedRecord<InstanceRecord>[] {
  const bySlot = new Map<string, SealedRecord<InstanceRecord>>()
  for (const record of records) {
    const other = bySlot.get(slotOf(record))
    if (other === undefined || merge(record, other) === record) bySlot.set(slotOf(record), record)
  }
  return [...bySlot.values()]
}

/** Where not all fit, those that answer calls matter most. */
const answeringFirst = (a: SealedRecord<InstanceRecord>, b: SealedRecord<InstanceRecord>): number =>
  Number(b.message.state === 'running') - Number(a.message.state === 'running') || a.message.number - b.message.number

/** The same, for who may see it; null for all others. */
export function knownTo(
  stores: readonly StoreView[],
  service: ServiceId,
  asker: Asker,
): readonly SealedRecord[] | null {
  const known = knownOf(stores, service)
  if (known === null) return null
  return maySee(known, asker) || stores.some((store) => runsOneBeside(store, service, asker)) ? known : null
}

/** Whether the asker's part of a domain runs another service of that operator and namespace, which may call it. */
function runsOneBeside(store: StoreView, service: ServiceId, { domain, node }: Asker): boolean {
  if (!isWithin(domain, store.domain)) return false
  const operator = store.spec(service)?.signer.operator
  return store
    .placedOn(childTowards(store.domain, domain, node))
    .map(({ message }) => message.service)
    .some((other) => namespaceOf(other) === namespaceOf(service) && store.spec(other)?.signer.operator === operator)
}

/** Of the application: who calls from it may call all that is in it. */
const namespaceOf = (service: ServiceId): string => service.split('.')[1] ?? ''

/** As many of the records as fit one message; to who may not see the service, that there is none. */
export function answerFor(
  stores: readonly StoreView[],
  asked: Pick<AnswerMessage, 'domain' | 'service' | 'requestId'>,
  asker: Asker,
): AnswerMessage {
  const known = knownTo(stores, asked.service, asker)
  const records: SealedRecord[] = []
  let bytes = 0
  for (const record of known ?? []) {
    bytes += record.bytes.length
    if (bytes > PIECE_BYTES_MAX || records.length >= PIECE_RECORDS_MAX) break
    records.push(record)
  }
  return { kind: 'registry/answer', ...asked, records, found: known !== null }
}

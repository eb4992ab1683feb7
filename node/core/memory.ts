// What a node remembers from its disk, read all at once before it says its first word. The simulator reads its disks
// with this too.

import type { Announcement } from '../../election/index.ts'
import { type DomainPath, ROOT } from '../../overlay/kernel/ids.ts'
import {
  decodeIncarnation,
  encodeIncarnation,
  incarnationKey,
  memberKeyPrefix,
  type SealedStatement,
} from '../../overlay/membership/index.ts'
import type { Opened, Sealer } from '../../overlay/wire/envelope.ts'
import { KEPT_PREFIX, PRESSURE_KEY } from '../../placement/index.ts'
import { OUTBOX_PREFIX, type SealedRecord, type SpecRecord } from '../../services-registry/index.ts'
import type { CoreMessage } from './effects.ts'

const STORE_PREFIX = 'store/'
const LEADERS_PREFIX = 'leaders/'

/** What the disk held, opened and checked. */
export interface CoreMemory {
  /** Already raised above that of the last start, and on the disk. */
  readonly incarnation: number
  readonly election: Uint8Array | null
  readonly members: readonly SealedStatement[]
  readonly leaders: readonly Opened<Announcement>[]
  readonly records: ReadonlyMap<DomainPath, readonly SealedRecord[]>
  readonly outbox: readonly SealedRecord<SpecRecord>[]
  /** What the worker persisted. */
  readonly worker: readonly Uint8Array[]
  /** What pressure did to the instances. */
  readonly pressure: Uint8Array | null
}

/** A disk as it is read at a start: whole values by key. */
export type Stored = ReadonlyMap<string, Uint8Array>

/** What has to be on the disk, with sync, before a core is made of the memory. */
export interface RaisedIncarnation {
  readonly key: string
  readonly value: Uint8Array
}

/** What the core remembers, its incarnation raised by one; what cannot be opened is passed over. */
export function readMemory(
  stored: Stored,
  domain: DomainPath,
  sealer: Sealer<CoreMessage>,
): { readonly memory: CoreMemory; readonly raised: RaisedIncarnation } {
  const opened = (prefix: string): readonly Opened<CoreMessage>[] =>
    [...withPrefix(stored, prefix).values()].flatMap((bytes) => {
      const one = sealer.open(bytes)
      return one.ok ? [one.value] : []
    })
  const key = incarnationKey(domain)
  const last = stored.get(key)
  const incarnation = ((last === undefined ? null : decodeIncarnation(last)) ?? 0) + 1
  const memory: CoreMemory = {
    incarnation,
    election: stored.get(`election/${domain}`) ?? null,
    members: opened(memberKeyPrefix(domain)) as readonly SealedStatement[],
    leaders: opened(LEADERS_PREFIX) as readonly Opened<Announcement>[],
    records: byDomain(withPrefix(stored, STORE_PREFIX), sealer),
    outbox: opened(OUTBOX_PREFIX) as readonly SealedRecord<SpecRecord>[],
    worker: [...withPrefix(stored, KEPT_PREFIX).values()],
    pressure: stored.get(PRESSURE_KEY) ?? null,
  }
  return { memory, raised: { key, value: encodeIncarnation(incarnation) } }
}

/** In the order of their keys, as a disk gives them. */
const withPrefix = (stored: Stored, prefix: string): Stored =>
  new Map([...stored].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1)))

/** The records of each store: its domain stands in the key, between `store/` and the record's own. */
function byDomain(found: Stored, sealer: Sealer<CoreMessage>): ReadonlyMap<DomainPath, readonly SealedRecord[]> {
  const records = new Map<DomainPath, SealedRecord[]>()
  for (const [key, bytes] of found) {
    const opened = sealer.open(bytes)
    const domain = domainOfStoreKey(key)
    if (!opened.ok || domain === null) continue
    const known = records.get(domain) ?? []
    known.push(opened.value as SealedRecord)
    records.set(domain, known)
  }
  return records
}

function domainOfStoreKey(key: string): DomainPath | null {
  const rest = key.slice(STORE_PREFIX.length)
  if (rest.startsWith('///')) return ROOT
  const cut = rest.indexOf('//')
  return cut <= 0 ? null : (rest.slice(0, cut) as DomainPath)
}

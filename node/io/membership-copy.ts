// A second copy of what makes the folder a member, beside the keys: the charter, the node's own credential, where to
// meet the others, and how often it was started. A store that was damaged and moved away is replaced by an empty one,
// and the node is still who it was, in a later life.

import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { CHARTER_BYTES_MAX } from '../../bootstrap/charter-entry.ts'
import { CHARTER_KEY, OWN_CREDENTIAL_KEY } from '../../bootstrap/io/store.ts'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { incarnationKey } from '../../overlay/membership/index.ts'
import { decodeCbor, encodeCbor, NotCbor } from '../../overlay/wire/cbor.ts'
import type { Disk } from './disk.ts'
import { PORT_KEY } from './ports.ts'

/** Members that the node knew of before it met anybody. */
export const SEEDS_KEY = 'node/seeds'
const COPIED_KEYS = [CHARTER_KEY, SEEDS_KEY, PORT_KEY, OWN_CREDENTIAL_KEY]
const COPY_FILE = 'membership'
const OWNER_ONLY = 0o600
/** A relation: a charter at its bound, and room for the rest. */
const COPY_BYTES_MAX = CHARTER_BYTES_MAX + 65_536

/** Puts the copy into a store that knows of no membership; what a store says itself is the newer word. */
export async function restoreMembership(dataDir: string, disk: Disk): Promise<void> {
  if ((await disk.get(OWN_CREDENTIAL_KEY)) !== null) return
  const copy = await readFile(join(dataDir, COPY_FILE)).catch(() => null)
  const values = copy === null || copy.length > COPY_BYTES_MAX ? {} : readCopy(new Uint8Array(copy))
  // The credential last: it is what says that there is a membership.
  const keys = [...Object.keys(values).filter((key) => key !== OWN_CREDENTIAL_KEY), OWN_CREDENTIAL_KEY]
  for (const key of keys) {
    const value = values[key]
    if (value instanceof Uint8Array) await disk.put(key, value, { sync: true })
  }
}

/** A damaged copy is none. */
function readCopy(copy: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    return (decodeCbor(copy) ?? {}) as Readonly<Record<string, unknown>>
  } catch (problem) {
    if (problem instanceof NotCbor) return {}
    throw problem
  }
}

/**
 * Brings the copy up to date. Whole or not at all: a new file takes the place of the old one. The incarnation is in it,
 * because what a node says of itself and of its instances is taken for old news under a lower one.
 */
export async function copyMembership(dataDir: string, disk: Disk, domain: DomainPath): Promise<void> {
  const keys = [...COPIED_KEYS, incarnationKey(domain)]
  const values = await Promise.all(keys.map(async (key) => [key, await disk.get(key)] as const))
  const content = encodeCbor(Object.fromEntries(values))
  const path = join(dataDir, COPY_FILE)
  const known = await readFile(path).catch(() => null)
  if (known?.equals(content)) return
  const file = await open(`${path}.new`, 'w', OWNER_ONLY)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.new`, path)
}

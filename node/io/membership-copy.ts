// A second copy of what makes the folder a member, beside the keys: the charter, the node's own credential, where to
// meet the others, and how often it was started. A store that was damaged and moved away is replaced by an empty one,
// and the node is still who it was, in a later life.

import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { CHARTER_KEY, OWN_CREDENTIAL_KEY } from '../../bootstrap/io/store.ts'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { incarnationKey } from '../../overlay/membership/index.ts'
import { decodeBounded, encodeCbor } from '../../overlay/wire/codec.ts'
import type { Disk } from './disk.ts'
import { PORT_KEY } from './ports.ts'

/** Members that the node knew of before it met anybody. */
export const SEEDS_KEY = 'node/seeds'
const COPIED_KEYS = [CHARTER_KEY, SEEDS_KEY, PORT_KEY, OWN_CREDENTIAL_KEY]
const COPY_FILE = 'membership'
const OWNER_ONLY = 0o600

/** Puts the copy into a store that knows of no membership; what a store says itself is the newer word. */
export async function restoreMembership(dataDir: string, disk: Disk): Promise<void> {
  if ((await disk.get(OWN_CREDENTIAL_KEY)) !== null) return
  const copy = await readFile(join(dataDir, COPY_FILE)).catch(() => null)
  const read = copy === null ? null : decodeBounded(new Uint8Array(copy))
  const values = read?.ok ? (read.value as Readonly<Record<string, unknown>>) : {}
  // The credential last: it is what says that there is a membership.
  const keys = [...Object.keys(values).filter((key) => key !== OWN_CREDENTIAL_KEY), OWN_CREDENTIAL_KEY]
  for (const key of keys) {
    const value = values[key]
    if (value instanceof Uint8Array) await disk.put(key, value, { sync: true })
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

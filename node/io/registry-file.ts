// The logins of registries that people gave to this node: one file in its folder, for its owner alone. They leave the
// device only for another one that may have them (node/registry-logins.ts), over a connection that only it can read.

import { join } from 'node:path'
import type { RegistryLogin } from '../../placement/registry-login.ts'
import { CoppiceError } from '../errors.ts'
import { openOwnerFile } from './owner-file.ts'

export const REGISTRIES_FILE = 'registries.json'
/** Logins of one node. A guess: an operator has a handful. */
const LOGINS_MAX = 64

export interface RegistryFile {
  /** By name of the registry. */
  all(): readonly RegistryLogin[]
  of(registry: string): RegistryLogin | null
  /** Takes the place of an earlier one for the same registry; on disk when it resolves. */
  put(login: RegistryLogin): Promise<void>
  /** Whether there was one. */
  remove(registry: string): Promise<boolean>
}

/** Reads what is there; a file that cannot be read is an error, because the next login would overwrite it. */
export async function openRegistryFile(dataDir: string): Promise<RegistryFile> {
  const file = await openOwnerFile<ReadonlyMap<string, RegistryLogin>>({
    path: join(dataDir, REGISTRIES_FILE),
    empty: new Map(),
    parse: (text) => {
      const found = JSON.parse(text) as readonly RegistryLogin[]
      return new Map(found.map(({ registry, username, password }) => [registry, { registry, username, password }]))
    },
    print: (logins) => JSON.stringify([...logins.values()]),
    remedy: 'Move it away and log in again.',
  })
  return {
    all: () => [...file.content().values()].sort((a, b) => (a.registry < b.registry ? -1 : 1)),
    of: (registry) => file.content().get(registry) ?? null,
    put: async (login) => {
      const logins = file.content()
      if (!logins.has(login.registry) && logins.size >= LOGINS_MAX) {
        const problem = `this node keeps the logins of ${LOGINS_MAX} registries`
        throw new CoppiceError('too-many-logins', problem, '`coppice registry logout HOST` makes room.')
      }
      await file.save(new Map([...logins, [login.registry, login]]))
    },
    remove: async (registry) => {
      const logins = file.content()
      if (!logins.has(registry)) return false
      await file.save(new Map([...logins].filter(([name]) => name !== registry)))
      return true
    },
  }
}

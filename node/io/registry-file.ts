// The logins of registries that people gave to this node: one file in its folder, for its owner alone. They leave the
// device only for another one that may have them (node/registry-logins.ts), over a connection that only it can read.

import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { RegistryLogin } from '../../placement/registry-login.ts'
import { CoppiceError } from '../errors.ts'

export const REGISTRIES_FILE = 'registries.json'
const OWNER_ONLY = 0o600
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
  const path = join(dataDir, REGISTRIES_FILE)
  let logins = await read(path)
  let writing: Promise<void> = Promise.resolve()
  const save = (next: ReadonlyMap<string, RegistryLogin>): Promise<void> => {
    logins = next
    const content = JSON.stringify([...next.values()])
    const task = (): Promise<void> => write(path, content)
    writing = writing.then(task, task)
    return writing
  }
  return {
    all: () => [...logins.values()].sort((a, b) => (a.registry < b.registry ? -1 : 1)),
    of: (registry) => logins.get(registry) ?? null,
    put: async (login) => {
      if (!logins.has(login.registry) && logins.size >= LOGINS_MAX) {
        const problem = `this node keeps the logins of ${LOGINS_MAX} registries`
        throw new CoppiceError('too-many-logins', problem, '`coppice registry logout HOST` makes room.')
      }
      await save(new Map([...logins, [login.registry, login]]))
    },
    remove: async (registry) => {
      if (!logins.has(registry)) return false
      await save(new Map([...logins].filter(([name]) => name !== registry)))
      return true
    },
  }
}

async function read(path: string): Promise<ReadonlyMap<string, RegistryLogin>> {
  const text = await readFile(path, 'utf8').catch((problem: NodeJS.ErrnoException) => {
    if (problem.code === 'ENOENT') return '[]'
    throw problem
  })
  try {
    const found = JSON.parse(text) as readonly RegistryLogin[]
    return new Map(found.map(({ registry, username, password }) => [registry, { registry, username, password }]))
  } catch {
    // The parser's own words would quote what it read.
    throw new CoppiceError('damaged-file', `${path} is damaged`, 'Move it away and log in again.')
  }
}

/** Whole or not at all, and never readable for others. */
async function write(path: string, content: string): Promise<void> {
  const draft = `${path}.new`
  const file = await open(draft, 'w', OWNER_ONLY)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(draft, path)
}

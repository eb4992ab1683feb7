// What an instance gets of its secrets: files that only it reads, and variables. They are asked for at each start and
// lie on this device for as long as the instance is its.

import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { plainName } from '../instance-name.ts'
import type { Launch, SecretSource } from '../runtime.ts'
import type { ServiceSpec } from '../spec.ts'

/** Where a container finds them. */
const SECRETS_MOUNT = '/run/secrets'
/** The variable that tells a process where they are. */
export const SECRETS_VARIABLE = 'COPPICE_SECRETS'
/** The folder above keeps everybody else out; inside a container some other user may be meant to read them. */
const KEPT_OUT_MODE = 0o700
const FOLDER_MODE = 0o755
const FILE_MODE = 0o444

export interface ProvidedSecrets {
  /** The folder with one file for each; null where none is wanted as a file. */
  readonly folder: string | null
  readonly environment: Readonly<Record<string, string>>
}

const NONE: ProvidedSecrets = { folder: null, environment: {} }
const rootOf = (dataDir: string): string => join(dataDir, 'secrets')
const folderOf = (dataDir: string, key: Launch['key']): string => join(rootOf(dataDir), plainName(key))

/** Gets what the spec names; throws with a sentence that names what could not be had, and never what it is. */
export async function provideSecrets(
  dataDir: string,
  { key, spec }: Pick<Launch, 'key' | 'spec'>,
  source: SecretSource | undefined,
  signal: AbortSignal,
): Promise<ProvidedSecrets> {
  const uses = spec.secrets ?? []
  if (uses.length === 0) return NONE
  const names = [...new Set(uses.map(({ name }) => name))]
  const found = (await source?.of(key, names, signal)) ?? new Map<string, Uint8Array>()
  const missing = names.filter((name) => !found.has(name))
  if (missing.length > 0) {
    throw new Error(`no device of its operator that can be reached has the secret ${missing.join(', ')}`)
  }
  const folder = folderOf(dataDir, key)
  await rm(folder, { recursive: true, force: true })
  await mkdir(rootOf(dataDir), { recursive: true, mode: KEPT_OUT_MODE })
  await mkdir(folder, { mode: FOLDER_MODE })
  const environment: Record<string, string> = {}
  for (const { name, environment: variable } of uses) {
    const value = found.get(name) as Uint8Array
    if (variable !== null) environment[variable] = Buffer.from(value).toString('utf8')
    else await writeFile(join(folder, name), value, { mode: FILE_MODE })
  }
  // The mask of this process may have taken rights away that others in a container need.
  await chmod(folder, FOLDER_MODE)
  return { folder, environment }
}

/** What a container is made from: its folder of secrets is mounted, its variables are set. */
export const withSecrets = (spec: ServiceSpec, { folder, environment }: ProvidedSecrets): ServiceSpec => ({
  ...spec,
  environment: { ...spec.environment, ...environment },
  volumes: folder === null ? spec.volumes : [...spec.volumes, `${folder}:${SECRETS_MOUNT}:ro`],
})

/** Forgets what an instance was given. */
export const forgetSecrets = (dataDir: string, key: Launch['key']): Promise<void> =>
  rm(folderOf(dataDir, key), { recursive: true, force: true })

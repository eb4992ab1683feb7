// Fetches the files that stand in an instance before its start, and keeps them: a device that starts without a network
// uses those of the last time.

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { copyFile, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import type Docker from 'dockerode'
import { type FileSource, readAddedFile, TAR_END, tarHeader, tarPadding } from '../added-files.ts'
import { plainName } from '../instance-name.ts'
import type { Launch } from '../runtime.ts'
import { limited, messageOf } from './deadline.ts'
import { answerWithin } from './docker-engine.ts'

/** The most bytes in one file. A guess: models and firmware fit, images of whole systems belong into a registry. */
const FILE_BYTES_MAX = 256_000_000
/** How long one file may take, in ms. A guess: the largest over 10 Mbit/s. */
const FETCH_MS_MAX = 240_000
/** Files may hold secrets of the service. */
const FOLDER_MODE = 0o700

export interface FetchedFile {
  readonly source: FileSource
  readonly file: string
  readonly size: number
}

const filesFolder = (dataDir: string, key: Launch['key']): string => join(dataDir, 'files', plainName(key))

/** Fetches what the spec asks for; throws with a sentence that names what could not be had. */
export async function fetchAddedFiles(
  dataDir: string,
  { key, spec }: Launch,
  onWarning: (text: string) => void,
  signal: AbortSignal,
): Promise<readonly FetchedFile[]> {
  const fetched: FetchedFile[] = []
  for (const asked of spec.addedFiles) {
    const source = readAddedFile(asked)
    if (!source.ok) throw new Error(source.error)
    const folder = filesFolder(dataDir, key)
    await mkdir(folder, { recursive: true, mode: FOLDER_MODE })
    const file = join(folder, createHash('sha256').update(source.value.url).digest('hex'))
    await provide(source.value, file, onWarning, signal)
    fetched.push({ source: source.value, file, size: (await stat(file)).size })
  }
  return fetched
}

/** Forgets what was fetched for an instance. */
export const forgetAddedFiles = (dataDir: string, key: Launch['key']): Promise<void> =>
  rm(filesFolder(dataDir, key), { recursive: true, force: true })

async function provide(
  source: FileSource,
  file: string,
  onWarning: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const kept = await digestOf(file)
  if (kept !== null && kept === source.sha256) return
  const draft = `${file}.new`
  try {
    await fetchTo(source, draft, limited(signal, FETCH_MS_MAX))
    await rename(draft, file)
  } catch (error) {
    await rm(draft, { force: true })
    const problem = `the file ${source.url} cannot be had: ${messageOf(error)}`
    // One that must have a digest has just been found to have another.
    if (kept === null || source.sha256 !== null) throw new Error(problem)
    onWarning(`${problem}; the one of the last time is used`)
  }
}

const digestOf = (file: string): Promise<string | null> =>
  readFile(file).then(
    (content) => createHash('sha256').update(content).digest('hex'),
    () => null,
  )

async function fetchTo({ url, sha256 }: FileSource, draft: string, signal: AbortSignal): Promise<void> {
  const answer = await fetch(url, { signal })
  if (!answer.ok || answer.body === null) throw new Error(`the server answered ${answer.status}`)
  const hash = createHash('sha256')
  const out = await open(draft, 'w', 0o600)
  let size = 0
  try {
    for await (const piece of answer.body) {
      size += piece.length
      if (size > FILE_BYTES_MAX) throw new Error(`it is larger than ${FILE_BYTES_MAX / 1_000_000} MB`)
      hash.update(piece)
      await out.write(piece)
    }
  } finally {
    await out.close()
  }
  const digest = hash.digest('hex')
  if (sha256 !== null && digest !== sha256) throw new Error(`its sha256 is ${digest} and not ${sha256}`)
}

/** Copies them below a folder. */
export async function placeFiles(files: readonly FetchedFile[], folder: string): Promise<void> {
  for (const { source, file } of files) {
    const target = join(folder, ...source.parts)
    await mkdir(dirname(target), { recursive: true })
    await copyFile(file, target)
  }
}

/** Copies them into a container that was not started yet, wherever its engine is. */
export async function packFiles(files: readonly FetchedFile[], container: Docker.Container): Promise<void> {
  if (files.length === 0) return
  const headers = files.map(({ source, size }) => {
    const header = tarHeader(source.parts, size)
    if (!header.ok) throw new Error(header.error)
    return header.value
  })
  async function* archive(): AsyncGenerator<Uint8Array> {
    for (const [index, { file, size }] of files.entries()) {
      yield headers[index] as Uint8Array
      yield* createReadStream(file)
      yield tarPadding(size)
    }
    yield TAR_END
  }
  await answerWithin(container.putArchive(Readable.from(archive(), { objectMode: false }), { path: '/' }), FETCH_MS_MAX)
}

// The node's one store on disk. Writes are gathered while one is under way, so a burst of votes and records costs one
// flush.

import { ClassicLevel } from 'classic-level'
import { CoppiceError } from '../errors.ts'

export interface Disk {
  /** All values whose key starts with `prefix`, by key. */
  scan(prefix: string): Promise<ReadonlyMap<string, Uint8Array>>
  get(key: string): Promise<Uint8Array | null>
  put(key: string, value: Uint8Array, options: { readonly sync: boolean }): Promise<void>
  del(key: string): Promise<void>
  /**
   * Calls `done` once the write (null deletes) is done, with `sync` once it is on disk. A failure goes to `onFailed`.
   */
  write(key: string, value: Uint8Array | null, sync: boolean, done: () => void): void
  close(): Promise<void>
}

interface Write {
  readonly key: string
  readonly value: Uint8Array | null
  readonly sync: boolean
  readonly done: () => void
  readonly fail: (problem: Error) => void
}

/**
 * Opens (or makes) the store in a folder. Rejects with CoppiceError: `folder-in-use` when another node has it open,
 * `store-damaged` when it cannot be read.
 */
export async function openDisk(folder: string, onFailed: (problem: CoppiceError) => void): Promise<Disk> {
  const level = new ClassicLevel<string, Uint8Array>(folder, { keyEncoding: 'utf8', valueEncoding: 'view' })
  try {
    await level.open()
  } catch (problem) {
    throw openProblem(folder, problem)
  }
  let queued: Write[] = []
  let flushing: Promise<void> | null = null

  const flush = async (): Promise<void> => {
    while (queued.length > 0) {
      const writes = queued
      queued = []
      const operations = writes.map(({ key, value }) =>
        value === null ? ({ type: 'del', key } as const) : ({ type: 'put', key, value } as const),
      )
      try {
        await level.batch(operations, { sync: writes.some((write) => write.sync) })
      } catch (problem) {
        const failure = writeProblem(folder, problem)
        for (const write of writes) write.fail(failure)
        continue
      }
      for (const write of writes) write.done()
    }
    flushing = null
  }

  const enqueue = (write: Write): void => {
    queued.push(write)
    flushing ??= Promise.resolve().then(flush)
  }

  return {
    scan: (prefix) =>
      reading(folder, async () => {
        const found = new Map<string, Uint8Array>()
        for await (const [key, value] of level.iterator({ gte: prefix, lt: `${prefix}\uffff` })) found.set(key, value)
        return found
      }),
    get: (key) => reading(folder, async () => (await level.get(key)) ?? null),
    put: (key, value, { sync }) => new Promise((done, fail) => enqueue({ key, value, sync, done, fail })),
    del: (key) => new Promise((done, fail) => enqueue({ key, value: null, sync: false, done, fail })),
    write: (key, value, sync, done) => enqueue({ key, value, sync, done, fail: onFailed as (problem: Error) => void }),
    close: async () => {
      await flushing
      await level.close()
    },
  }
}

function openProblem(folder: string, problem: unknown): CoppiceError {
  const cause = problem instanceof Error && problem.cause instanceof Error ? problem.cause : problem
  const detail = cause instanceof Error ? cause.message : String(cause)
  const code = (cause as { code?: string }).code
  if (code === 'LEVEL_LOCKED') {
    return new CoppiceError(
      'folder-in-use',
      `another node already runs with the store ${folder}`,
      'Stop it, or give this one a folder of its own with --data.',
    )
  }
  if (/no space|ENOSPC/i.test(detail)) return fullDisk(folder, detail)
  return damaged(folder, `cannot be opened: ${detail}`)
}

/** A damaged block shows only when it is read. */
async function reading<T>(folder: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (problem) {
    const { code, message } = problem as Error & { readonly code?: string }
    throw code === 'LEVEL_CORRUPTION' ? damaged(folder, `cannot be read: ${message}`) : problem
  }
}

const damaged = (folder: string, problem: string): CoppiceError =>
  new CoppiceError(
    'store-damaged',
    `the store ${folder} ${problem}`,
    'Move that folder away and start again: the node stays who it is, relearns what is shared from its cluster, ' +
      'and votes again once it is promoted.',
  )

function writeProblem(folder: string, problem: unknown): CoppiceError {
  const detail = problem instanceof Error ? problem.message : String(problem)
  if (/no space|ENOSPC/i.test(detail)) return fullDisk(folder, detail)
  return new CoppiceError(
    'store-failed',
    `writing to the store ${folder} failed: ${detail}`,
    'Check the disk; nothing that was promised is lost, and the node goes on from there when it is started again.',
  )
}

const fullDisk = (folder: string, detail: string): CoppiceError =>
  new CoppiceError(
    'disk-full',
    `the disk that holds ${folder} is full: ${detail}`,
    'Make room and start the node again; what it had promised is on disk, and what it runs goes on running.',
  )

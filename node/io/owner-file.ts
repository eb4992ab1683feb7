// A file in a node's folder that its owner alone may read: replaced whole or not at all, one write after the other.

import { open, readFile, rename } from 'node:fs/promises'
import { CoppiceError } from '../errors.ts'

const OWNER_ONLY = 0o600

export interface OwnerFile<Content> {
  content(): Content
  /** On disk when it resolves. */
  save(next: Content): Promise<void>
}

export interface OwnerFileOptions<Content> {
  readonly path: string
  /** What counts where there is no file yet. */
  readonly empty: Content
  /** Throws, with whatever problem, at what it cannot make sense of. */
  readonly parse: (text: string) => Content
  readonly print: (content: Content) => string
  /** What people do about a damaged file. */
  readonly remedy: string
}

/** Rejects with CoppiceError `damaged-file`, because the next write would overwrite what could not be read. */
export async function openOwnerFile<Content>(options: OwnerFileOptions<Content>): Promise<OwnerFile<Content>> {
  const { path, print } = options
  let content: Content = await read(options)
  let writing: Promise<void> = Promise.resolve()
  return {
    content: () => content,
    save: (next) => {
      content = next
      const task = (): Promise<void> => write(path, print(next))
      writing = writing.then(task, task)
      return writing
    },
  }
}

async function read<Content>({ path, empty, parse, remedy }: OwnerFileOptions<Content>): Promise<Content> {
  const text = await readFile(path, 'utf8').catch((problem: NodeJS.ErrnoException) => {
    if (problem.code === 'ENOENT') return null
    throw problem
  })
  if (text === null) return empty
  try {
    return parse(text)
  } catch {
    // The parser's own words would quote what it read.
    throw new CoppiceError('damaged-file', `${path} is damaged`, remedy)
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

// What a node keeps of secrets, in one file in its folder: those of its operator, and those that were handed to it for
// an instance, so that it starts again without a network. Each is sealed to the node's own key; a copy of the file
// alone is worth nothing.

import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { CoppiceError } from '../errors.ts'

const SECRETS_FILE = 'secrets.json'
const OWNER_ONLY = 0o600

interface KeptSecret {
  readonly name: string
  /** When it was set, ISO 8601; the later one counts. */
  readonly at: string
  /** Sealed to this node, in base64. Empty where it was removed: that has to be told on. */
  readonly box: string
}

interface LentSecret {
  readonly instance: string
  readonly name: string
  readonly box: string
}

interface Content {
  readonly kept: readonly KeptSecret[]
  readonly lent: readonly LentSecret[]
}

export interface SecretFile {
  content(): Content
  /** On disk when it resolves. */
  save(content: Content): Promise<void>
}

export async function openSecretFile(dataDir: string): Promise<SecretFile> {
  const path = join(dataDir, SECRETS_FILE)
  let content = await read(path)
  let writing: Promise<void> = Promise.resolve()
  return {
    content: () => content,
    save: (next) => {
      content = next
      const task = (): Promise<void> => write(path, JSON.stringify(next))
      writing = writing.then(task, task)
      return writing
    },
  }
}

async function read(path: string): Promise<Content> {
  const text = await readFile(path, 'utf8').catch((problem: NodeJS.ErrnoException) => {
    if (problem.code === 'ENOENT') return '{"kept":[],"lent":[]}'
    throw problem
  })
  try {
    const { kept, lent } = JSON.parse(text) as Content
    return { kept: [...kept], lent: [...lent] }
  } catch {
    throw new CoppiceError('damaged-file', `${path} is damaged`, 'Move it away and set the secrets again.')
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

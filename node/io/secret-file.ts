// What a node keeps of secrets, in one file in its folder: those of its operator, and those that were handed to it for
// an instance, so that it starts again without a network. Each is sealed to the node's own key; a copy of the file
// alone is worth nothing.

import { join } from 'node:path'
import { type OwnerFile, openOwnerFile } from './owner-file.ts'

const SECRETS_FILE = 'secrets.json'

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

export type SecretFile = OwnerFile<Content>

export const openSecretFile = (dataDir: string): Promise<SecretFile> =>
  openOwnerFile<Content>({
    path: join(dataDir, SECRETS_FILE),
    empty: { kept: [], lent: [] },
    parse: (text) => {
      const { kept, lent } = JSON.parse(text) as Content
      return { kept: [...kept], lent: [...lent] }
    },
    print: JSON.stringify,
    remedy: 'Move it away and set the secrets again.',
  })

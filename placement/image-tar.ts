// Looks through an image on its way from a peer to the engine. The engine checks all content against its digests by
// itself, but it also gives images whatever names the archive says: one that brings names, or another image than was
// promised, is stopped before its end, so that the engine takes nothing from it.

import { err, ok, type Result } from '../overlay/kernel/result.ts'

/** tar(5), POSIX ustar: blocks of 512 bytes; name, size (octal) and kind stand at these places in a header. */
const BLOCK_BYTES = 512
const NAME_BYTES = 100
const SIZE_AT = 124
const SIZE_BYTES = 12
const KIND_AT = 156
/** `x` and `g` hold further fields of the next entry, `L` and `K` its long names. */
const FURTHER_FIELDS = ['x', 'g', 'L', 'K']
/** The texts that are read; layers are not kept. Docker's own are a few kB. */
const TEXT_BYTES_MAX = 1_000_000

/** What `docker save` calls the list of its images, since 2016 (Docker image specification v1.2). */
const MANIFEST = 'manifest.json'
/** Entries that give names to images: the first version's list, and the annotations of an OCI layout. */
const NAMES = 'repositories'
const INDEX = 'index.json'
const NAME_ANNOTATIONS = /"(io\.containerd\.image\.name|org\.opencontainers\.image\.ref\.name)"/

export interface ImageCheck {
  /** Looks at the next piece; an error says why the image must not reach the engine whole. */
  take(piece: Uint8Array): Result<null, string>
  /** Whether all of it was there. */
  end(): Result<null, string>
}

/** Checks an archive that is to hold the image with this id (`sha256:…`) and no names. */
export function createImageCheck(id: string): ImageCheck {
  const header = Buffer.alloc(BLOCK_BYTES)
  let headerBytes = 0
  /** Bytes of the current entry and its padding that are still to come. */
  let left = 0
  let textLeft = 0
  let name = ''
  let text: Uint8Array[] = []
  let hasManifest = false

  const open = (): string | null => {
    headerBytes = 0
    if (header.every((byte) => byte === 0)) return null
    name = header.toString('utf8', 0, NAME_BYTES).replace(/\0.*$/s, '').replace(/^\.\//, '')
    const size = Number.parseInt(header.toString('latin1', SIZE_AT, SIZE_AT + SIZE_BYTES), 8)
    const kind = header.toString('latin1', KIND_AT, KIND_AT + 1)
    // Sizes from 8 GiB are written in another way; no layer that fits an edge device has one.
    if (!Number.isSafeInteger(size) || size < 0) return 'an entry has no readable size'
    if (name === NAMES) return 'it brings names for images'
    const isRead = name === MANIFEST || name === INDEX || FURTHER_FIELDS.includes(kind)
    if (isRead && size > TEXT_BYTES_MAX) return `${name} is too long`
    if (FURTHER_FIELDS.includes(kind)) name = `further ${kind}`
    left = Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES
    textLeft = isRead ? size : 0
    text = []
    return null
  }

  const close = (): string | null => {
    const said = Buffer.concat(text).toString('utf8')
    text = []
    // A further field could rename the entry that follows.
    if (name === 'further L' || name === 'further K' || (name.startsWith('further') && /\bpath=/.test(said)))
      return 'an entry has a further name'
    if (name === INDEX && NAME_ANNOTATIONS.test(said)) return 'it brings names for images'
    if (name !== MANIFEST) return null
    hasManifest = true
    return manifestProblem(said, id)
  }

  const step = (piece: Uint8Array): string | null => {
    for (let at = 0; at < piece.length; ) {
      if (left === 0) {
        const taken = Math.min(BLOCK_BYTES - headerBytes, piece.length - at)
        header.set(piece.subarray(at, at + taken), headerBytes)
        headerBytes += taken
        at += taken
        const problem = headerBytes === BLOCK_BYTES ? open() : null
        if (problem !== null) return problem
        continue
      }
      const taken = Math.min(left, piece.length - at)
      if (textLeft > 0) text.push(Uint8Array.from(piece.subarray(at, at + Math.min(taken, textLeft))))
      textLeft = Math.max(0, textLeft - taken)
      left -= taken
      at += taken
      const problem = left === 0 ? close() : null
      if (problem !== null) return problem
    }
    return null
  }

  return {
    take: (piece) => {
      const problem = step(piece)
      return problem === null ? ok(null) : err(problem)
    },
    end: () => (hasManifest && left === 0 ? ok(null) : err('it is cut off')),
  }
}

function manifestProblem(text: string, id: string): string | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'its manifest is no JSON'
  }
  if (!Array.isArray(value) || value.length !== 1) return 'it holds another number of images than one'
  const { Config, RepoTags } = (value[0] ?? {}) as { readonly Config?: unknown; readonly RepoTags?: unknown }
  const digest = id.replace(/^sha256:/, '')
  const isPromised = Config === `${digest}.json` || Config === `blobs/sha256/${digest}`
  if (!isPromised) return 'it is another image than was promised'
  const isNameless = RepoTags === undefined || RepoTags === null || (Array.isArray(RepoTags) && RepoTags.length === 0)
  return isNameless ? null : 'it brings names for images'
}

/** An image's id as Docker writes it: the digest of its configuration. */
export const isImageId = (text: string): boolean => /^sha256:[0-9a-f]{64}$/.test(text)

// An archive (tar) on its way: which entries are in it, and the same without some of them. Nothing of an entry is kept
// but what was asked for.

/** tar(5), POSIX ustar: blocks of 512 bytes; name, size (octal) and kind stand at these places in a header. */
const BLOCK_BYTES = 512
const NAME_BYTES = 100
const SIZE_AT = 124
const SIZE_BYTES = 12
const KIND_AT = 156
/** Further fields and long names belong to the entry that follows. */
const FURTHER = ['x', 'L', 'K']

interface Entry {
  readonly name: string
  /** Without its padding. */
  readonly size: number
  readonly kind: string
}

interface Visitor {
  /** A header, or an empty block (null). */
  header(entry: Entry | null, block: Uint8Array): void
  /** A piece of the entry, its padding included. */
  content(piece: Uint8Array): void
}

/** Calls the visitor for what goes by; an archive that cannot be read is passed as content to its end. */
function createWalker(visitor: Visitor): (piece: Uint8Array) => void {
  const header = Buffer.alloc(BLOCK_BYTES)
  let headerBytes = 0
  let left = 0
  return (piece) => {
    for (let at = 0; at < piece.length; ) {
      if (left > 0) {
        const taken = Math.min(left, piece.length - at)
        visitor.content(piece.subarray(at, at + taken))
        left -= taken
        at += taken
        continue
      }
      const taken = Math.min(BLOCK_BYTES - headerBytes, piece.length - at)
      header.set(piece.subarray(at, at + taken), headerBytes)
      headerBytes += taken
      at += taken
      if (headerBytes < BLOCK_BYTES) continue
      headerBytes = 0
      const entry = readHeader(header)
      if (entry !== null) left = Math.ceil(entry.size / BLOCK_BYTES) * BLOCK_BYTES
      visitor.header(entry, Uint8Array.from(header))
    }
  }
}

function readHeader(block: Buffer): Entry | null {
  if (block.every((byte) => byte === 0)) return null
  const name = block.toString('utf8', 0, NAME_BYTES).replace(/\0.*$/s, '').replace(/^\.\//, '')
  const size = Number.parseInt(block.toString('latin1', SIZE_AT, SIZE_AT + SIZE_BYTES), 8)
  const kind = block.toString('latin1', KIND_AT, KIND_AT + 1)
  return { name, size: Number.isSafeInteger(size) && size > 0 ? size : 0, kind }
}

/** The same archive without the entries of these names; returns what to hand on of each piece. */
export function createTarFilter(leftOut: ReadonlySet<string>): (piece: Uint8Array) => readonly Uint8Array[] {
  let out: Uint8Array[] = []
  /** Further fields whose entry has not come yet. */
  let held: Uint8Array[] = []
  let to: 'out' | 'held' | 'nowhere' = 'out'
  const put = (piece: Uint8Array): void => {
    if (to === 'out') out.push(piece)
    if (to === 'held') held.push(Uint8Array.from(piece))
  }
  const walk = createWalker({
    header: (entry, block) => {
      to = entry !== null && FURTHER.includes(entry.kind) ? 'held' : 'out'
      if (entry !== null && leftOut.has(entry.name)) to = 'nowhere'
      if (to === 'out') out.push(...held)
      if (to !== 'held') held = []
      put(block)
    },
    content: put,
  })
  return (piece) => {
    out = []
    walk(piece)
    return out
  }
}

/** Reads the text of one entry as the archive goes by; `text` is null until it was there, or where it is too long. */
export function createEntryReader(
  name: string,
  bytesMax: number,
): { readonly take: (piece: Uint8Array) => void; readonly text: () => string | null } {
  let left = 0
  let parts: Uint8Array[] | null = null
  const take = createWalker({
    header: (entry) => {
      left = entry?.name === name && entry.size <= bytesMax ? entry.size : 0
      if (left > 0) parts = []
    },
    content: (piece) => {
      if (left > 0) parts?.push(Uint8Array.from(piece.subarray(0, left)))
      left = Math.max(0, left - piece.length)
    },
  })
  return { take, text: () => (parts === null || left > 0 ? null : Buffer.concat(parts).toString('utf8')) }
}

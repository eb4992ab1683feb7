// Docker sends the output of a container as frames: 8 bytes of header (stream, three zeros, length as a big-endian
// 32-bit number), then the text (Engine API, "Attach to a container", stream format). This takes a stream of pieces
// apart.

const HEADER_BYTES = 8
const LENGTH_AT = 4
/** The stream number of standard error; 0 and 1 are input and output. */
const STANDARD_ERROR = 2

export interface FrameText {
  readonly stream: 'out' | 'err'
  readonly text: Uint8Array
}

export interface FrameReader {
  /** The text in the next piece, in order; parts of a header wait for the piece that completes it. */
  read(piece: Uint8Array): readonly FrameText[]
}

/** A reader for one stream; it buffers no more than a header. */
export function createFrameReader(): FrameReader {
  const header = new Uint8Array(HEADER_BYTES)
  const view = new DataView(header.buffer)
  let headerBytes = 0
  let textBytesLeft = 0
  return {
    read(piece) {
      const texts: FrameText[] = []
      let at = 0
      while (at < piece.length) {
        if (textBytesLeft === 0) {
          header[headerBytes] = piece[at] ?? 0
          headerBytes += 1
          at += 1
          if (headerBytes < HEADER_BYTES) continue
          headerBytes = 0
          textBytesLeft = view.getUint32(LENGTH_AT)
          continue
        }
        const text = piece.subarray(at, at + textBytesLeft)
        texts.push({ stream: header[0] === STANDARD_ERROR ? 'err' : 'out', text })
        at += text.length
        textBytesLeft -= text.length
      }
      return texts
    },
  }
}

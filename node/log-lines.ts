// Bytes of a log as whole lines that say whose they are.

const NEWLINE = 10
/** A line that is longer is cut into several. A guess: longer than a person reads, shorter than what hurts. */
export const LINE_BYTES_MAX = 65_536

/** Whole lines, each behind the prefix; a last line without its end gets one. */
export async function* prefixed(prefix: string, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const head = Buffer.from(prefix)
  let rest = Buffer.alloc(0)
  for await (const piece of pieces) {
    const bytes = Buffer.concat([rest, piece])
    let at = 0
    for (;;) {
      const end = bytes.indexOf(NEWLINE, at)
      const isLong = (end === -1 ? bytes.length : end) - at > LINE_BYTES_MAX
      if (end === -1 && !isLong) break
      const until = isLong ? at + LINE_BYTES_MAX : end
      yield Buffer.concat([head, bytes.subarray(at, until), Buffer.of(NEWLINE)])
      at = isLong ? until : end + 1
    }
    rest = bytes.subarray(at)
  }
  if (rest.length > 0) yield Buffer.concat([head, rest, Buffer.of(NEWLINE)])
}

// Two clocks. Deadlines use the monotonic one, which never jumps; versions, expiry and display use the wall clock,
// which may.

declare const brand: unique symbol

/** Milliseconds on the monotonic clock of one process; its zero means nothing. Also a span of such milliseconds. */
export type Millis = number & { readonly [brand]?: 'Millis' }
/** Milliseconds since 1970-01-01 UTC as this device believes; may be wrong by hours and may jump. */
export type UnixMillis = number & { readonly [brand]?: 'UnixMillis' }

/** The earliest of some moments, null where none of them is due. */
export function earliest(...moments: readonly (Millis | null)[]): Millis | null {
  let first: Millis | null = null
  for (const moment of moments) if (moment !== null && (first === null || moment < first)) first = moment
  return first
}

/** The earlier of two moments; what is called for every message shall not make a list of them. */
export const earlier = (a: Millis | null, b: Millis | null): Millis | null =>
  a === null || (b !== null && b < a) ? b : a

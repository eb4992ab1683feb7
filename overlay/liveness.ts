// When a peer is asked over a connection whether it is there: soon where it is silent, seldom where something is heard.

/**
 * How long a connection may be silent until it is asked, and how long an answer may take: after both a silent power cut
 * is noticed.
 */
export interface Liveness {
  readonly intervalMs: number
  readonly answerMsMax: number
}
/** A shorter wait would cut peers whose event loop stalls. */
export const LIVENESS: Liveness = { intervalMs: 5_000, answerMsMax: 5_000 }
/** Where each byte is paid for: a third of the pings, and 10 s more until a cut shows. A guess. */
export const METERED_LIVENESS: Liveness = { ...LIVENESS, intervalMs: 15_000 }
/**
 * So many intervals may pass until a connection is asked over which something else is heard: then it is not asked
 * whether anybody is there, but how far away. A guess.
 */
const INTERVALS_WHERE_HEARD = 3

/** When a connection was asked last, and when something else came over it. */
export interface Attention {
  readonly askedAt: number | undefined
  readonly heardAt: number | undefined
}

/** Whether it is asked now: at once, where it was silent for an interval, and now and then in any case. */
export function isAskedNow({ askedAt, heardAt }: Attention, intervalMs: number, now: number): boolean {
  if (askedAt === undefined) return true
  const isSilent = heardAt === undefined || now - heardAt >= intervalMs
  return now - askedAt >= (isSilent ? 1 : INTERVALS_WHERE_HEARD) * intervalMs
}

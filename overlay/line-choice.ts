// Which line a new tunnel takes, and when another line is worth having: one that carries bulk has a full queue in the
// system's buffers, and whatever is small should not stand in it.

/** A guess: as many bulk tunnels as go their own ways; further ones share. */
export const LINES_PER_PEER_MAX = 8

export interface LineLoad {
  readonly tunnels: number
  readonly isBulky: boolean
  /** Whether it still works is being found out. */
  readonly isDoubted: boolean
}

/** The index of the line that a new tunnel takes: not beside bulk, if that can be had, and where there are fewest. */
export function chooseLine(lines: readonly LineLoad[]): number | null {
  const rank = ({ isBulky, tunnels }: LineLoad): number => (isBulky ? Number.MAX_SAFE_INTEGER / 2 : 0) + tunnels
  let best: number | null = null
  for (const [index, line] of lines.entries()) {
    const current = best === null ? undefined : lines[best]
    if (!line.isDoubted && (current === undefined || rank(line) < rank(current))) best = index
  }
  return best
}

/** Whether a line without bulk is missing and may be had. Who has no line at all has no use for one yet. */
export const wantsAnother = (lines: readonly LineLoad[]): boolean =>
  lines.length > 0 && lines.length < LINES_PER_PEER_MAX && lines.every(({ isBulky, isDoubted }) => isBulky || isDoubted)

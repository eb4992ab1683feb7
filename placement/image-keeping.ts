// Which of the images that we brought to a device may go when its disk runs short: the ones unused for longest, and
// never one that we did not bring.

/** An image that was pulled or copied for an instance of this node. */
export interface KeptImage {
  readonly reference: string
  /** Unix time in ms of the last start that needed it. */
  readonly usedAtMs: number
}

/** Room on the disk of the images, in bytes. */
export interface DiskRoom {
  readonly free: number
  readonly total: number
}

/** Below this share of free room images go, until twice that is free. A guess: what the engine needs for one pull. */
export const FREE_SHARE_MIN = 0.1
const FREE_SHARE_WANTED = 2 * FREE_SHARE_MIN
/** Images that are remembered; the longest unused are forgotten, and stay. A guess: a device runs dozens. */
const KEPT_MAX = 1_000

/** The images with one that was needed just now. */
export function withUse(images: readonly KeptImage[], reference: string, usedAtMs: number): readonly KeptImage[] {
  const others = images.filter((image) => image.reference !== reference)
  return [...others, { reference, usedAtMs }].slice(-KEPT_MAX)
}

export const isShort = ({ free, total }: DiskRoom): boolean => free < total * FREE_SHARE_MIN
export const isEnough = ({ free, total }: DiskRoom): boolean => free >= total * FREE_SHARE_WANTED

/** In the order in which they may go; the one that is about to be used never does. */
export const removable = (images: readonly KeptImage[], needed: string): readonly KeptImage[] =>
  images.filter(({ reference }) => reference !== needed).toSorted((a, b) => a.usedAtMs - b.usedAtMs)

/** Reads the list of a node that ran here before; empty when it is none. */
export function parseKeptImages(text: string): readonly KeptImage[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return []
  }
  if (!Array.isArray(value)) return []
  return value.filter(
    (one: Partial<KeptImage> | null) => typeof one?.reference === 'string' && typeof one.usedAtMs === 'number',
  ) as readonly KeptImage[]
}

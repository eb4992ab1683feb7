// Chance, always handed in: a real node seeds it from the operating system, the simulator from its one seed.

export interface Random {
  /** Uniform in [0, 1). */
  next(): number
}

/**
 * sfc32 (Chris Doty-Humphrey, PractRand): 128 bits of state, passes PractRand and BigCrush, cheap in 32-bit integers.
 */
export function seededRandom(seed: number): Random {
  let a = seed | 0
  let b = Math.floor(seed / 2 ** 32) | 0
  let c = 0x9e3779b9 | 0
  let counter = 1
  const draw = (): number => {
    const sum = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }
  for (let i = 0; i < 12; i++) draw()
  return { next: draw }
}

/** A whole number in [from, to). */
export const randomInt = (random: Random, from: number, to: number): number =>
  from + Math.floor(random.next() * (to - from))

/** One of the items, undefined when there is none. */
export const pick = <T>(random: Random, items: readonly T[]): T | undefined => items[randomInt(random, 0, items.length)]

/** A shuffled copy (Fisher-Yates). */
export function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const copy = [...items]
  for (let i = copy.length - 1; i > 0; i--) {
    const j = randomInt(random, 0, i + 1)
    const held = copy[i] as T
    copy[i] = copy[j] as T
    copy[j] = held
  }
  return copy
}

// One seed, many streams of chance: each part of a world draws from its own, so that a part which draws once more does
// not change what happens to all the others.

import { type Random, seededRandom } from '../../overlay/kernel/random.ts'
import { fold, hashText } from './hash.ts'

/** The stream of a part, by its name. */
export const streamOf = (seed: number, part: string): Random =>
  seededRandom(fold(hashText(part), seed | 0) * 2 ** 21 + (fold(hashText(part, 1), Math.floor(seed / 2 ** 32)) >>> 11))

/** Uniform in [from, to). */
export const between = (random: Random, from: number, to: number): number => from + random.next() * (to - from)

export const chance = (random: Random, probability: number): boolean => random.next() < probability

// The log of one entry: what a domain has agreed on, replaced as a whole. Its newest version is all there is to know,
// so there is nothing to compact and nothing to replay.

import type { ChildId } from '../overlay/kernel/ids.ts'
import { bytes, dictionary, type Infer, list, literal, nullable, object, text, whole } from '../overlay/wire/schema.ts'
import { MEMORY_BYTES_MAX, MEMORY_KEYS_MAX } from './constants.ts'

export const electorSchema = object({
  child: text<ChildId>(256),
  /**
   * Drawn by the child when it has no memory of an earlier vote. A child that lost its memory holds another one, and
   * is no elector.
   */
  ticket: text(32),
})
export type Elector = Infer<typeof electorSchema>

/**
 * Why a line began without the majority of the one before: nobody was heard for `quorumLossMs`, the parent granted it,
 * or an operator ordered it.
 */
const causeSchema = literal('silence', 'grant', 'order')
export type Cause = Infer<typeof causeSchema>

export const predecessorSchema = object({
  line: text(32),
  epoch: whole(),
  electors: list(text<ChildId>(256), 16),
  cause: causeSchema,
})
/** What an epoch knows of the line it broke off from. */
export type Predecessor = Infer<typeof predecessorSchema>

export const registerSchema = object({
  /** Names one unbroken succession of majorities; a recovery without a majority starts another. */
  line: text(32),
  epoch: whole(),
  term: whole(),
  index: whole(),
  electors: list(electorSchema, 16),
  predecessor: nullable(predecessorSchema),
  /** What the domain remembers across leaders, above all its state as an elector of its parent. */
  memory: dictionary(bytes(MEMORY_BYTES_MAX), MEMORY_KEYS_MAX),
})
export type Register = Infer<typeof registerSchema>

/** Which register, without what is in it. */
export interface RegisterVersion {
  readonly epoch: number
  readonly term: number
  readonly index: number
}

export const NO_VERSION: RegisterVersion = { epoch: 0, term: 0, index: 0 }

export const versionOf = (register: Register | null): RegisterVersion =>
  register === null ? NO_VERSION : { epoch: register.epoch, term: register.term, index: register.index }

/** Newer by epoch, then term, then index (Raft, section 5.4.1, with the epoch in front). */
export const compareVersions = (a: RegisterVersion, b: RegisterVersion): number =>
  a.epoch - b.epoch || a.term - b.term || a.index - b.index

/** Compares points in the succession of leaders: the epoch first, then the term. */
export const compareTerms = (
  a: { readonly epoch: number; readonly term: number },
  b: { readonly epoch: number; readonly term: number },
): number => a.epoch - b.epoch || a.term - b.term

export const majorityOf = (count: number): number => Math.floor(count / 2) + 1

/** Under which ticket a child is an elector; empty where it is none. */
export const ticketIn = (register: Register | null, child: ChildId): string =>
  register?.electors.find((elector) => elector.child === child)?.ticket ?? ''

export const electorIds = (register: Register | null): readonly ChildId[] =>
  register === null ? [] : register.electors.map((elector) => elector.child)

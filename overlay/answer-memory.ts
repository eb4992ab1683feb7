// DNS answers over UDP that are given again as they were written: most questions are repeated byte for byte but for
// their id. An answer is good for as long as nothing that it was made from has changed, and no longer than a second
// even then.

import type { Millis } from './kernel/time.ts'

/** Answers that are kept, the one that was written longest ago goes first. Of 100 bytes and a key each: about 1 MB. */
export const ANSWERS_MAX = 4_096
/**
 * How long an answer is given again at most: what nobody told of (a lookup that has expired) is looked at again after
 * that. As INSTANCE_TTL_S.
 */
export const ANSWER_MS_MAX = 1_000

const ID_BYTES = 2

export interface AnswerMemory {
  /** The answer to a question that was answered before, under the id of this one; null for none that is still good. */
  find(question: Buffer, at: Moment): Uint8Array | null
  keep(question: Buffer, answer: Uint8Array, at: Moment): void
}

/** When it is, and a number that is another one as soon as an answer might be another one. */
export interface Moment {
  readonly now: Millis
  readonly asOf: number
}

export function createAnswerMemory(): AnswerMemory {
  const answers = new Map<string, { readonly answer: Uint8Array } & Moment>()
  const keyOf = (question: Buffer): string => question.toString('latin1', ID_BYTES)
  return {
    find: (question, { now, asOf }) => {
      const known = answers.get(keyOf(question))
      if (known === undefined || known.asOf !== asOf || now >= known.now + ANSWER_MS_MAX) return null
      const answer = known.answer.slice()
      answer.set(question.subarray(0, ID_BYTES))
      return answer
    },
    keep: (question, answer, at) => {
      const key = keyOf(question)
      answers.delete(key)
      answers.set(key, { answer, ...at })
      const [oldest] = answers.keys()
      if (answers.size > ANSWERS_MAX && oldest !== undefined) answers.delete(oldest)
    },
  }
}

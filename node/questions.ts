// Questions to other nodes that the core asks for as long as it takes: each has an id of its own and one answer.

import { randomUUID } from 'node:crypto'
import type { Answer, Question } from './core/asking.ts'
import type { CoreInput } from './core/effects.ts'

/** A question without its id. */
export type Asked = Question extends infer Q ? (Q extends Question ? Omit<Q, 'requestId'> : never) : never

export interface Questions {
  /** Null when nobody answered; never rejects, and the core gives up by itself. */
  ask(question: Asked): Promise<Answer>
  onAnswered(requestId: string, answer: Answer): void
}

export function createQuestions(input: (input: CoreInput) => void): Questions {
  const waiting = new Map<string, (answer: Answer) => void>()
  return {
    ask: (asked) =>
      new Promise((resolve) => {
        const requestId = randomUUID()
        waiting.set(requestId, resolve)
        input({ kind: 'ask', question: { ...asked, requestId } as Question })
      }),
    onAnswered: (requestId, answer) => {
      waiting.get(requestId)?.(answer)
      waiting.delete(requestId)
    },
  }
}

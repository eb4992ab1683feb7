// Questions of people on this device that another node answers: to move an instance, to open or close a device. Each is
// said again until it is answered, and is given up in the end; whoever answers knows a repeated question.

import type { LeaderBookView } from '../../election/index.ts'
import type { DomainPath, NodeId } from '../../overlay/kernel/ids.ts'
import type { StepContext } from '../../overlay/kernel/machine.ts'
import { earlier, type Millis } from '../../overlay/kernel/time.ts'
import type { MovedMessage, MoveMessage } from '../../placement/messages.ts'
import type { CoreEffect } from './effects.ts'
import { askWhoLeads } from './guide.ts'
import type { IntakeMessage, IntakeStateMessage } from './messages.ts'

/** How often a question is said again: a little more than a slow round trip takes. A guess. */
export const QUESTION_REPEAT_MS = 2_000
/** When a question is given up: longer than a leader takes to be replaced, and to ask all that it has. A guess. */
export const QUESTION_MS_MAX = 20_000
/** Questions under way at once; what comes beyond is given up at once. */
export const QUESTIONS_MAX = 1_024

export type Question =
  | Pick<MoveMessage, 'domain' | 'requestId' | 'service' | 'number' | 'to'>
  | (Pick<IntakeMessage, 'requestId' | 'set'> & { readonly node: NodeId })

/** Null when nobody answered in time. */
export type Answer = MovedMessage | IntakeStateMessage | null

interface Pending {
  readonly question: Question
  readonly repeatAt: Millis
  readonly until: Millis
}

export interface Asking {
  ask(question: Question, context: StepContext, out: CoreEffect[]): void
  onAnswer(answer: MovedMessage | IntakeStateMessage, out: CoreEffect[]): void
  onWake(context: StepContext, out: CoreEffect[]): void
  wakeAt(): Millis | null
}

export function createAsking(
  self: { readonly node: NodeId; readonly domain: DomainPath },
  book: LeaderBookView,
): Asking {
  const pending = new Map<string, Pending>()

  const say = (question: Question, out: CoreEffect[]): void => {
    const { requestId } = question
    if ('node' in question) {
      const message = { kind: 'node/intake', node: question.node, requestId, set: question.set } as const
      out.push({ kind: 'send', to: question.node, message })
      return
    }
    const leader = book.nodeOf(question.domain)
    if (leader === null) return askWhoLeads(question.domain, self.node, book.nodeOf, out)
    const asked = { ...question, requester: self.node, by: null, refused: '' }
    out.push({ kind: 'send', to: leader, message: { kind: 'placement/move', ...asked } })
  }

  const end = (requestId: string, answer: Answer, out: CoreEffect[]): void => {
    pending.delete(requestId)
    out.push({ kind: 'answered', requestId, answer })
  }

  return {
    ask: (question, { now }, out) => {
      if (pending.size >= QUESTIONS_MAX) return end(question.requestId, null, out)
      pending.set(question.requestId, { question, repeatAt: now + QUESTION_REPEAT_MS, until: now + QUESTION_MS_MAX })
      say(question, out)
    },
    onAnswer: (answer, out) => {
      if (pending.has(answer.requestId)) end(answer.requestId, answer, out)
    },
    onWake: ({ now }, out) => {
      for (const [requestId, one] of [...pending]) {
        if (one.until <= now) end(requestId, null, out)
        else if (one.repeatAt <= now) {
          pending.set(requestId, { ...one, repeatAt: now + QUESTION_REPEAT_MS })
          say(one.question, out)
        }
      }
    },
    wakeAt: () => {
      let at: Millis | null = null
      for (const { repeatAt, until } of pending.values()) at = earlier(at, Math.min(repeatAt, until))
      return at
    },
  }
}

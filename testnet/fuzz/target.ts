// Something that reads what strangers say, and what honest ones would have said to it.

import type { Random } from '../../overlay/kernel/random.ts'

/** What one message came to: whether it was refused at the door, and what to show of it where something goes wrong. */
export interface Shot {
  readonly refused: boolean
}

/** One sitting with a target: it may keep state from message to message, and everything in it goes with it. */
export interface Session {
  /**
   * Makes the next message and has it read; whatever it throws is a finding. `onInput` is told of the message before
   * it is read.
   */
  fire(random: Random, onInput: (input: Uint8Array) => void): Shot | Promise<Shot>
  end(): void | Promise<void>
}

export interface Target {
  readonly name: string
  /** Its share of all messages, against those of the others. */
  readonly weight: number
  open(random: Random): Session | Promise<Session>
}

// What every command gets: which node it speaks to, and how its answer leaves. Answers go to stdout, everything else to
// stderr.

import type { ControlClient } from '../io/control-client.ts'

export interface CliContext {
  readonly dataDir: string
  /** One JSON value on stdout instead of text for people. */
  readonly json: boolean
  /** The node in `dataDir`; nothing is asked before its first method is called. */
  client(): Promise<ControlClient>
  /** Prints the answer: as JSON, or as `human` puts it. */
  answer<T>(value: T, human: (value: T) => string): void
  /**
   * Tells a person how it goes, on stderr; with `json` nothing is said, so that stderr holds the error and nothing
   * else.
   */
  say(text: string): void
}

/**
 * A command that did what it was asked, and whose answer is no (`validate`): exit code 1, and nothing more is printed.
 */
export class AnswerIsNo extends Error {
  override readonly name = 'AnswerIsNo'
}

/** A program that was run for somebody has ended with this code, which is the command's own then. */
export class ProgramEnded extends Error {
  override readonly name = 'ProgramEnded'
  readonly code: number

  constructor(code: number) {
    super(`exit code ${code}`)
    this.code = code
  }
}

export function createContext(options: { readonly dataDir: string; readonly json: boolean }): CliContext {
  return {
    ...options,
    client: async () => (await import('../io/control-client.ts')).createControlClient(options.dataDir),
    answer: (value, human) => {
      const text = options.json ? JSON.stringify(value) : human(value)
      if (text !== '') process.stdout.write(`${text}\n`)
    },
    say: (text) => {
      if (!options.json) process.stderr.write(`${text}\n`)
    },
  }
}

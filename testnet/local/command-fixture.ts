// The command line as a user has it: one process per command, with what it printed and how it ended.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

export const COPPICE = fileURLToPath(new URL('../../node/cli/coppice.js', import.meta.url))
/**
 * Longer than any command here takes, also one that waits for three instances to be replaced one after the other while
 * a busy machine elects anew; one that hangs fails its test.
 */
const COMMAND_MS_MAX = 60_000

export const ON_LOOPBACK = ['--listen', '/ip4/127.0.0.1/tcp/0', '--no-mdns'] as const

export interface Outcome {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command to its end. */
export const coppice = (...words: readonly string[]): Promise<Outcome> => coppiceReading('', ...words)

/** The same with something on its standard input. */
export async function coppiceReading(input: string, ...words: readonly string[]): Promise<Outcome> {
  const child = spawn(process.execPath, [COPPICE, ...words], {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: COMMAND_MS_MAX,
  })
  // One that reads nothing may have ended before.
  child.stdin.on('error', () => undefined).end(input)
  const [[exitCode], stdout, stderr] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)])
  return { exitCode, stdout, stderr }
}

/** The answer of a command that is asked with --json and does it. */
export async function answer<T>(...words: readonly string[]): Promise<T> {
  const { exitCode, stdout, stderr } = await coppice(...words, '--json')
  if (exitCode !== 0) throw new Error(`coppice ${words.join(' ')}: ${stderr}`)
  return JSON.parse(stdout) as T
}

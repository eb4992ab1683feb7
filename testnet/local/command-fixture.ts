// The command line as a user has it: one process per command, with what it printed and how it ended.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

export const COPPICE = fileURLToPath(new URL('../../node/cli/coppice.js', import.meta.url))
/**
 * Longer than any command here takes, also one that waits as long as WAITING lets it; one that hangs fails its test,
 * and says so.
 */
const COMMAND_MS_MAX = 240_000
/** For a command that waits for what it began, on a machine with other things to do. */
export const WAITING = ['--wait', '--timeout', '3m'] as const

export const ON_LOOPBACK = ['--listen', '/ip4/127.0.0.1/tcp/0', '--no-mdns'] as const

export interface Outcome {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command to its end; rejects when that does not come. */
export const coppice = (...words: readonly string[]): Promise<Outcome> => coppiceReading('', ...words)

/** The same with something on its standard input. */
export async function coppiceReading(input: string, ...words: readonly string[]): Promise<Outcome> {
  const child = spawn(process.execPath, [COPPICE, ...words], {
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: COMMAND_MS_MAX,
    killSignal: 'SIGKILL',
  })
  // One that reads nothing may have ended before.
  child.stdin.on('error', () => undefined).end(input)
  const [[exitCode], stdout, stderr] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)])
  const line = `coppice ${words.join(' ')}`
  if (child.signalCode !== null) throw new Error(`${line}: ended by ${child.signalCode}: ${stderr}`)
  return { exitCode, stdout, stderr }
}

/** The answer of a command that is asked with --json and does it. */
export async function answer<T>(...words: readonly string[]): Promise<T> {
  const { exitCode, stdout, stderr } = await coppice(...words, '--json')
  if (exitCode !== 0) throw new Error(`coppice ${words.join(' ')}: ${stderr}`)
  return JSON.parse(stdout) as T
}

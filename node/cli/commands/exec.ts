// `coppice exec`: a program inside an instance as if it ran here. With a terminal every key goes to the program, Ctrl-C
// too; without one Ctrl-C ends it.

import { CommanderError } from 'commander'
import type { ExecRequest, ExecSession, TerminalSize } from '../../../placement/runtime.ts'
import type { ExecTarget } from '../../control.ts'
import { CoppiceError } from '../../errors.ts'
import { type CliContext, ProgramEnded } from '../context.ts'
import { onFirstSignal } from '../signals.ts'

export interface ExecWords {
  readonly input?: boolean
  readonly terminal?: boolean
}

/** What a shell says of a program that Ctrl-C ended: 128 and the number of SIGINT. */
const INTERRUPTED = 130
/** The size of a terminal that does not tell its own. */
const USUAL_SIZE: TerminalSize = { columns: 80, rows: 24 }

/** Always throws ProgramEnded, with the program's exit code, unless it could not be run. */
export async function exec(
  context: CliContext,
  target: ExecTarget,
  command: readonly string[],
  { input = false, terminal = false }: ExecWords,
): Promise<void> {
  if (context.json) throw wrongUsage('what a program writes is no JSON value: leave out --json')
  if (terminal && !process.stdin.isTTY) throw wrongUsage('a terminal needs one here: leave out -t')
  const client = await context.client()
  const stop = onFirstSignal()
  const request: ExecRequest = { command, terminal: terminal ? sizeHere() : null, input: input || terminal }
  const session = await client.exec(target, request, stop)
  const restore = terminal ? lendTerminal(session) : () => undefined
  try {
    if (request.input) void give(session)
    for await (const { stream, bytes } of session.output) await write(stream, bytes)
  } catch (problem) {
    if (stop.aborted) throw new ProgramEnded(INTERRUPTED)
    const detail = problem instanceof Error ? problem.message : String(problem)
    throw new CoppiceError('broken-off', detail, 'The program was ended, unless its whole device is gone.')
  } finally {
    restore()
    process.stdin.destroy()
  }
  const code = await session.exit
  if (code !== null) throw new ProgramEnded(code)
  throw new CoppiceError('unknown-end', 'the program ended, and nobody can tell how', 'Its instance may have ended.')
}

const wrongUsage = (sentence: string): CommanderError => new CommanderError(2, 'usage', sentence)

const sizeHere = (): TerminalSize => ({
  columns: process.stdout.columns || USUAL_SIZE.columns,
  rows: process.stdout.rows || USUAL_SIZE.rows,
})

/** From now on keys are for the program alone; returns how to take the terminal back. */
function lendTerminal(session: ExecSession): () => void {
  const resize = (): void => session.resize(sizeHere())
  process.stdin.setRawMode(true)
  process.stdout.on('resize', resize)
  return () => {
    process.stdin.setRawMode(false)
    process.stdout.off('resize', resize)
  }
}

async function give(session: ExecSession): Promise<void> {
  try {
    for await (const bytes of process.stdin) await session.write(bytes as Uint8Array)
    session.end()
  } catch {
    // The input is taken away when the program has ended.
  }
}

/** As fast as the reader reads. */
const write = (stream: 'out' | 'err', bytes: Uint8Array): Promise<void> =>
  new Promise((resolve) => {
    const to = stream === 'out' ? process.stdout : process.stderr
    to.write(bytes, () => resolve())
  })

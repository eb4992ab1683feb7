// A program next to a process instance: with its environment, in its working folder, under its limits.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, readlink } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import { signalStatus } from '../exit-report.ts'
import { companionArguments, parseEnvironment, terminalArguments } from '../process-exec.ts'
import type { ExecOutput, ExecRequest, ExecSession, TerminalSize } from '../runtime.ts'
import { messageOf, NEVER, pause } from './deadline.ts'
import { SHELL } from './process-start.ts'
import { findProgram, signalGroup } from './process-table.ts'
import { written } from './written.ts'

/** Makes terminals: Node cannot. Part of util-linux, which every Debian has. */
const TERMINAL_MAKER = 'script'
/** Between a request to end and the end by force, in ms. A guess. */
const CLOSE_GRACE_MS = 1_000
/** Longest name of a terminal, with its line end. */
const TERMINAL_NAME_BYTES_MAX = 64

export interface Companion {
  /** The watcher of the instance: its environment and folder are the instance's. */
  readonly pid: number
  /** The `cgroup.procs` files of its control groups. */
  readonly groupFiles: readonly string[]
}

/** Starts the program; the error is a sentence for whoever asked. */
export async function execBeside(
  { pid, groupFiles }: Companion,
  { command, terminal, input }: ExecRequest,
): Promise<Result<ExecSession, string>> {
  const [name = ''] = command
  const environment = parseEnvironment(await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => ''))
  const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => null)
  if (cwd === null) return err('its process has just ended')
  const path = environment.PATH ?? ''
  const missing = (program: string): string => `there is no program "${program}" on this device (looked in ${path})`
  if ((await findProgram(name, cwd, path)) === null) return err(missing(name))
  if (terminal !== null && (await findProgram(TERMINAL_MAKER, cwd, path)) === null) {
    return err(`${missing(TERMINAL_MAKER)}: it makes the terminals; try again without one`)
  }
  const inner = terminal === null ? command : [TERMINAL_MAKER, ...terminalArguments(command, terminal)]
  const child = spawn(SHELL, [...companionArguments(groupFiles, inner)], {
    cwd,
    env: terminal === null ? environment : { TERM: 'xterm-256color', ...environment },
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe', terminal === null ? 'ignore' : 'pipe'],
  })
  try {
    await once(child, 'spawn')
  } catch (error) {
    return err(`it could not be started: ${messageOf(error)}`)
  }
  return ok(sessionOf(child, input))
}

function sessionOf(child: ChildProcess, input: boolean): ExecSession {
  const { stdin, stdout, stderr } = child
  const output = Promise.withResolvers<void>()
  const exit = new Promise<number | null>((resolve) => {
    child.once('close', (code, signal) => {
      output.resolve()
      resolve(signal === null ? code : signalStatus(signal))
    })
  })
  // A program that ends before it has read its input breaks the pipe, and that is its right.
  stdin?.on('error', () => undefined)
  if (!input) stdin?.end()
  const terminalName = nameFrom(child.stdio[3] as Readable | null)
  return {
    output: merged(stdout as Readable, stderr as Readable),
    write: (bytes) => (stdin === null ? Promise.resolve() : written(stdin, bytes)),
    end: () => void stdin?.end(),
    resize: (size) => void terminalName.then((name) => resize(name, size)),
    exit,
    close: () => void end(child),
  }
}

/** What both streams say, in the order in which it came. */
async function* merged(stdout: Readable, stderr: Readable): AsyncGenerator<ExecOutput> {
  const waiting: ExecOutput[] = []
  let open = 2
  let wake = (): void => undefined
  const listen = (from: Readable, stream: ExecOutput['stream']): void => {
    from.on('data', (bytes: Uint8Array) => {
      waiting.push({ stream, bytes })
      // At the pace of the reader: one piece of each stream waits at most.
      from.pause()
      wake()
    })
    from.once('close', () => {
      open -= 1
      wake()
    })
    from.on('error', () => undefined)
  }
  listen(stdout, 'out')
  listen(stderr, 'err')
  for (;;) {
    const next = waiting.shift()
    if (next !== undefined) {
      yield next
      const from = next.stream === 'out' ? stdout : stderr
      from.resume()
    } else if (open === 0) return
    else {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
}

/** The first line of what the terminal's side channel says; null when there is no terminal. */
async function nameFrom(channel: Readable | null): Promise<string | null> {
  if (channel === null || channel === undefined) return null
  let text = ''
  try {
    for await (const piece of channel) {
      text += String(piece)
      if (text.includes('\n') || text.length > TERMINAL_NAME_BYTES_MAX) break
    }
  } catch {
    return null
  }
  const name = text.split('\n')[0]?.trim() ?? ''
  return /^\/dev\/pts\/\d+$/.test(name) ? name : null
}

/** The kernel tells the programs on the terminal (SIGWINCH). */
function resize(terminal: string | null, { columns, rows }: TerminalSize): void {
  if (terminal === null) return
  const sizer = spawn('stty', ['-F', terminal, 'columns', String(columns), 'rows', String(rows)], { stdio: 'ignore' })
  // A terminal that is gone, or a device without stty, keeps its size.
  sizer.on('error', () => undefined)
}

async function end(child: ChildProcess): Promise<void> {
  const { pid } = child
  if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  signalGroup(pid, 'SIGHUP')
  await pause(CLOSE_GRACE_MS, NEVER)
  if (child.exitCode === null && child.signalCode === null) signalGroup(pid, 'SIGKILL')
}

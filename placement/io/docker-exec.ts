// A program inside a container, started by the engine next to what the container runs.

import { readFile } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import type Docker from 'dockerode'
import { createFrameReader } from '../docker-frames.ts'
import type { ExecOutput, ExecRequest, ExecSession, TerminalSize } from '../runtime.ts'
import { NEVER, pause } from './deadline.ts'
import { answerWithin } from './docker-engine.ts'
import { written } from './written.ts'

/**
 * The engine closes the output a moment before it knows the exit code: how often it is asked, and the time between two
 * times in ms. Guesses; one question is the rule.
 */
const EXIT_LOOKS_MAX = 100
const EXIT_LOOK_MS = 20
/** Between a request to end and the end by force, in ms. A guess. */
const CLOSE_GRACE_MS = 1_000

/** Starts the program; rejects with what the engine has to say against it. */
export async function execInContainer(container: Docker.Container, request: ExecRequest): Promise<ExecSession> {
  const { command, input, terminal } = request
  const exec = await answerWithin(
    container.exec({
      Cmd: [...command],
      AttachStdin: input,
      AttachStdout: true,
      AttachStderr: true,
      Tty: terminal !== null,
    }),
  )
  const stream = await answerWithin(exec.start({ hijack: true, stdin: true, Tty: terminal !== null }))
  // Whoever reads the output hears of it; between two readings nobody does.
  stream.on('error', () => undefined)
  if (!input) stream.end()
  const resize = createResizer(exec)
  if (terminal !== null) resize(terminal)
  const over = Promise.withResolvers<void>()
  stream.once('close', over.resolve).once('end', over.resolve)
  return {
    output: terminal === null ? framedOutput(stream) : plainOutput(stream),
    write: (bytes) => written(stream, bytes),
    end: () => void stream.end(),
    resize,
    exit: over.promise.then(() => exitOf(exec)),
    close: () => {
      void endProgram(exec, container.id).finally(() => stream.destroy())
    },
  }
}

/** One size after the other: each is a request by itself, of which a later one may overtake an earlier. */
export function createResizer(exec: Pick<Docker.Exec, 'resize'>): (size: TerminalSize) => void {
  let wanted: TerminalSize | null = null
  let isAsking = false
  const ask = async (): Promise<void> => {
    isAsking = true
    while (wanted !== null) {
      const { rows, columns } = wanted
      wanted = null
      // A program that has just ended has no terminal any more.
      await answerWithin(exec.resize({ h: rows, w: columns })).catch(() => undefined)
    }
    isAsking = false
  }
  return (size) => {
    wanted = size
    if (!isAsking) void ask()
  }
}

async function* framedOutput(stream: Duplex): AsyncGenerator<ExecOutput> {
  const reader = createFrameReader()
  for await (const piece of stream) {
    for (const { stream: name, text } of reader.read(piece as Uint8Array)) yield { stream: name, bytes: text }
  }
}

async function* plainOutput(stream: Duplex): AsyncGenerator<ExecOutput> {
  for await (const piece of stream) yield { stream: 'out', bytes: piece as Uint8Array }
}

async function exitOf(exec: Docker.Exec): Promise<number | null> {
  for (let look = 0; look < EXIT_LOOKS_MAX; look++) {
    const found = await answerWithin(exec.inspect()).catch(() => null)
    if (found === null) return null
    if (!found.Running) return found.ExitCode
    await pause(EXIT_LOOK_MS, NEVER)
  }
  return null
}

/**
 * The engine has no call that ends such a program, and does not end it when its caller goes. Where the engine is this
 * device's own, its number is a process here; with an engine elsewhere the program ends by itself or with the
 * container.
 */
async function endProgram(exec: Docker.Exec, containerId: string): Promise<void> {
  for (const signal of ['SIGHUP', 'SIGTERM', 'SIGKILL'] as const) {
    const found = await answerWithin(exec.inspect()).catch(() => null)
    if (found === null || !found.Running || found.Pid <= 0) return
    // The number may mean another process where the engine counts in a space of its own.
    const groups = await readFile(`/proc/${found.Pid}/cgroup`, 'utf8').catch(() => '')
    if (!groups.includes(containerId)) return
    try {
      process.kill(found.Pid, signal)
    } catch {
      return
    }
    await pause(signal === 'SIGHUP' ? CLOSE_GRACE_MS / 2 : CLOSE_GRACE_MS, NEVER)
  }
}

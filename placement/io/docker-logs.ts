// The output of a container as the bytes that it wrote.

import type Docker from 'dockerode'
import { createFrameReader } from '../docker-frames.ts'
import type { LogOptions } from '../runtime.ts'
import { pause } from './deadline.ts'
import { answerWithin, orNull } from './docker-engine.ts'

/** Lines looked at to find the last one that is not empty. */
const LAST_LINES = 5
/** Between two looks whether a container that has ended was started again, in ms. A guess, quick to a person's eye. */
const RESTART_LOOK_MS = 200
const MS_PER_S = 1_000

/**
 * What is kept (30 MB at most, as our log options say), or the last lines; then what follows, also after the container
 * was started again, until it is removed or the signal aborts.
 */
export async function* readContainerLog(container: Docker.Container, options: LogOptions): AsyncGenerator<Uint8Array> {
  const { signal, follow, tail, sinceMs } = options
  const request = {
    stdout: true,
    stderr: true,
    abortSignal: signal,
    ...(tail === null ? {} : { tail }),
    ...(sinceMs === null ? {} : { since: (Date.now() - sinceMs) / MS_PER_S }),
  }
  if (!follow) {
    const framed = await answerWithin(container.logs({ ...request, follow: false }))
    for (const { text } of createFrameReader().read(framed)) yield text
    return
  }
  yield* followOnce(() => container.logs({ ...request, follow: true }), signal)
  while (!signal.aborted) {
    // What was written until then has been read; the engine's own clock says until when.
    const ended = await orNull(container.inspect())
    if (ended === null) return
    const since = secondsOf(ended.State.FinishedAt)
    if (ended.State.Running) yield* followOnce(() => nextLog(container, since, signal), signal)
    else await pause(RESTART_LOOK_MS, signal)
  }
}

const nextLog = (
  container: Docker.Container,
  since: string,
  abortSignal: AbortSignal,
): Promise<NodeJS.ReadableStream> =>
  // The type says number; the engine takes a text with nanoseconds, and a number would lose them.
  container.logs({ stdout: true, stderr: true, follow: true, since: since as unknown as number, abortSignal })

async function* followOnce(
  open: () => Promise<NodeJS.ReadableStream>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const reader = createFrameReader()
  try {
    for await (const piece of await open()) {
      for (const { text } of reader.read(piece as unknown as Uint8Array)) yield text
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/** `2026-11-22T04:00:00.123456789Z` as seconds with nanoseconds, as the engine takes them. */
function secondsOf(timestamp: string): string {
  const fraction = /\.(\d+)Z$/.exec(timestamp)?.[1] ?? '0'
  return `${Math.floor(Date.parse(timestamp) / MS_PER_S)}.${fraction}`
}

/** The last line with something in it. */
export async function lastContainerLine(container: Docker.Container): Promise<string> {
  const framed = await answerWithin(container.logs({ stdout: true, stderr: true, follow: false, tail: LAST_LINES }))
  const texts = createFrameReader().read(framed)
  const text = Buffer.concat(texts.map((one) => one.text)).toString('utf8')
  return text.split('\n').findLast((line) => line.trim() !== '') ?? ''
}

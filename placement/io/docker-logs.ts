// The output of a container as the bytes that it wrote.

import type Docker from 'dockerode'
import { createFrameReader } from '../docker-frames.ts'
import type { LogOptions } from '../runtime.ts'
import { answerWithin } from './docker-engine.ts'

/** Lines looked at to find the last one that is not empty. */
const LAST_LINES = 5

/**
 * What is kept (30 MB at most, as our log options say), or the last lines; then what follows until the container
 * ends.
 */
export async function* readContainerLog(container: Docker.Container, options: LogOptions): AsyncGenerator<Uint8Array> {
  const { signal, follow } = options
  const reader = createFrameReader()
  const request = {
    stdout: true,
    stderr: true,
    abortSignal: signal,
    ...(options.tail === null ? {} : { tail: options.tail }),
  }
  if (!follow) {
    for (const { text } of reader.read(await answerWithin(container.logs({ ...request, follow: false })))) yield text
    return
  }
  const stream = await container.logs({ ...request, follow: true })
  try {
    for await (const piece of stream) {
      for (const { text } of reader.read(piece as Uint8Array)) yield text
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/** The last line with something in it. */
export async function lastContainerLine(container: Docker.Container): Promise<string> {
  const framed = await answerWithin(container.logs({ stdout: true, stderr: true, follow: false, tail: LAST_LINES }))
  const texts = createFrameReader().read(framed)
  const text = Buffer.concat(texts.map((one) => one.text)).toString('utf8')
  return text.split('\n').findLast((line) => line.trim() !== '') ?? ''
}

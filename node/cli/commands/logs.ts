// `coppice logs`: what instances wrote, from whichever devices they run on; of one instance byte for byte.

import { CommanderError } from 'commander'
import type { CliContext } from '../context.ts'
import { onFirstSignal } from '../signals.ts'

export interface LogWords {
  readonly follow?: boolean
  readonly lines?: number
  readonly instance?: number
  readonly since?: number
}

export async function logs(context: CliContext, service: string, words: LogWords): Promise<void> {
  const follow = words.follow ?? false
  if (follow && context.json) {
    throw new CommanderError(
      2,
      'usage',
      'a log that is followed has no end, so it is no JSON value: leave out --json or -f',
    )
  }
  const client = await context.client()
  const request = {
    service,
    number: words.instance ?? null,
    follow,
    tail: words.lines ?? null,
    sinceMs: words.since ?? null,
  }
  const log = client.logs(request, onFirstSignal())
  if (context.json) return context.answer({ service, number: request.number, log: await whole(log) }, () => '')
  for await (const bytes of log) await write(bytes)
}

async function whole(log: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const bytes of log) pieces.push(bytes)
  return Buffer.concat(pieces).toString()
}

/** As fast as the reader reads, so that a long log does not gather in memory. */
const write = (bytes: Uint8Array): Promise<void> =>
  new Promise((resolve) => {
    process.stdout.write(bytes, () => resolve())
  })

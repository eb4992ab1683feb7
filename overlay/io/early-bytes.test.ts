// What callers say first: ahead of the answer where the line is fresh, never to two instances, and whole.

import assert from 'node:assert/strict'
import { type Duplex, duplexPair } from 'node:stream'
import { test } from 'node:test'
import { err, ok } from '../kernel/result.ts'
import { encodeAnswer, type TunnelAnswer } from '../tunnel.ts'
import type { Counters } from './counters.ts'
import { EARLY_BYTES_MAX } from './early-bytes.ts'
import { HEADER } from './fixtures.ts'
import { readBytes, readFrame, writeFrame } from './frames.ts'
import { splice } from './splice.ts'
import { openTunnelOver, type TunnelWays } from './tunnel-streams.ts'

const never = new AbortController().signal
const counters: Counters = { add: () => {}, all: () => ({}) }
const REFUSAL: TunnelAnswer = err({ code: 'not-running', detail: 'it stopped' })

/** A tunnel on a line that nothing has come over for so long, and the serving end of it. */
function line(silentMs: number) {
  const [near, far] = duplexPair()
  const left = new AbortController()
  const ways: TunnelWays = {
    counters,
    leaving: () => ({ signal: left.signal, end: () => {} }),
    connect: async () => ({ newStream: async () => Promise.reject(new Error('no libp2p here')) }) as never,
    line: async () => ({ duplex: near, silentMs }),
  }
  const leave = (): void => left.abort(new Error('there is a better connection'))
  return { far, leave, open: (caller: Duplex) => openTunnelOver(ways, { header: HEADER, caller }, never) }
}

/** A program and the stream by which it calls, paused as a socket is that was just accepted. */
function program(words: string) {
  const [stream, caller] = duplexPair()
  stream.write(words)
  return { stream, caller }
}

const textOf = async (from: Duplex, length: number): Promise<string> =>
  Buffer.from(await readBytes(from, length, never)).toString()

test('what a caller says before the answer and after it comes once and in order, also its end', async () => {
  const { far, open } = line(0)
  const { stream, caller } = program('hello')
  const opening = open(caller)
  await readFrame(far, 1_024, never)
  assert.equal(await textOf(far, 5), 'hello', 'ahead of the answer')
  stream.end(' and more')
  assert.equal(await textOf(far, 9), ' and more', 'ahead of it, too')
  writeFrame(far, encodeAnswer(ok(null)))
  const opened = await opening
  assert.ok(opened.ok)
  splice(caller, opened.value)
  assert.deepEqual(await far.toArray(), [])
})

test('what was said to an instance that refused is said to the next one', async () => {
  const first = line(0)
  const { stream, caller } = program('hello')
  const opening = first.open(caller)
  await readFrame(first.far, 1_024, never)
  writeFrame(first.far, encodeAnswer(REFUSAL))
  const refused = await opening
  assert.equal(refused.ok ? '' : refused.error.code, 'not-running')
  stream.end(' again')
  const next = line(0)
  const again = next.open(caller)
  await readFrame(next.far, 1_024, never)
  writeFrame(next.far, encodeAnswer(ok(null)))
  const opened = await again
  assert.ok(opened.ok)
  splice(caller, opened.value)
  assert.equal(Buffer.concat(await next.far.toArray()).toString(), 'hello again')
})

test('where no answer came the call is lost for good, unless nothing was said', async () => {
  for (const [words, code] of [
    ['hello', 'lost'],
    ['', 'unreachable'],
  ] as const) {
    const { far, open } = line(0)
    const opening = open(program(words).caller)
    await readFrame(far, 1_024, never)
    far.destroy()
    const opened = await opening
    assert.equal(opened.ok ? '' : opened.error.code, code)
  }
})

test('an answer that makes no sense is none', async () => {
  const { far, open } = line(0)
  const opening = open(program('hello').caller)
  await readFrame(far, 1_024, never)
  writeFrame(far, Uint8Array.of(0xff, 0xff))
  const opened = await opening
  assert.equal(opened.ok ? '' : opened.error.code, 'lost')
})

test('nothing goes ahead over a line that was silent, as its other end may be gone', async () => {
  const { far, open } = line(2_000)
  const { caller } = program('hello')
  const opening = open(caller)
  await readFrame(far, 1_024, never)
  far.destroy()
  const opened = await opening
  assert.equal(opened.ok ? '' : opened.error.code, 'unreachable')
  assert.equal(await textOf(caller, 5), 'hello', 'it is there for the next instance')
})

test('a caller that says much waits for the answer after its first bytes', async () => {
  const { far, open } = line(0)
  const { caller } = program('x'.repeat(2 * EARLY_BYTES_MAX))
  const opening = open(caller)
  await readFrame(far, 1_024, never)
  assert.equal((await textOf(far, EARLY_BYTES_MAX)).length, EARLY_BYTES_MAX)
  assert.equal(caller.readableLength, EARLY_BYTES_MAX)
  writeFrame(far, encodeAnswer(REFUSAL))
  await opening
  assert.equal(caller.readableLength, 2 * EARLY_BYTES_MAX)
})

test('a tunnel that carried a first byte stays where it is, whatever other way there is', async () => {
  const { far, leave, open } = line(0)
  const { caller } = program('hello')
  const opening = open(caller)
  await readFrame(far, 1_024, never)
  assert.equal(await textOf(far, 5), 'hello')
  leave()
  writeFrame(far, encodeAnswer(ok(null)))
  assert.ok((await opening).ok)
})

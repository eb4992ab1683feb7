// How bytes go from one stream to another: in few writes, never late, and never more than one batch of them waiting.

import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { finished } from 'node:stream/promises'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { BATCH_BYTES_MAX, splice } from './splice.ts'

const PIECE = new Uint8Array(16_384)

/** A stream that says what it was given at once, and takes more when it is told to. */
function recorder() {
  const writes: number[] = []
  const waiting: (() => void)[] = []
  const take = (bytes: number, done: () => void): void => {
    writes.push(bytes)
    waiting.push(done)
  }
  const duplex = new Duplex({
    read: () => {},
    write: (chunk: Uint8Array, _encoding, done) => take(chunk.length, done),
    writev: (chunks, done) =>
      take(
        chunks.reduce((sum, { chunk }) => sum + chunk.length, 0),
        done,
      ),
  })
  return { duplex, writes, takeMore: () => waiting.shift()?.() }
}

/** Hands pieces to whoever reads, each in a callback of its own, as a socket does within one turn of the loop. */
async function arrive(duplex: Duplex, pieces: number): Promise<void> {
  for (let index = 0; index < pieces; index++) {
    duplex.push(PIECE)
    await new Promise<void>((resolve) => process.nextTick(resolve))
  }
}

test('what comes in one turn of the loop is written at once, and before the next one', async () => {
  const [from, to] = [recorder(), recorder()]
  splice(from.duplex, to.duplex)
  await nextTurn()
  await arrive(from.duplex, 4)
  await nextTurn()
  assert.deepEqual(to.writes, [4 * PIECE.length])
})

test('a batch that is full does not wait for the turn to end, and nothing is read beyond it', async () => {
  const [from, to] = [recorder(), recorder()]
  splice(from.duplex, to.duplex)
  await nextTurn()
  await arrive(from.duplex, 64)
  assert.deepEqual(to.writes, [BATCH_BYTES_MAX])
  assert.ok(from.duplex.isPaused())
  await nextTurn()
  assert.equal(to.duplex.writableLength, BATCH_BYTES_MAX)
  to.takeMore()
  await nextTurn()
  assert.deepEqual(to.writes, [BATCH_BYTES_MAX, BATCH_BYTES_MAX])
})

test('an end takes what waits with it', async () => {
  const [from, to] = [recorder(), recorder()]
  splice(from.duplex, to.duplex)
  await nextTurn()
  from.duplex.push(PIECE)
  from.duplex.push(null)
  await nextTurn()
  assert.deepEqual(to.writes, [PIECE.length])
  to.takeMore()
  await nextTurn()
  assert.ok(to.duplex.writableFinished)
})

/** When a sink says that it has taken something: at once, at the end of the callback, or a turn later. */
const PACES = [(done: () => void) => done(), process.nextTick, setImmediate] as const
const pace = fc.constantFrom(...PACES)
const piece = fc.record({ bytes: fc.integer({ min: 1, max: 150_000 }), isNewTurn: fc.boolean() })

test('all of it arrives, in order, however it comes and however slowly it is taken', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 40 }), fc.array(pace, { minLength: 1 }), async (pieces, paces) => {
      let taken = 0
      const seen: number[] = []
      const take = (chunks: readonly Uint8Array[], done: () => void): void => {
        for (const { 0: first = -1 } of chunks) seen.push(first)
        taken += 1
        paces[taken % paces.length]?.(done)
      }
      const to = new Duplex({
        read: () => {},
        write: (chunk: Uint8Array, _encoding, done) => take([chunk], done),
        writev: (chunks, done) => {
          const all = chunks.map(({ chunk }) => chunk as Uint8Array)
          take(all, done)
        },
      })
      const { duplex: from } = recorder()
      splice(from, to)
      for (const [index, { bytes, isNewTurn }] of pieces.entries()) {
        from.push(new Uint8Array(bytes).fill(index))
        if (isNewTurn) await nextTurn()
      }
      from.push(null)
      await finished(to, { readable: false })
      assert.deepEqual(seen, [...pieces.keys()])
    }),
    { numRuns: 50 },
  )
})

// Both ends of a program in an instance, joined by streams with little room, and a program that is a table.

import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { err, ok } from '../../overlay/kernel/result.ts'
import { encodeExec } from '../exec-frames.ts'
import type { ExecOutput, ExecRequest, ExecSession } from '../runtime.ts'
import { callExec } from './exec-calling.ts'
import { serveExec } from './exec-serving.ts'

const request: ExecRequest = { command: ['cat'], terminal: { columns: 80, rows: 24 }, input: true }

/** A program that repeats its input in capitals and ends with its input; what was asked of it is noted. */
function shouting(): ExecSession & { readonly asked: string[] } {
  const asked: string[] = []
  const lines: ExecOutput[] = []
  let isOver = false
  let wake = (): void => undefined
  const exit = Promise.withResolvers<number | null>()
  async function* output(): AsyncGenerator<ExecOutput> {
    for (;;) {
      const next = lines.shift()
      if (next !== undefined) yield next
      else if (isOver) return exit.resolve(3)
      else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  }
  return {
    asked,
    output: output(),
    write: async (bytes) => {
      lines.push({
        stream: lines.length % 2 === 0 ? 'out' : 'err',
        bytes: Buffer.from(String(Buffer.from(bytes)).toUpperCase()),
      })
      wake()
    },
    end: () => {
      isOver = true
      wake()
    },
    resize: ({ columns, rows }) => void asked.push(`${columns}x${rows}`),
    exit: exit.promise,
    close: () => {
      asked.push('closed')
      isOver = true
      wake()
    },
  }
}

/** Two ends of one connection. */
function joined(served: Duplex): Duplex {
  const caller = new Duplex({
    read: () => served.resume(),
    write: (piece, _encoding, done) => void served.write(piece, () => done()),
    destroy: (problem, done) => {
      served.destroy()
      done(problem)
    },
  })
  served.on('data', (piece) => caller.push(piece) || served.pause())
  served.on('end', () => caller.push(null))
  served.on('error', (problem) => caller.destroy(problem))
  return caller
}

const textOf = async (session: ExecSession): Promise<string> => {
  let text = ''
  for await (const { bytes } of session.output) text += Buffer.from(bytes).toString()
  return text
}

test('input, sizes, output and the exit code go to the program and back', async () => {
  const program = shouting()
  const seen: ExecRequest[] = []
  const started = await callExec(
    joined(
      serveExec(async (asked) => {
        seen.push(asked)
        return ok(program)
      }),
    ),
    request,
  )
  assert.ok(started.ok)
  assert.deepEqual(seen, [request])
  started.value.resize({ columns: 100, rows: 30 })
  await started.value.write(Buffer.alloc(300_000, 'a'))
  started.value.end()
  assert.equal(await textOf(started.value), 'A'.repeat(300_000))
  assert.equal(await started.value.exit, 3)
  assert.deepEqual(program.asked, ['100x30'])
})

test('a refusal is told in words, and a request that cannot be carried never gets to the runtime', async () => {
  const refused = await callExec(joined(serveExec(async () => err('no such program'))), request)
  assert.deepEqual(refused, err('no such program'))
  let isStarted = false
  const start = async () => {
    isStarted = true
    return ok(shouting())
  }
  const tooLong = await callExec(joined(serveExec(start)), { ...request, command: [] })
  assert.equal(tooLong.ok, false)
  assert.equal(isStarted, false)
})

test('a caller that goes takes its program with it', async () => {
  const program = shouting()
  const started = await callExec(joined(serveExec(async () => ok(program))), request)
  assert.ok(started.ok)
  started.value.close()
  await program.exit
  assert.deepEqual(program.asked, ['closed'])
})

test('a caller that says nonsense loses its program', async () => {
  const program = shouting()
  const served = serveExec(async () => ok(program))
  served.on('data', () => undefined)
  const failed = new Promise<Error>((resolve) => served.once('error', resolve))
  for (const frame of encodeExec({ kind: 'start', request })) served.write(frame)
  for (const frame of encodeExec({ kind: 'exit', code: 0 })) served.write(frame)
  assert.match((await failed).message, /a caller does not say exit/)
  await program.exit
  assert.deepEqual(program.asked, ['closed'])
})

test('a way that breaks before the end is told is an error, not an end', async () => {
  const served = serveExec(async () => ok(shouting()))
  const started = await callExec(joined(served), request)
  assert.ok(started.ok)
  served.destroy(new Error('cut'))
  await assert.rejects(textOf(started.value), /cut/)
  assert.equal(await started.value.exit, null)
})

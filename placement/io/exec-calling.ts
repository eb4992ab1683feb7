// The caller's end of a program in an instance: a session as if the program were here, over any stream of bytes.

import type { Duplex } from 'node:stream'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import { createExecReader, type ExecAnswer, type ExecCall, encodeExec } from '../exec-frames.ts'
import type { ExecOutput, ExecRequest, ExecSession } from '../runtime.ts'
import { written } from './written.ts'

const BROKEN = 'the way to its device broke'

/** Asks for a program; the error is what the device has against it, or that the way to it broke. */
export async function callExec(stream: Duplex, request: ExecRequest): Promise<Result<ExecSession, string>> {
  // Whoever reads the answers hears of it.
  stream.on('error', () => undefined)
  const say = async (call: ExecCall): Promise<void> => {
    for (const frame of encodeExec(call)) await written(stream, frame)
  }
  const answers = answersIn(stream)
  await say({ kind: 'start', request })
  const first = await answers.next().catch(() => null)
  if (first === null || first.done) return err(BROKEN)
  if (first.value.kind !== 'started') return err(first.value.kind === 'refused' ? first.value.detail : BROKEN)
  const exit = Promise.withResolvers<number | null>()
  return ok({
    output: outputOf(answers, exit.resolve),
    write: (bytes) => say({ kind: 'input', bytes }),
    end: () => void say({ kind: 'end' }),
    resize: (size) => void say({ kind: 'resize', size }),
    exit: exit.promise,
    close: () => stream.destroy(),
  })
}

async function* answersIn(stream: Duplex): AsyncGenerator<ExecAnswer, void> {
  const reader = createExecReader()
  for await (const piece of stream) {
    const read = reader.read(piece as Uint8Array)
    if (!read.ok) throw new Error(`its device says nonsense: ${read.error}`)
    for (const message of read.value) {
      if (isAnswer(message)) yield message
      else throw new Error(`its device says ${message.kind}, which is for callers`)
    }
  }
}

const isAnswer = (message: ExecCall | ExecAnswer): message is ExecAnswer =>
  ['started', 'refused', 'out', 'err', 'exit'].includes(message.kind)

/** What the program writes. Throws when the way breaks before its end was told. */
async function* outputOf(
  answers: AsyncGenerator<ExecAnswer, void>,
  onExit: (code: number | null) => void,
): AsyncGenerator<ExecOutput> {
  try {
    for await (const answer of answers) {
      if (answer.kind === 'out' || answer.kind === 'err') yield { stream: answer.kind, bytes: answer.bytes }
      else if (answer.kind === 'exit') return onExit(answer.code)
    }
    throw new Error(BROKEN)
  } finally {
    onExit(null)
  }
}

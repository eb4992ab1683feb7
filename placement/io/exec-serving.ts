// The device's end of a program in an instance: frames in, frames out, at the pace of the slower side. When the caller
// goes, so does the program.

import { Duplex } from 'node:stream'
import { unreachable } from '../../overlay/kernel/assert.ts'
import type { Result } from '../../overlay/kernel/result.ts'
import { createExecReader, type ExecAnswer, type ExecCall, encodeExec, requestProblem } from '../exec-frames.ts'
import type { ExecRequest, ExecSession } from '../runtime.ts'
import { messageOf } from './deadline.ts'

type Start = (request: ExecRequest) => Promise<Result<ExecSession, string>>

/** Takes a caller's frames and gives the answers; the program is started by `start` at the first frame. */
export function serveExec(start: Start): Duplex {
  const reader = createExecReader()
  let session: ExecSession | null = null
  let isAsked = false
  let onRoom = (): void => undefined

  const say = async (answer: ExecAnswer): Promise<void> => {
    for (const frame of encodeExec(answer)) {
      if (served.destroyed || served.push(frame)) continue
      await new Promise<void>((resolve) => {
        onRoom = resolve
      })
    }
  }

  const run = async (request: ExecRequest): Promise<void> => {
    const problem = requestProblem(request)
    const started = problem === null ? await start(request) : null
    if (started === null || !started.ok) {
      await say({ kind: 'refused', detail: problem ?? (started?.ok === false ? started.error : '') })
      return void served.push(null)
    }
    session = started.value
    // The caller may have gone while the program was being started.
    if (served.destroyed) return session.close()
    await say({ kind: 'started' })
    void tell(session).catch((error: unknown) => served.destroy(error as Error))
  }

  const tell = async ({ output, exit }: ExecSession): Promise<void> => {
    for await (const { stream, bytes } of output) await say({ kind: stream, bytes })
    const code = await exit
    // It has ended: there is nothing to close when the caller goes.
    session = null
    await say({ kind: 'exit', code })
    served.push(null)
  }

  const take = async (message: ExecCall | ExecAnswer): Promise<void> => {
    if (message.kind === 'start') {
      if (isAsked) throw new Error('a second start')
      isAsked = true
      return await run(message.request)
    }
    if (session === null) return
    switch (message.kind) {
      case 'input':
        return await session.write(message.bytes)
      case 'end':
        return session.end()
      case 'resize':
        return session.resize(message.size)
      case 'started':
      case 'out':
      case 'err':
      case 'exit':
      case 'refused':
        throw new Error(`a caller does not say ${message.kind}`)
      default:
        return unreachable(message)
    }
  }

  const takeAll = async (piece: Uint8Array): Promise<void> => {
    const read = reader.read(piece)
    if (!read.ok) throw new Error(read.error)
    for (const message of read.value) await take(message)
  }

  const served = new Duplex({
    allowHalfOpen: true,
    read: () => onRoom(),
    write: (piece: Uint8Array, _encoding, done) => {
      takeAll(piece).then(
        () => done(),
        (error: unknown) => done(new Error(`not what a caller of a program says: ${messageOf(error)}`)),
      )
    },
    final: (done) => {
      session?.end()
      done()
    },
    destroy: (problem, done) => {
      session?.close()
      onRoom()
      done(problem)
    },
  })
  return served
}

// The frames of a program in an instance, cut anywhere, and nonsense in their place.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  createExecReader,
  EXEC_FRAME_BYTES_MAX,
  type ExecAnswer,
  type ExecCall,
  encodeExec,
  requestProblem,
} from './exec-frames.ts'

const plain = { noNullPrototype: true }
const cells = fc.integer({ min: 1, max: 65_535 })
const size = fc.record({ columns: cells, rows: cells }, plain)
const bytes = fc.uint8Array({ minLength: 1, maxLength: 50 })
const request = fc.record(
  { command: fc.array(fc.string(), { maxLength: 4 }), terminal: fc.option(size), input: fc.boolean() },
  plain,
)
const message: fc.Arbitrary<ExecCall | ExecAnswer> = fc.oneof(
  request.map((asked) => ({ kind: 'start' as const, request: asked })),
  bytes.map((input) => ({ kind: 'input' as const, bytes: input })),
  bytes.map((out) => ({ kind: 'out' as const, bytes: out })),
  bytes.map((error) => ({ kind: 'err' as const, bytes: error })),
  fc.constantFrom({ kind: 'end' as const }, { kind: 'started' as const }),
  size.map((cells) => ({ kind: 'resize' as const, size: cells })),
  fc.option(fc.integer({ min: 0, max: 255 })).map((code) => ({ kind: 'exit' as const, code })),
  fc.string().map((detail) => ({ kind: 'refused' as const, detail })),
)

test('whatever way the frames are cut, the same messages come out', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), fc.integer({ min: 1, max: 40 }), (messages, cut) => {
      const stream = Buffer.concat(messages.flatMap(encodeExec))
      const reader = createExecReader()
      const read: (ExecCall | ExecAnswer)[] = []
      for (let at = 0; at < stream.length; at += cut) {
        const result = reader.read(stream.subarray(at, at + cut))
        assert.ok(result.ok)
        read.push(...result.value.map((one) => ('bytes' in one ? { ...one, bytes: Uint8Array.from(one.bytes) } : one)))
      }
      assert.deepEqual(read, messages)
    }),
    { seed: 7, numRuns: 300 },
  )
})

test('bytes that are too many for one frame are cut into several, none of them too long', () => {
  const frames = encodeExec({ kind: 'out', bytes: new Uint8Array(3 * EXEC_FRAME_BYTES_MAX) })
  assert.equal(frames.length, 4)
  assert.ok(frames.every((frame) => frame.length <= EXEC_FRAME_BYTES_MAX + 4))
})

test('nonsense is an error and nothing is thrown', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (nonsense) => {
      createExecReader().read(nonsense)
    }),
    { seed: 7, numRuns: 500 },
  )
  const huge = createExecReader().read(Uint8Array.of(255, 255, 255, 255, 0))
  assert.equal(huge.ok, false)
})

test('a request that cannot be carried is refused in words', () => {
  const problem = (command: string[]) => requestProblem({ command, terminal: null, input: false })
  assert.equal(problem(['ls', '-l']), null)
  assert.match(problem([]) ?? '', /which program/)
  assert.match(problem(['x'.repeat(40_000)]) ?? '', /at most 32768 bytes/)
  assert.match(problem(['a\0b']) ?? '', /zero byte/)
})

// Frames at their bounds, and bytes that are no frames.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { FederationId } from '../overlay/kernel/ids.ts'
import { createCodec, MESSAGE_BYTES_MAX } from '../overlay/wire/codec.ts'
import { CHARTER_BYTES_MAX } from './charter.ts'
import { CREDENTIAL_BYTES_MAX } from './credential.ts'
import {
  type BootstrapMessage,
  bootstrapSchemas,
  HELLO_BYTES_MAX,
  helloFrame,
  joinAnswerFrame,
  joinRequestFrame,
} from './messages.ts'

const largest = {
  kind: 'hello',
  federation: 'f'.repeat(64) as FederationId,
  credential: 'c'.repeat(CREDENTIAL_BYTES_MAX),
  name: 'ü'.repeat(64),
  charter: new Uint8Array(CHARTER_BYTES_MAX),
} as const

test('the largest hello and the largest answer fit their bounds and the wire', () => {
  assert.ok(helloFrame.encode(largest).length <= HELLO_BYTES_MAX)
  const { credential, charter } = largest
  assert.ok(joinAnswerFrame.encode({ kind: 'accepted', credential, charter }).length <= HELLO_BYTES_MAX)
  assert.ok(HELLO_BYTES_MAX <= MESSAGE_BYTES_MAX)
  const chain = createCodec<BootstrapMessage>(bootstrapSchemas).encode({ kind: 'charter/chain', chain: charter })
  assert.ok(chain.length <= MESSAGE_BYTES_MAX - 1_024)
})

test('frames that are written and read again are the same', () => {
  const hello = helloFrame.decode(helloFrame.encode(largest))
  assert.deepEqual(hello.ok && hello.value, largest)
  const request = { kind: 'join', inviteId: new Uint8Array(8), secret: new Uint8Array(32), name: 'shed' } as const
  const read = joinRequestFrame.decode(joinRequestFrame.encode(request))
  assert.deepEqual(read.ok && read.value, request)
  const refusal = { kind: 'refused', code: 'expired-invite', detail: 'the invite has expired' } as const
  const answer = joinAnswerFrame.decode(joinAnswerFrame.encode(refusal))
  assert.deepEqual(answer.ok && answer.value, refusal)
})

test('no bytes make a reader of frames throw', () => {
  const good = [
    helloFrame.encode({ ...largest, credential: 'a.b.c', charter: new Uint8Array(9) }),
    joinRequestFrame.encode({ kind: 'join', inviteId: new Uint8Array(8), secret: new Uint8Array(32), name: 'shed' }),
    joinAnswerFrame.encode({ kind: 'refused', code: 'x', detail: 'y' }),
  ]
  const mutated = fc
    .tuple(fc.constantFrom(...good), fc.nat(), fc.integer({ min: 1, max: 255 }), fc.nat(20))
    .map(([frame, at, mask, cut]) =>
      frame.map((byte, index) => (index === at % frame.length ? byte ^ mask : byte)).slice(0, frame.length - cut),
    )
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 200 })), (frame) => {
      for (const codec of [helloFrame, joinRequestFrame, joinAnswerFrame])
        assert.equal(typeof codec.decode(frame).ok, 'boolean')
    }),
    { seed: 4, numRuns: 3_000 },
  )
})

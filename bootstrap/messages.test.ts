// Frames at their bounds, and bytes that are no frames.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as overlay from '../overlay/io/protocols.ts'
import type { FederationId } from '../overlay/kernel/ids.ts'
import { createCodec, MESSAGE_BYTES_MAX } from '../overlay/wire/codec.ts'
import { CHARTER_BYTES_MAX, ENTRY_BYTES_MAX } from './charter-entry.ts'
import { SHOWN_MAX } from './charter-sync.ts'
import { CREDENTIAL_BYTES_MAX } from './credential.ts'
import {
  type BootstrapMessage,
  bootstrapSchemas,
  HELLO_BYTES_MAX,
  helloFrame,
  joinAnswerFrame,
  joinRequestFrame,
  PIECE_BYTES_MAX,
  RENEWAL_BYTES_MAX,
  renewalFrame,
} from './messages.ts'

const largest = {
  kind: 'hello',
  federation: 'f'.repeat(64) as FederationId,
  credential: 'c'.repeat(CREDENTIAL_BYTES_MAX),
  name: 'ü'.repeat(64),
  shown: Array.from({ length: SHOWN_MAX }, (_, index) => new Uint8Array(32).fill(index)),
  digest: new Uint8Array(32),
} as const

test('the largest hello, answer and piece fit their bounds and the wire', () => {
  assert.ok(helloFrame.encode(largest).length <= HELLO_BYTES_MAX)
  assert.ok(HELLO_BYTES_MAX <= overlay.HELLO_BYTES_MAX)
  assert.ok(PIECE_BYTES_MAX <= overlay.PIECE_BYTES_MAX && ENTRY_BYTES_MAX < PIECE_BYTES_MAX)
  assert.ok(RENEWAL_BYTES_MAX <= overlay.REQUEST_BYTES_MAX)
  const answer = {
    kind: 'accepted',
    credential: largest.credential,
    charter: new Uint8Array(CHARTER_BYTES_MAX),
  } as const
  assert.ok(joinAnswerFrame.encode(answer).length <= overlay.ANSWER_BYTES_MAX)
  const news = { kind: 'charter/news', packed: new Uint8Array(PIECE_BYTES_MAX) } as const
  assert.ok(createCodec<BootstrapMessage>(bootstrapSchemas).encode(news).length <= MESSAGE_BYTES_MAX - 1_024)
})

test('frames that are written and read again are the same', () => {
  const hello = helloFrame.decode(helloFrame.encode(largest))
  assert.deepEqual(hello.ok && hello.value, largest)
  const request = { kind: 'join', inviteId: new Uint8Array(8), secret: new Uint8Array(32), name: 'shed' } as const
  const read = joinRequestFrame.decode(joinRequestFrame.encode(request))
  assert.deepEqual(read.ok && read.value, request)
  const accepted = { kind: 'accepted', credential: null, charter: new Uint8Array(100_000).fill(7) } as const
  const yes = joinAnswerFrame.decode(joinAnswerFrame.encode(accepted))
  assert.deepEqual(yes.ok && yes.value, accepted)
  const refusal = { kind: 'refused', code: 'expired-invite', detail: 'the invite has expired' } as const
  const answer = joinAnswerFrame.decode(joinAnswerFrame.encode(refusal))
  assert.deepEqual(answer.ok && answer.value, refusal)
})

test('no bytes make a reader of frames throw', () => {
  const good = [
    helloFrame.encode({ ...largest, credential: 'a.b.c', shown: [new Uint8Array(9)] }),
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
      for (const codec of [helloFrame, joinRequestFrame, joinAnswerFrame, renewalFrame])
        assert.equal(typeof codec.decode(frame).ok, 'boolean')
    }),
    { seed: 4, numRuns: 3_000 },
  )
})

// The messages of placement on the wire.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { err } from '../overlay/kernel/result.ts'
import { createCodec } from '../overlay/wire/codec.ts'
import { A, ABOVE, Bench, CLOCK, EU, FENCE, ME, WEB } from './leader-harness.ts'
import { type PlacementMessage, placementSchemas } from './messages.ts'
import { specOf, summaryOf } from './placement-fixtures.ts'
import { encodeSpec } from './spec.ts'
import { foldAggregate } from './summary.ts'

test('every message survives the wire, and no mutation of one does harm', () => {
  const codec = createCodec<PlacementMessage>(placementSchemas)
  const common = { domain: EU, askId: '1.1.1', service: WEB, number: 0 }
  const spec = encodeSpec(specOf())
  const aggregate = foldAggregate([summaryOf('1', { labels: { a: 'b' } })], A)
  const messages: readonly PlacementMessage[] = [
    { kind: 'placement/ask', ...common, fence: FENCE, spec, specClock: CLOCK, avoid: [ME] },
    { kind: 'placement/offer', ...common, child: A, score: 0.5, node: ME, nodeName: 'me', expiresInMs: 5 },
    {
      kind: 'placement/refuse',
      ...common,
      child: A,
      devices: 3,
      reasons: [{ code: 'cpu', count: 3, detail: '', most: 1, on: 'x' }],
    },
    { kind: 'placement/release', domain: EU, askId: '1' },
    {
      kind: 'placement/report',
      domain: EU,
      child: A,
      service: WEB,
      number: 0,
      problem: 'unplaceable',
      detail: '',
      fence: FENCE,
    },
    {
      kind: 'placement/summary',
      domain: A,
      child: ME,
      incarnation: 1,
      sequence: 2,
      summary: summaryOf('me', { temperatureC: 40 }),
    },
    { kind: 'placement/aggregate', domain: EU, child: A, fence: FENCE, sequence: 2, aggregate },
    { kind: 'placement/may-run', domain: EU, service: WEB, number: 0, incarnation: 1, askedAt: 5 },
    { kind: 'placement/run-on', domain: EU, fence: FENCE, service: WEB, number: 0, incarnation: 1, askedAt: 5 },
  ]
  const closed = () => err('nothing nested')
  for (const message of messages) {
    const read = codec.decode(codec.encode(message), closed, 0)
    assert.deepEqual(read, { ok: true, value: message })
  }
  const encoded = messages.map((message) => codec.encode(message))
  fc.assert(
    fc.property(
      fc.nat(),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (which, changes) => {
        const bytes = Uint8Array.from(encoded[which % encoded.length] as Uint8Array)
        for (const [at, value] of changes) bytes[at % bytes.length] = value
        const read = codec.decode(bytes, closed, 0)
        if (!read.ok) return
        const bench = new Bench()
        bench.hear(ABOVE, A, read.value)
      },
    ),
    { seed: 20261121, numRuns: 2_000 },
  )
})

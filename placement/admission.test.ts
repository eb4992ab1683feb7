// What a worker promises never exceeds what its device has.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { instanceKey, nodeId } from '../overlay/kernel/ids.ts'
import { putRecord } from '../services-registry/table.ts'
import { factsOf, openedBy, specOf } from './placement-fixtures.ts'
import { encodeSpec } from './spec.ts'
import { workerUse } from './worker.ts'
import { Bench, CLOCK, DOMAIN, FROM_OURS, SELF, WEB } from './worker-harness.ts'

const action = fc.oneof(
  fc.record({
    do: fc.constant('ask' as const),
    number: fc.nat(7),
    memoryMb: fc.integer({ min: 1, max: 2_000 }),
    vcpus: fc.integer({ min: 1, max: 30 }).map((tenths) => tenths / 10),
    version: fc.nat(2),
  }),
  fc.record({ do: fc.constant('place' as const), number: fc.nat(7), here: fc.boolean(), version: fc.nat(2) }),
  fc.record({ do: fc.constant('exit' as const), number: fc.nat(7), code: fc.nat(1) }),
  fc.record({ do: fc.constant('release' as const), number: fc.nat(7) }),
  fc.record({ do: fc.constant('pass' as const), ms: fc.nat(6_000) }),
)

test('whatever is asked, placed, ended and released, no more is promised than there is', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
      const bench = new Bench()
      let sequence = 0
      const stored = encodeSpec(specOf({ memoryMb: 1_500, vcpus: 1.5 }))
      const record = { kind: 'record/spec' as const, domain: DOMAIN, service: WEB, clock: CLOCK, spec: stored }
      putRecord(bench.table, openedBy(factsOf('x', DOMAIN), record), 0)
      for (const one of actions) {
        const key = instanceKey(WEB, 'number' in one ? one.number : 0)
        if (one.do === 'ask') {
          const spec = specOf({ memoryMb: one.memoryMb, vcpus: one.vcpus })
          const common = { ...FROM_OURS, askId: `${key}`, service: WEB, number: one.number, avoid: [] }
          const specClock = { wall: one.version, counter: 0 }
          bench.hear({ kind: 'placement/ask', ...common, spec: encodeSpec(spec), specClock })
        } else if (one.do === 'place') {
          sequence += 1
          const child = one.here ? SELF : nodeId('other')
          bench.place({ number: one.number, child, sequence, specClock: { wall: one.version, counter: 0 } })
        } else if (one.do === 'exit') bench.says({ kind: 'exited', key, code: one.code, detail: '' })
        else if (one.do === 'release') bench.hear({ kind: 'placement/release', domain: DOMAIN, askId: `${key}` })
        else {
          bench.now += one.ms
          bench.give({ kind: 'wake' })
        }
        const { reserved } = workerUse(bench.state)
        assert.ok(reserved.memoryMb <= 3_600 + 1e-3, `${reserved.memoryMb} MB`)
        assert.ok(reserved.vcpus <= 4 + 1e-3, `${reserved.vcpus} cores`)
      }
    }),
    { seed: 20261121, numRuns: 300 },
  )
})

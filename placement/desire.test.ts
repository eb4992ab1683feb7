// Whether a placement meets what is wanted, as far as it is known where the instance could not run.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { instanceKey, nodeId } from '../overlay/kernel/ids.ts'
import type { Clock, PlacementRecord } from '../services-registry/record.ts'
import { failuresOf } from './commitment.ts'
import { verdictOf } from './desire.ts'
import { Bench, FENCE, WEB } from './leader-harness.ts'
import { contextAt, specOf } from './placement-fixtures.ts'
import type { Turn, Work } from './scheduler-state.ts'

const DEVICE = nodeId('device')
const KEY = instanceKey(WEB, 0)
const [FIRST, SECOND] = [1, 2].map((wall): Clock => ({ wall, counter: 0 })) as [Clock, Clock]

/** A version that is placed on a device where one could not run; null: nobody knows which. */
function placedWhere(failed: Clock | null, placed: Clock) {
  const { state } = new Bench([DEVICE])
  const avoid = new Map([[DEVICE, { until: 60_000, detail: 'exit code 1', specClock: failed }]])
  const work = { avoid, baseline: null } as unknown as Work
  state.work.set(KEY, work)
  const known = { clock: placed, spec: specOf(), over: null } as never
  const children = state.view.children()
  const record = {
    service: WEB,
    number: 0,
    child: DEVICE,
    specClock: placed,
    fence: FENCE,
  } as unknown as PlacementRecord
  const verdict = verdictOf(state, record, { kind: 'wanted', clock: placed, known } as never, children, work, 1_000)
  const turn = { state, children, context: contextAt(1_000) } as unknown as Turn
  return { verdict: verdict.kind, isAvoided: failuresOf(turn, KEY, known).has(DEVICE) }
}

test('who could not run another version is asked for this one, who could not run this one is not', () => {
  assert.deepEqual(placedWhere(FIRST, SECOND), { verdict: 'unconfirmed', isAvoided: false })
  assert.deepEqual(placedWhere(FIRST, FIRST), { verdict: 'replace', isAvoided: true })
  assert.deepEqual(placedWhere(null, SECOND), { verdict: 'replace', isAvoided: true })
})

// Spread over a thousand choices of devices: no two differ by more than one replica, and the emptiest comes first.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type DomainPath, nodeId } from '../../overlay/kernel/ids.ts'
import { type Candidate, candidateOf } from '../candidate.ts'
import { NOTHING } from '../need.ts'
import { specOf, summaryOf } from '../placement-fixtures.ts'
import { foldAggregate } from '../summary.ts'
import { spread } from './spread.ts'

const A = '/a' as DomainPath
const CLUSTER = { path: A, labels: [] }

const node = (id: string, cores: number, siblings: number): Candidate =>
  candidateOf(
    { kind: 'node', child: nodeId(id), summary: summaryOf(id, { cores }) },
    { resources: NOTHING, own: NOTHING, isPlace: false, siblings },
    CLUSTER,
  )

const scores = (candidates: readonly Candidate[]): readonly number[] =>
  spread.judge(specOf(), candidates).map((judgement) => (judgement.kind === 'scored' ? judgement.score.value : -1))

const best = (candidates: readonly Candidate[]): number => {
  const values = scores(candidates)
  return values.indexOf(Math.max(...values))
}

test('replicas placed one by one differ by at most one, whatever the sizes of the devices', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 30 }),
      (cores, replicas) => {
        const counts = cores.map(() => 0)
        for (let replica = 0; replica < replicas; replica++) {
          const chosen = best(cores.map((each, index) => node(`n${index}`, each, counts[index] ?? 0)))
          counts[chosen] = (counts[chosen] ?? 0) + 1
        }
        assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join())
      },
    ),
  )
})

test('of equals the emptiest comes first, where best-fit would fill one up', () => {
  assert.equal(best([node('small', 2, 0), node('large', 32, 0)]), 1)
})

test('domains are compared by all that they have left', () => {
  const domain = (path: string, devices: number): Candidate => {
    const summaries = Array.from({ length: devices }, (_, index) => summaryOf(`${path}-${index}`))
    const aggregate = foldAggregate(summaries, path as DomainPath)
    const reserved = { ...NOTHING, vcpus: 4, memoryMb: 1_000 }
    const news = { kind: 'domain' as const, child: path as DomainPath, aggregate: { ...aggregate, reserved } }
    return candidateOf(news, { resources: NOTHING, own: NOTHING, isPlace: false, siblings: 0 }, CLUSTER)
  }
  assert.equal(best([domain('/small', 2), domain('/large', 8)]), 1)
})

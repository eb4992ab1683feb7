// Who deploys a version that leaves no room for the one before is told, and nobody else.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OperatorId } from '../overlay/kernel/ids.ts'
import { encodeSpec, nextVersion, type ServiceSpec } from '../placement/index.ts'
import { specOf } from '../placement/placement-fixtures.ts'
import { authorSpec } from '../services-registry/author.ts'
import type { SealedRecord, SpecRecord } from '../services-registry/record.ts'
import {
  BERLIN,
  createFederation,
  ROOT_DOMAIN,
  START_WALL,
  sealRecord,
  WEB,
} from '../services-registry/record-fixtures.ts'
import { CLOCK_ZERO } from '../services-registry/version.ts'
import { lostVersionWarning } from './lost-version.ts'

const federation = createFederation()
const ours = federation.addNode('a', BERLIN)
const other = federation.addNode('b', BERLIN, { operator: 'operator-b' as OperatorId })
const large = (version: string): ServiceSpec =>
  specOf({
    environment: Object.fromEntries(Array.from({ length: 20 }, (_, key) => [`K${key}`, version.repeat(1_000)])),
  })

/** As a node submits it on what is held. */
function submitted(spec: ServiceSpec, held: SealedRecord<SpecRecord> | null, by = ours): SealedRecord<SpecRecord> {
  const next = nextVersion(held?.message ?? null, null, spec, false)
  const about = { domain: ROOT_DOMAIN, service: WEB, spec: encodeSpec(spec), signer: by.facts, held }
  return sealRecord(by, authorSpec({ ...about, ...next, clock: CLOCK_ZERO, wall: START_WALL }))
}

function warned(first: ServiceSpec, second: ServiceSpec, by = ours): string | null {
  const held = submitted(first, null)
  return lostVersionWarning(second, { held, rollout: null }, submitted(second, held, by))
}

test('two versions that do not fit in one record leave nothing to roll back to, and that is said', () => {
  assert.match(warned(large('a'), large('b')) ?? '', /^there will be nothing to roll back to: .* more than 32 kB\)$/)
})

test('nothing is said where the version before is kept, was none, or was somebody else’s', () => {
  assert.equal(warned(specOf(), large('b')), null)
  assert.equal(warned(large('a'), { ...large('a'), replicas: 3 }), null)
  assert.equal(lostVersionWarning(large('a'), { held: null, rollout: null }, submitted(large('a'), null)), null)
  assert.equal(warned(large('a'), large('b'), other), null)
})

// Whom an operator's policy shows its services to.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type NodeId, type OperatorId, ROOT } from '../overlay/kernel/ids.ts'
import { maySee, SEEN_BY_MAX, type SealedRecord } from '../services-registry/index.ts'
import { factsOf, openedBy, specOf } from './placement-fixtures.ts'
import type { PolicyFile } from './policy.ts'
import { seersOf } from './seers.ts'
import { encodeSpec, type ServiceSpec, serviceIdOf } from './spec.ts'

const OURS = factsOf('a' as NodeId, '/a' as never).operator
const spec = specOf()

/** Who of three others is told of a service of ours under this policy. */
function seers(policy: PolicyFile, of: ServiceSpec = spec): string {
  const seenBy = seersOf(policy, of, OURS)
  const facts = factsOf('a' as NodeId, '/a' as never)
  const message = {
    kind: 'record/spec' as const,
    domain: ROOT,
    service: serviceIdOf(of),
    clock: { wall: 1, counter: 0 },
    spec: encodeSpec(of),
    ...(seenBy.length > 0 && { seenBy }),
  }
  const record = openedBy(facts, message as never) as unknown as SealedRecord
  const asks = (operator: string) =>
    maySee([record], { node: 'x' as NodeId, domain: '/x' as never, operator: operator as OperatorId })
  assert.ok(asks(OURS), 'its own operator always')
  return ['green', 'blue', 'red'].filter(asks).join(' ')
}

test('nobody of another operator sees a service unless the policy says so', () => {
  assert.equal(seers({}), '')
  assert.equal(seers({ others: { place: true }, rules: [{ operators: ['green'], runtimes: ['docker'] }] }), '')
})

test('who may see, reach, read logs or run programs is told of it', () => {
  for (const deed of ['see', 'reach', 'logs', 'exec'] as const)
    assert.equal(seers({ rules: [{ operators: ['green'], may: [deed] }] }), 'green', deed)
  assert.equal(seers({ others: { may: ['see'] } }), 'green blue red')
})

test('the first rule that holds decides, for the namespaces that it holds for', () => {
  const rules = [{ operators: ['red'], may: [] }, { may: ['see' as const] }]
  assert.equal(seers({ rules }), 'green blue')
  assert.equal(seers({ rules: [{ operators: ['red'], namespaces: ['elsewhere'], may: ['see'] }] }), '')
})

test('a descriptor that opens its service to other callers shows it to everybody', () => {
  assert.equal(seers({}, specOf({ callers: ['billing'] })), 'green blue red')
})

test('where there are more than a record has room for, nobody sees it', () => {
  const operators = Array.from({ length: SEEN_BY_MAX + 1 }, (_, index) => `operator-${index}`)
  assert.deepEqual(seersOf({ rules: [{ operators, may: ['see'] }] }, spec, OURS), [])
  const rules = [{ operators, may: [] }, { may: ['see' as const] }]
  assert.deepEqual(seersOf({ rules }, spec, OURS), [])
})

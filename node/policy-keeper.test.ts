// The policy of an operator, as a node keeps it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { giveConsent } from '../bootstrap/charter-entry.ts'
import { founder, operatorNamed, START } from '../bootstrap/io/federation-for-tests.ts'
import { encodeRequest } from '../bootstrap/operator-request.ts'
import { openPolicyKeeper } from './policy-keeper.ts'

test('a policy may name an operator that is admitted later', async () => {
  const { gate, store, operatorKey } = await founder({ wall: START })
  const keeper = await openPolicyKeeper({ store, gate, operatorKey, wall: () => START, onNotice: assert.fail })
  const operatorsMeant = () => keeper.current().policy.rules?.[0]?.operators
  const told: unknown[] = []
  keeper.tellFrom(({ policy }) => told.push(policy.rules?.[0]?.operators))
  await keeper.set(JSON.stringify({ rules: [{ operators: ['Birch'], runtimes: ['process'] }] }))
  assert.deepEqual(operatorsMeant(), ['Birch'])
  const birch = operatorNamed('Birch')
  await gate.operators.admit(encodeRequest(giveConsent({ key: birch.operator, name: birch.name, at: START }, birch)))
  keeper.onCharter()
  assert.deepEqual(operatorsMeant(), [birch.operator])
  assert.deepEqual(told, [['Birch'], [birch.operator]])
})

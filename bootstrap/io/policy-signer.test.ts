// A policy counts for the signature of the operator whose devices it is for.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FederationId } from '../../overlay/kernel/ids.ts'
import { supersedes } from '../policy-statement.ts'
import { operatorNamed } from './federation-for-tests.ts'
import { openPolicy, signPolicy } from './policy-signer.ts'

const federation = 'f'.repeat(64) as FederationId
const acme = operatorNamed('acme')
const claims = { federation, version: 3, iat: 1_790_000_000, policy: '{"hold":{}}' }
const other = operatorNamed('other')
const operators = [acme, other].map(({ operator, name }) => ({ id: operator, key: operator, name }))
const keys = new Map(operators.map(({ id }) => [id, { operator: id, isDropped: false }]))
const expected = { operator: acme.operator, federation, charter: { operators, keys } }

test('what an operator signed is read on its devices, and nowhere else', async () => {
  const { text } = await signPolicy(claims, acme)
  const opened = await openPolicy(text, expected)
  assert.ok(opened.ok)
  assert.deepEqual(opened.value.claims, { iss: acme.operator, ...claims })
  const problem = async (shown: string, at = expected): Promise<string> => {
    const read = await openPolicy(shown, at)
    return read.ok ? 'ok' : read.error
  }
  assert.match(await problem(text, { ...expected, operator: other.operator }), /for devices of its own/)
  assert.match(await problem(text, { ...expected, federation: 'e'.repeat(64) as FederationId }), /another federation/)
  const [header = '', payload = '', signature = ''] = text.split('.')
  const read = JSON.parse(Buffer.from(payload, 'base64url').toString())
  const changed = Buffer.from(JSON.stringify({ ...read, version: 9 })).toString('base64url')
  assert.match(await problem([header, changed, signature].join('.')), /not signed by/)
  const forged = await signPolicy(claims, operatorNamed('mallory'))
  const posing = Buffer.from(JSON.stringify({ ...forged.claims, iss: acme.operator })).toString('base64url')
  assert.match(await problem([forged.text.split('.')[0], posing, forged.text.split('.')[2]].join('.')), /not signed by/)
  assert.match(await problem('nonsense'), /not a signed policy/)
  assert.match(await problem('x'.repeat(70_000)), /more than/)
})

test('the later version counts; of two that claim one version all devices choose the same', async () => {
  const three = await signPolicy(claims, acme)
  const four = await signPolicy({ ...claims, version: 4 }, acme)
  const alike = await signPolicy({ ...claims, policy: '{}' }, acme)
  assert.ok(supersedes(three, null) && supersedes(four, three) && !supersedes(three, four))
  assert.ok(!supersedes(three, three))
  assert.notEqual(supersedes(alike, three), supersedes(three, alike))
})

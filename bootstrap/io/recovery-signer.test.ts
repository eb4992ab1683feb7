// An operator orders a domain to go on: signed, for that domain, in time, or not at all.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { RECOVERY_ORDER_LIFETIME_MS } from '../recovery-order.ts'
import { DAY_MS, founder, inviteFrom, joinWith, operatorNamed, START } from './federation-for-tests.ts'
import { signRecoveryOrder } from './recovery-signer.ts'

const berlin = '/berlin' as DomainPath

test('an order signed with the operator’s key is believed on every member, also one that has no key', async () => {
  const clock = { wall: START }
  const host = await founder(clock)
  const guest = await joinWith(host, await inviteFrom(host, 1), 'shed', clock)
  const order = await host.gate.signRecovery(berlin)
  for (const { gate } of [host, guest]) {
    const checked = await gate.checkRecovery(order, berlin)
    assert.ok(checked.ok)
    assert.equal(checked.value, host.gate.facts.operator)
  }
  await assert.rejects(guest.gate.signRecovery(berlin), { code: 'no-operator-key' })
})

test('an order is worth nothing for another domain, after its time, or from anybody else', async () => {
  const clock = { wall: START }
  const host = await founder(clock)
  const order = await host.gate.signRecovery(berlin)
  const problem = async (text: string, domain = berlin): Promise<string> => {
    const checked = await host.gate.checkRecovery(text, domain)
    return checked.ok ? 'ok' : checked.error
  }
  assert.match(await problem(order, '/paris' as DomainPath), /it is for \/berlin/)
  const forged = await signRecoveryOrder(berlin, host.gate.federation, operatorNamed('mallory'), START)
  assert.match(await problem(forged), /is not an operator/)
  const [header = '', , signature = ''] = order.split('.')
  const other = forged.split('.')[1] ?? ''
  assert.match(await problem([header, other, signature].join('.')), /is not an operator/)
  const tampered = Buffer.from(JSON.stringify({ ...claimsOf(order), iat: 0 })).toString('base64url')
  assert.match(await problem([header, tampered, signature].join('.')), /not signed by/)
  assert.match(await problem('nonsense'), /not an order/)
  assert.match(await problem('x'.repeat(5_000)), /more than/)
  clock.wall = START + RECOVERY_ORDER_LIFETIME_MS + DAY_MS
  assert.match(await problem(order), /expired/)
})

const claimsOf = (order: string): object => JSON.parse(Buffer.from(order.split('.')[1] ?? '', 'base64url').toString())

// Going over into another federation: what is asked before, and which passage a device believes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { surveyAnswerFrame, surveyFrame } from '../survey.ts'
import { founder, inviteFrom, joinWith, type Member, START } from './federation-for-tests.ts'
import { signFederationOrder } from './federation-signer.ts'
import { loadMembership } from './membership.ts'
import { askOther, credentialThere, withRevocations } from './other-federation.ts'
import { openPassage, packPassage } from './passage.ts'

const clock = { wall: START }
const keyOf = ({ operatorKey }: Member) => operatorKey ?? assert.fail('it has no operator key')

/** Two federations of one operator, each with its founder, and a device of the second that shall go over. */
async function twoFederations(secondOperator = 'acme') {
  const there = await founder(clock, 'Green Fields', 'acme')
  const here = await founder(clock, 'Far Fields', secondOperator)
  const device = await joinWith(here, await inviteFrom(here), 'shed', clock)
  return { there, here, device }
}

const ask = async (there: Member, here: Member, names = [{ of: 'device' as const, name: 'barn', mark: 'x' }]) =>
  askOther(await inviteFrom(there), here.nodeKey.node, keyOf(here), names, (request) =>
    there.gate.serveJoin(here.nodeKey.node, request),
  )

async function passageFor(device: Member, there: Member, by: Member) {
  const { charter } = await ask(there, there)
  const { packed } = withRevocations(charter, by.gate.charter(), keyOf(there), clock.wall)
  const { domain, capabilities, labels } = device.gate.facts
  const grant = { domain, capabilities, labels }
  const credential = credentialThere(device.nodeKey.node, 'shed', grant, charter, keyOf(there), clock.wall)
  const order = await signFederationOrder(by.gate.federation, there.gate.federation, keyOf(by), clock.wall)
  return packPassage({ order, credential, seeds: [], charter: packed, policy: null })
}

async function opened(passage: Uint8Array, device: Member): Promise<string> {
  const membership = (await loadMembership(device.store, device.nodeKey)) ?? assert.fail('no member')
  const read = await openPassage(passage, { membership, charter: device.gate.charter(), wall: clock.wall })
  return read.ok ? read.value.charter.view.federation : read.error
}

test('an operator with an invite is told which of its names are taken, and uses nothing up', async () => {
  const { there, here } = await twoFederations()
  const { charter, taken } = await ask(there, here)
  assert.equal(charter.view.federation, there.gate.federation)
  assert.deepEqual(taken, [])
  assert.deepEqual(
    there.gate.invites().map(({ usesLeft }) => usesLeft),
    [1],
  )
})

test('whoever lacks the signature of an operator that belongs is told nothing', async () => {
  const { there, here } = await twoFederations('somebody else')
  await assert.rejects(ask(there, here), { refusal: 'operator-not-admitted' })
  const same = await twoFederations()
  const { inviteId, secret } = await inviteFrom(same.there)
  const { operator } = keyOf(same.there)
  const unsigned = { kind: 'survey', inviteId, secret, operator, names: [], signature: new Uint8Array(64) } as const
  const answer = surveyAnswerFrame.decode(
    await same.there.gate.serveJoin(same.here.nodeKey.node, surveyFrame.encode(unsigned)),
  )
  assert.ok(answer.ok && answer.value.kind === 'refused' && answer.value.code === 'forged')
})

test('a device believes the passage that its operator ordered for it', async () => {
  const { there, here, device } = await twoFederations()
  assert.equal(await opened(await passageFor(device, there, here), device), there.gate.federation)
})

test('a passage for another device, by another operator, out of another federation or changed is refused', async () => {
  const { there, here, device } = await twoFederations()
  const passage = await passageFor(device, there, here)
  const other = await joinWith(here, await inviteFrom(here), 'barn', clock)
  assert.match(await opened(passage, other), /another node/)
  const stranger = await twoFederations('somebody else')
  assert.match(await opened(await passageFor(device, there, stranger.here), device), /another federation/)
  const foreign = await founder(clock, 'Far Fields', 'mallory')
  const order = await signFederationOrder(here.gate.federation, there.gate.federation, keyOf(foreign), clock.wall)
  const { charter } = await ask(there, there)
  const { packed } = withRevocations(charter, here.gate.charter(), keyOf(there), clock.wall)
  const { domain, capabilities, labels } = device.gate.facts
  const grant = { domain, capabilities, labels }
  const credential = credentialThere(device.nodeKey.node, 'shed', grant, charter, keyOf(there), clock.wall)
  const forged = packPassage({ order, credential, seeds: [], charter: packed, policy: null })
  assert.match(await opened(forged, device), /no key of this device/)
  const changed = Uint8Array.from(passage)
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
  assert.notEqual(await opened(changed, device), there.gate.federation)
  assert.notEqual(await opened(passage.subarray(0, 40), device), there.gate.federation)
})

test('who was revoked in the federation that goes over is revoked in the other one', async () => {
  const { there, here, device } = await twoFederations()
  await here.gate.operators.revoke(device.nodeKey.node, 'lost')
  const { charter } = await ask(there, here)
  const carried = withRevocations(charter, here.gate.charter(), keyOf(here), clock.wall).charter
  assert.ok(carried.view.revokedNodes.has(device.nodeKey.node))
})

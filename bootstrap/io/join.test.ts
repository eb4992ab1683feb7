// Joining from both sides: what the desk hands out, and what the guest believes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { BootstrapError } from '../errors.ts'
import { decodeInvite, type Invite } from '../invite.ts'
import { joinAnswerFrame, joinRequestFrame } from '../messages.ts'
import {
  clockAt,
  DAY_MS,
  founder,
  greet,
  HOUR_MS,
  inviteFrom,
  joinWith,
  type Member,
  memoryStore,
  newNodeKey,
  operatorNamed,
  restart,
  START,
} from './federation-for-tests.ts'
import type { NodeKey, OperatorKey } from './key-file.ts'
import { foundFederation, loadMembership } from './membership.ts'
import { readInvite, redeemInvite } from './redeem-invite.ts'

/** The codes of the error that a task fails with. */
async function failure(task: Promise<unknown>): Promise<string> {
  try {
    await task
  } catch (problem) {
    assert.ok(problem instanceof BootstrapError, String(problem))
    assert.ok(problem.hint.length > 0)
    return problem.refusal === null ? problem.code : `${problem.code}: ${problem.refusal}`
  }
  return 'none'
}

async function answerTo(host: Member, nodeKey: NodeKey, invite: Invite, secret = invite.secret): Promise<string> {
  const request = joinRequestFrame.encode({ kind: 'join', inviteId: invite.inviteId, secret, name: 'shed' })
  const answer = joinAnswerFrame.decode(await host.gate.serveJoin(nodeKey.node, request))
  assert.ok(answer.ok)
  return answer.value.kind === 'accepted' ? 'accepted' : answer.value.code
}

test('a device with an invite becomes a member that the others believe', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const invite = await inviteFrom(host, 2)
  const guest = await joinWith(host, invite, 'shed', clock)
  const second = await joinWith(host, invite, 'barn', clock)
  assert.equal(guest.gate.federation, host.gate.federation)
  assert.equal(guest.gate.federationName, 'Green Fields')
  assert.deepEqual(guest.gate.facts.capabilities, ['work', 'lead', 'relay', 'deploy:*'])
  assert.equal(guest.gate.facts.domain, '/home')
  assert.deepEqual(await greet(host, guest), ['ok', 'ok'])
  assert.deepEqual(await greet(second, guest), ['ok', 'ok'])
})

test('a founder may do everything, and a folder is founded once', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  assert.deepEqual(host.gate.facts.capabilities, ['work', 'lead', 'relay', 'deploy:*', 'enrol'])
  const { store, nodeKey } = host
  const operatorKey = host.operatorKey as OperatorKey
  const again = { store, nodeKey, operatorKey, name: 'x', nodeName: 'y', domain: '/home' as DomainPath, wall: START }
  assert.equal(await failure(foundFederation(again)), 'already-member')
  const empty = { ...again, store: memoryStore() }
  assert.equal(await failure(foundFederation({ ...empty, domain: '/' as DomainPath })), 'bad-option')
  assert.equal(await failure(foundFederation({ ...empty, name: '' })), 'bad-option')
})

test('an expired, used-up, unknown or wrongly copied invite is refused with its own code', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const invite = await inviteFrom(host, 1, HOUR_MS)
  const [a, b] = [await newNodeKey(), await newNodeKey()]
  assert.equal(await answerTo(host, a, invite, new Uint8Array(32)), 'wrong-secret')
  assert.equal(await answerTo(host, a, { ...invite, inviteId: new Uint8Array(8) }), 'unknown-invite')
  assert.equal(await answerTo(host, a, invite), 'accepted')
  assert.equal(await answerTo(host, b, invite), 'used-up-invite')
  clock.wall += HOUR_MS + 1
  assert.equal(await answerTo(host, b, invite), 'expired-invite')
})

test('an invite cut in half is an error that says so and what to do', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const addresses = [`/ip4/10.0.0.1/tcp/1/p2p/${host.nodeKey.node}`]
  const line = await host.gate.mintInvite({ domain: '/home', uses: 1, ttlMs: HOUR_MS, addresses })
  assert.equal(readInvite(`${line}\n`).federation, host.gate.federation)
  assert.throws(
    () => readInvite(line.slice(0, line.length / 2)),
    (problem) => problem instanceof BootstrapError && problem.code === 'bad-invite' && /cut off/.test(problem.message),
  )
})

test('the guest is told why it was refused', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const invite = await inviteFrom(host, 1, HOUR_MS)
  clock.wall += HOUR_MS + 1
  assert.equal(await failure(joinWith(host, invite, 'shed', clock)), 'join-refused: expired-invite')
})

test('a revoked node gets no new credential from a good invite', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const invite = await inviteFrom(host, 5)
  const guest = await joinWith(host, invite, 'shed', clock)
  await host.gate.operators.revoke(guest.nodeKey.node, 'stolen')
  assert.equal(await answerTo(host, guest.nodeKey, invite), 'revoked-node')
})

test('a device without the operator key says that it cannot enrol', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const invite = await inviteFrom(host, 5)
  const guest = await joinWith(host, invite, 'shed', clock)
  assert.equal(await answerTo(guest, await newNodeKey(), invite), 'not-enrolling')
  const order = { domain: '/home', uses: 1, ttlMs: HOUR_MS, addresses: invite.addresses }
  assert.equal(await failure(guest.gate.mintInvite(order)), 'no-operator-key')
})

test('a use is on disk before the credential leaves, and who lost the answer asks again for free', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const invite = await inviteFrom(host, 1)
  const guest = await newNodeKey()
  host.store.failing = true
  await assert.rejects(host.gate.serveJoin(guest.node, requestFor(invite)), /disk is full/)
  host.store.failing = false
  const before = await restart(host, clock)
  assert.equal(await answerTo(before, guest, invite), 'accepted', 'the failed write counted nothing')
  const after = await restart(before, clock)
  assert.equal(await answerTo(after, await newNodeKey(), invite), 'used-up-invite', 'the use survived the crash')
  assert.equal(await answerTo(after, guest, invite), 'accepted', 'the same node again')
})

test('of many that come at once with one use, one gets in', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const invite = await inviteFrom(host, 1)
  const guests = await Promise.all(Array.from({ length: 8 }, newNodeKey))
  const answers = await Promise.all(guests.map((guest) => answerTo(host, guest, invite)))
  assert.deepEqual(answers.filter((answer) => answer === 'accepted').length, 1)
  assert.deepEqual(answers.filter((answer) => answer === 'used-up-invite').length, 7)
})

test('a garbled request is refused and stops nothing', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const { node } = await newNodeKey()
  for (const request of [new Uint8Array(0), new Uint8Array([0xff]), new Uint8Array(100_000)]) {
    const answer = joinAnswerFrame.decode(await host.gate.serveJoin(node, request))
    assert.ok(answer.ok && answer.value.kind === 'refused')
    assert.equal(answer.value.code, 'malformed')
  }
})

test('the guest believes no answer that does not follow from its invite', async () => {
  const clock = clockAt()
  const [host, imposter] = [await founder(clock), await founder(clock, 'Green Fields', 'mallory')]
  const [invite, theirs] = [await inviteFrom(host), await inviteFrom(imposter, 9)]
  const nodeKey = await newNodeKey()
  const store = memoryStore()
  const options = { store, nodeKey, nodeName: 'shed', wall: clock.wall }
  const asked = (answer: Promise<Uint8Array>): Promise<string> => failure(redeemInvite(invite, () => answer, options))
  const forAnother = host.gate.serveJoin((await newNodeKey()).node, requestFor(await inviteFrom(host)))
  assert.equal(await asked(imposter.gate.serveJoin(nodeKey.node, requestFor(theirs))), 'bad-join-answer')
  assert.equal(await asked(forAnother), 'bad-join-answer')
  assert.equal(await asked(Promise.resolve(new Uint8Array([1, 2, 3]))), 'bad-join-answer')
  const mixed = joinAnswerFrame.decode(await imposter.gate.serveJoin(nodeKey.node, requestFor(theirs)))
  assert.ok(mixed.ok && mixed.value.kind === 'accepted')
  const withOurCharter = { ...mixed.value, charter: host.gate.packedCharter() }
  assert.equal(await asked(Promise.resolve(joinAnswerFrame.encode(withOurCharter))), 'bad-join-answer')
  assert.equal(store.content.size, 0, 'nothing was written')
})

test('a folder stays with its federation, and a new invite of it renews what is about to expire', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const guest = await joinWith(host, await inviteFrom(host), 'shed', clock)
  const redeem = async (invite: Invite, at = host): Promise<number> => {
    const ask = (request: Uint8Array): Promise<Uint8Array> => at.gate.serveJoin(guest.nodeKey.node, request)
    const { store, nodeKey } = guest
    const membership = await redeemInvite(invite, ask, { store, nodeKey, nodeName: 'shed', wall: clock.wall })
    return membership.credential.facts.expiresAt
  }
  const other = await founder(clock, 'Blue Hills', 'hills')
  assert.equal(await failure(redeem(await inviteFrom(other))), 'other-federation')
  assert.equal(await redeem(await inviteFrom(host)), guest.gate.facts.expiresAt, 'still good: nothing was asked')
  clock.wall += 100 * DAY_MS
  const restarted = await restart(host, clock)
  const renewed = await redeem(await inviteFrom(restarted), restarted)
  assert.ok(renewed > clock.wall + 80 * DAY_MS)
})

test('what an invite may not say is refused where it is made', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const good = { domain: '/home', uses: 1, ttlMs: HOUR_MS, addresses: [`/ip4/10.0.0.1/tcp/1/p2p/${host.nodeKey.node}`] }
  const { gate } = host
  assert.ok(decodeInvite(await gate.mintInvite(good)).ok)
  for (const change of [
    { uses: 0 },
    { uses: 1.5 },
    { uses: 1_001 },
    { ttlMs: 10 },
    { ttlMs: Number.NaN },
    { ttlMs: 400 * DAY_MS },
    { domain: '/' },
    { domain: 'home' },
    { domain: `/${'x'.repeat(60)}`.repeat(5) },
    { addresses: [] },
    { addresses: ['/ip4/10.0.0.1/tcp/1'] },
    { capabilities: Array<string>(65).fill('work') },
    { labels: { site: 'x'.repeat(3_000) } },
  ]) {
    assert.equal(await failure(gate.mintInvite({ ...good, ...change })), 'bad-option', JSON.stringify(change))
  }
})

test('the largest grant, path and name that are allowed make a credential that is believed', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const domain = `/${'x'.repeat(63)}`.repeat(4)
  const addresses = [`/ip4/10.0.0.1/tcp/1/p2p/${host.nodeKey.node}`]
  const labels = Object.fromEntries(Array.from({ length: 5 }, (_, index) => [`${index}`, '\u0001'.repeat(48)]))
  const invite = readInvite(await host.gate.mintInvite({ domain, uses: 1, ttlMs: HOUR_MS, addresses, labels }))
  const guest = await joinWith(host, invite, '\ud800'.repeat(64), clock)
  assert.equal(guest.gate.facts.domain, domain)
  assert.deepEqual(guest.gate.facts.labels, labels)
  assert.deepEqual(await greet(host, guest), ['ok', 'ok'])
})

test('a damaged store and a key of another node are errors that change nothing', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const damagedBy = async (key: string, value: Uint8Array | null): Promise<string> => {
    const store = memoryStore()
    for (const [name, content] of host.store.content) store.content.set(name, content)
    if (value === null) store.content.delete(key)
    else store.content.set(key, value)
    const content = new Map(store.content)
    const code = await failure(restart({ ...host, store }, clock))
    assert.deepEqual(store.content, content)
    return code
  }
  await inviteFrom(host)
  assert.equal(await damagedBy('bootstrap/charter', null), 'damaged-store')
  assert.equal(await damagedBy('bootstrap/charter', new Uint8Array([1])), 'damaged-store')
  assert.equal(await damagedBy('bootstrap/own-credential', new Uint8Array([1])), 'damaged-store')
  assert.equal(await damagedBy('bootstrap/invite/0', new Uint8Array([1])), 'damaged-store')
  assert.equal(await failure(loadMembership(host.store, await newNodeKey())), 'wrong-node-key')
  assert.equal(await loadMembership(memoryStore(), host.nodeKey), null)
})

test('an operator key of somebody else neither invites nor revokes', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const stranger = await restart({ ...host, operatorKey: operatorNamed('mallory') }, clock)
  const node = (await newNodeKey()).node
  assert.equal(await failure(stranger.gate.operators.revoke(node, '')), 'not-an-operator')
  const addresses = [`/ip4/10.0.0.1/tcp/1/p2p/${host.nodeKey.node}`]
  const order = { domain: '/home', uses: 1, ttlMs: HOUR_MS, addresses }
  const other = await restart({ ...stranger, operatorKey: operatorNamed('mallory') }, clock)
  assert.equal(await failure(other.gate.operators.sign('')), 'not-an-operator')
  void order
})

const requestFor = (invite: Invite): Uint8Array =>
  joinRequestFrame.encode({ kind: 'join', inviteId: invite.inviteId, secret: invite.secret, name: 'shed' })

// Several operators at their gates: admitted, sovereign over their own devices, and made to leave; delegates that
// enrol for them; credentials that are renewed; devices that are prepared.

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { readCharterFile, writeCharterFile } from '../charter-file.ts'
import { joinAnswerFrame, joinRequestFrame } from '../messages.ts'
import { signDrafts } from './charter-keeper.ts'
import {
  clockAt,
  DAY_MS,
  founder,
  greet,
  inviteFrom,
  joinWith,
  type Member,
  memoryStore,
  newNodeKey,
  operatorNamed,
  pair,
  requestOf,
  restart,
  twoOperators,
} from './federation-for-tests.ts'
import type { OperatorKey } from './key-file.ts'
import { createOperatorKey, loadOperatorKey, writeNextOperatorKey } from './key-file.ts'
import { prepareDevice, takePrepared } from './prepare.ts'
import { redeemInvite } from './redeem-invite.ts'

const birch = operatorNamed('birch')
const cedar = operatorNamed('cedar')

async function renewAt(enroller: Member, member: Member): Promise<string> {
  const request = member.gate.renewalRequest()
  if (request === null) return 'not due'
  const answer = await enroller.gate.serveRenewal(member.nodeKey.node, request)
  const taken = await member.gate.takeRenewal(answer)
  return taken.ok ? 'renewed' : taken.error
}

test('an operator that is not admitted joins nothing, and once it is its devices are its own', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const invite = await inviteFrom(host, 2)
  const refused = joinWith(host, invite, 'birch-1', clock, birch)
  await assert.rejects(refused, { refusal: 'operator-not-admitted' })
  assert.equal((await host.gate.operators.admit(requestOf(birch))).isInForce, true)
  const theirs = await joinWith(host, invite, 'birch-1', clock, birch)
  assert.equal(theirs.gate.facts.operator, birch.operator)
  assert.equal(theirs.gate.facts.domain, '/home')
  assert.deepEqual(await greet(host, theirs), ['ok', 'ok'])
  const next = await joinWith(theirs, await inviteFrom(theirs), 'birch-2', clock)
  assert.equal(next.gate.facts.operator, birch.operator, 'it enrols its own by itself')
})

test('a device of an operator that somebody has not heard of is believed once the charter was told', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const late = await joinWith(host, await inviteFrom(host), 'late', clock)
  await host.gate.operators.admit(requestOf(birch))
  const theirs = await joinWith(host, await inviteFrom(host), 'birch-1', clock, birch)
  const judged = await late.gate.checkHello(theirs.nodeKey.node, theirs.gate.ownHello())
  assert.equal(judged.ok ? 'ok' : judged.error.code, 'forged', 'judged by the charter that it holds')
  assert.deepEqual(await greet(late, theirs), ['ok', 'ok'], 'hello tells what is new first')
})

test('no operator puts out a device of another one by itself', async () => {
  const clock = clockAt()
  const [host, theirs] = await twoOperators(clock, birch)
  await greet(host, theirs)
  const proposed = await host.gate.operators.revoke(theirs.nodeKey.node, 'noisy')
  assert.deepEqual([proposed.isInForce, proposed.needed], [false, 2])
  assert.equal(host.gate.isRevoked(theirs.nodeKey.node), false)
  await greet(host, theirs)
  assert.equal(theirs.notices.includes('charter-waiting'), true, 'drafts spread by themselves')
  const own = await theirs.gate.operators.revoke((await newNodeKey()).node, 'lost')
  assert.equal(own.isInForce, true)
})

test('an operator that was made to leave takes its devices with it', async () => {
  const clock = clockAt()
  const [host, theirs] = await twoOperators(clock, birch)
  await greet(host, theirs)
  await assert.rejects(theirs.gate.operators.admit('nonsense'), { code: 'bad-option' })
  assert.equal((await host.gate.operators.remove('birch', 'moved away')).isInForce, true)
  assert.equal(host.gate.isRevoked(theirs.nodeKey.node), true)
  assert.deepEqual(host.gate.outcasts(), [theirs.nodeKey.node])
  assert.equal((await greet(theirs, host))[0], 'revoked')
  assert.equal((await restart(theirs, clock)).gate.ownStanding(), 'revoked', 'it starts all the same')
  await assert.rejects(inviteFrom(await restart(theirs, clock)), { code: 'no-operator-key' })
})

test('signatures are gathered on the nodes, or in a file that is carried to a key', async () => {
  const clock = clockAt()
  const [host, theirs] = await twoOperators(clock, birch)
  const draft = await theirs.gate.operators.admit(requestOf(cedar))
  assert.deepEqual([draft.isInForce, draft.needed], [false, 2])
  const file = readCharterFile(theirs.gate.charterFile())
  assert.ok(file.ok)
  const unable = signDrafts(file.value, operatorNamed('mallory'))
  assert.equal(unable.ok && unable.value.signed, 0)
  const signed = signDrafts(file.value, host.operatorKey as OperatorKey)
  assert.ok(signed.ok)
  assert.equal(signed.value.signed, 1)
  await theirs.gate.takeCharterFile(writeCharterFile(signed.value.entries))
  assert.equal(theirs.gate.charter().operators.length, 3)
  const other = await theirs.gate.operators.setThreshold('all')
  await greet(host, theirs)
  const [mine] = await host.gate.operators.sign(other.hash.slice(0, 9))
  assert.equal(mine?.isInForce, true)
  assert.equal(host.gate.charter().threshold, 'all')
  await assert.rejects(host.gate.operators.sign('ffff'), { code: 'no-such-draft' })
})

test('drafts survive a restart', async () => {
  const clock = clockAt()
  const [, theirs] = await twoOperators(clock, birch)
  const draft = await theirs.gate.operators.admit(requestOf(cedar))
  const again = await restart(theirs, clock)
  assert.deepEqual(
    again.gate
      .charterLog()
      .entries.filter(({ state }) => state === 'waiting')
      .map(({ hash }) => hash),
    [draft.hash],
  )
})

test('a delegate enrols with no operator key, and its guests are believed by all', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const capabilities = ['work', 'lead', 'relay', 'deploy:*', 'enrol']
  const delegate = await joinWith(host, await inviteFrom(host, 1, DAY_MS, { capabilities }), 'gateway', clock)
  const guest = await joinWith(delegate, await inviteFrom(delegate), 'sensor', clock)
  assert.deepEqual(await greet(host, guest), ['ok', 'ok'])
  assert.equal(guest.gate.facts.operator, host.gate.facts.operator)
  await assert.rejects(inviteFrom(guest), { code: 'no-operator-key' })
  await assert.rejects(
    inviteFrom(delegate, 1, DAY_MS, { capabilities }),
    { code: 'bad-option' },
    'it makes no delegates',
  )
  await host.gate.operators.revoke(delegate.nodeKey.node, 'stolen')
  assert.equal((await greet(guest, host))[0], 'revoked', 'whoever has its key could have made up any number of guests')
})

test('a credential is renewed by whoever enrols for the same operator, while the node runs', async () => {
  const clock = clockAt()
  const [host, theirs] = await twoOperators(clock, birch)
  const guest = await joinWith(host, await inviteFrom(host), 'shed', clock)
  assert.equal(await renewAt(host, guest), 'not due')
  clock.wall += 70 * DAY_MS
  const oldHash = guest.gate.credentialHash
  assert.match(await renewAt(theirs, guest), /other-operator/)
  assert.equal(await renewAt(host, guest), 'renewed')
  assert.notDeepEqual(guest.gate.credentialHash, oldHash)
  assert.ok(guest.gate.facts.expiresAt > clock.wall + 80 * DAY_MS)
  assert.deepEqual(await greet(host, guest), ['ok', 'ok'])
  const again = await restart(guest, clock)
  assert.deepEqual(again.gate.credentialHash, guest.gate.credentialHash, 'on disk')
  assert.equal(await renewAt(host, again), 'not due')
  clock.wall += 400 * DAY_MS
  assert.match(await renewAt(host, again), /expired/, 'after a season too long it takes a person')
})

test('nobody renews the credential of another, nor of a revoked node', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const guest = await joinWith(host, await inviteFrom(host), 'shed', clock)
  clock.wall += 70 * DAY_MS
  const request = guest.gate.renewalRequest()
  assert.ok(request)
  const codeFor = async (peer: Member): Promise<string> => {
    const answer = joinAnswerFrame.decode(await host.gate.serveRenewal(peer.nodeKey.node, request))
    return answer.ok && answer.value.kind === 'refused' ? answer.value.code : 'accepted'
  }
  assert.equal(await codeFor(host), 'forged')
  await host.gate.operators.revoke(guest.nodeKey.node, '')
  assert.equal(await codeFor(guest), 'revoked')
})

test('a clock that is behind makes no expired credential good once its operator vouched for a later time', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const guest = await joinWith(host, await inviteFrom(host), 'shed', clock)
  const third = await joinWith(host, await inviteFrom(host), 'barn', clock)
  const behind = { wall: 0 }
  const woken = await restart(third, behind)
  assert.equal((await greet(guest, woken))[0], 'ok', 'nobody has told it better')
  clock.wall += 200 * DAY_MS
  const later = await joinWith(host, await inviteFrom(host), 'mill', clock)
  const fresh = await restart(await joinWith(host, await inviteFrom(host), 'silo', clock), behind)
  await greet(later, fresh)
  assert.equal((await greet(guest, fresh))[0], 'expired')
})

test('an invite may be for one device, and may be taken back', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const [meant, other] = [await newNodeKey(), await newNodeKey()]
  const invite = await inviteFrom(host, 2, DAY_MS, { node: meant.node })
  const answerFor = async (node: typeof meant): Promise<string> => {
    const { inviteId, secret } = invite
    const request = joinRequestFrame.encode({ kind: 'join', inviteId, secret, name: 'x' })
    const answer = joinAnswerFrame.decode(await host.gate.serveJoin(node.node, request))
    assert.ok(answer.ok)
    return answer.value.kind === 'refused' ? answer.value.code : 'accepted'
  }
  assert.equal(await answerFor(other), 'other-device')
  assert.equal(await answerFor(meant), 'accepted')
  const [shown] = host.gate.invites()
  assert.deepEqual([shown?.state, shown?.usesLeft, shown?.joined], ['open', 1, [meant.node]])
  await assert.rejects(host.gate.takeBackInvite('zz'), { code: 'no-such-invite' })
  assert.equal((await host.gate.takeBackInvite(shown?.id.slice(0, 5) ?? '')).state, 'revoked')
  assert.equal(await answerFor(meant), 'revoked-invite')
  assert.equal((await restart(host, clock)).gate.invites()[0]?.state, 'revoked', 'on disk')
})

test('a changed key takes over at once: credentials stay good, unless the old one was lost', async () => {
  const clock = clockAt()
  const host = await founder(clock)
  const guest = await joinWith(host, await inviteFrom(host), 'shed', clock)
  const next = operatorNamed('acme, later')
  await host.gate.operators.rotate(next, false)
  host.gate.replaceOperatorKey(next)
  assert.deepEqual(await greet(host, guest), ['ok', 'ok'])
  const second = await joinWith(host, await inviteFrom(host), 'barn', clock)
  assert.equal(second.gate.facts.operator, guest.gate.facts.operator, 'the operator is who it was')
  const last = operatorNamed('acme, last')
  await host.gate.operators.rotate(last, true)
  assert.equal((await greet(second, host))[0], 'revoked')
})

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'coppice-operators-'))
  t.after(() => rm(path, { recursive: true }))
  return path
}

test('the next key is on the disk before the old one goes, and a crash in between makes no third', async (t) => {
  const path = join(await folder(t), 'operator.key')
  const old = await createOperatorKey(path, 'acme')
  const first = await writeNextOperatorKey(path, 'acme')
  const again = await writeNextOperatorKey(path, 'acme')
  assert.equal(again.key.operator, first.key.operator)
  assert.equal((await loadOperatorKey(path))?.operator, old.operator)
  await again.takePlace()
  assert.equal((await loadOperatorKey(path))?.operator, first.key.operator)
  assert.equal((await loadOperatorKey(`${path}.${old.operator.slice(0, 8)}.retired`))?.operator, old.operator)
})

test('a prepared device is a member before it ever met anybody, and is nobody else', async (t) => {
  const clock = clockAt()
  const host = await founder(clock)
  const domain = '/barn' as DomainPath
  const addresses = [`/ip4/10.0.0.1/tcp/1/p2p/${host.nodeKey.node}`]
  const content = await prepareDevice({ gate: host.gate, name: 'sensor', domain, addresses })
  const [dataDir, store] = [await folder(t), memoryStore()]
  const { membership, nodeKey, addresses: seeds } = await takePrepared(content, dataDir, store)
  assert.deepEqual([membership.domain, membership.federation, seeds], [domain, host.gate.federation, addresses])
  const guest = await restart({ ...host, store, nodeKey, operatorKey: null, name: 'sensor' }, clock)
  assert.deepEqual(await greet(host, guest), ['ok', 'ok'])
  const again = await takePrepared(content, dataDir, store)
  assert.equal(again.membership.credential.text, membership.credential.text, 'taking it twice changes nothing')
  const other = await prepareDevice({ gate: host.gate, name: 'other', domain, addresses })
  await assert.rejects(takePrepared(other, dataDir, store), { code: 'key-exists' })
  await assert.rejects(takePrepared('{"kind": "coppice prepared device"}', dataDir, store), { code: 'bad-option' })
  const noKey = JSON.stringify({ ...JSON.parse(content), key: 'CAESQJ' })
  await assert.rejects(takePrepared(noKey, dataDir, store), { code: 'bad-option' })
})

test('a revoked credential ends a membership, and a new invite begins another for the same device', async () => {
  const clock = clockAt()
  const [host, shed] = await pair(clock)
  assert.deepEqual(await greet(host, shed), ['ok', 'ok'])
  const entry = await host.gate.operators.revokeCredentials(shed.nodeKey.node, 'its labels were wrong')
  assert.equal(entry.isInForce, true)
  assert.deepEqual(host.gate.outcasts(), [shed.nodeKey.node])
  assert.equal((await greet(host, shed))[1], 'revoked')
  assert.equal(shed.gate.ownStanding(), 'revoked', 'it heard of it with the hello')
  const again = await host.gate.operators.revokeCredentials(shed.nodeKey.node, '')
  assert.equal(again.hash, entry.hash, 'once is enough')

  clock.wall += 60_000
  const ask = (request: Uint8Array): Promise<Uint8Array> => host.gate.serveJoin(shed.nodeKey.node, request)
  const joining = { store: shed.store, nodeKey: shed.nodeKey, nodeName: 'shed', wall: clock.wall }
  await redeemInvite(await inviteFrom(host), ask, joining)
  const back = await restart(shed, clock)
  assert.equal(back.gate.ownStanding(), 'member')
  assert.deepEqual(await greet(host, back), ['ok', 'ok'])
  assert.deepEqual(host.gate.outcasts(), [])
})

test('who only hears of the new credential takes the device for a member again', async () => {
  const clock = clockAt()
  const [host, shed] = await pair(clock)
  const third = await joinWith(host, await inviteFrom(host), 'third', clock)
  for (const one of [host, third]) assert.deepEqual(await greet(one, shed), ['ok', 'ok'])
  await host.gate.operators.revokeCredentials(shed.nodeKey.node, '')
  await greet(host, third)
  assert.deepEqual(third.gate.outcasts(), [shed.nodeKey.node])
  clock.wall += 60_000
  const credential = host.gate.enrol(shed.nodeKey.node, 'shed', '/home' as DomainPath, shed.gate.facts.capabilities)
  assert.equal(await third.gate.learnCredential(credential.bytes), true)
  assert.deepEqual(third.gate.outcasts(), [])
})

test('only what was enrolled with the operator’s own word is its own to revoke', async () => {
  const clock = clockAt()
  const [host, theirs] = await twoOperators(clock, birch)
  assert.deepEqual(await greet(host, theirs), ['ok', 'ok'])
  const proposed = await host.gate.operators.revokeCredentials(theirs.nodeKey.node, '')
  assert.equal(proposed.isInForce, false, 'another operator’s device takes both')
  assert.deepEqual(host.gate.outcasts(), [])
  await assert.rejects(host.gate.operators.revokeCredentials((await newNodeKey()).node, ''), { code: 'bad-option' })
})

// Members, strangers and forgers at the gate, with real keys and signatures.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CompactSign } from 'jose'
import type { NodeId } from '../../overlay/kernel/ids.ts'
import { createCodec } from '../../overlay/wire/codec.ts'
import { createSealer } from '../../overlay/wire/envelope.ts'
import { packEntries, unpackEntries } from '../charter-file.ts'
import { CREDENTIAL_TYPE, draftClaims, MEMBER_CAPABILITIES } from '../credential.ts'
import { type BootstrapMessage, bootstrapSchemas, type Hello, helloFrame } from '../messages.ts'
import {
  clockAt,
  DAY_MS,
  founder,
  greet,
  inviteFrom,
  joinWith,
  type Member,
  newNodeKey,
  operatorNamed,
  pair,
  restart,
  START,
} from './federation-for-tests.ts'
import type { OperatorKey } from './key-file.ts'

async function codeAt(gatekeeper: Member, peer: NodeId, hello: Uint8Array): Promise<string> {
  const checked = await gatekeeper.gate.checkHello(peer, hello)
  return checked.ok ? 'ok' : checked.error.code
}

/** The hello of a member with something changed. */
function helloWith(member: Member, change: Partial<Hello>): Uint8Array {
  const hello = helloFrame.decode(member.gate.ownHello())
  assert.ok(hello.ok)
  return helloFrame.encode({ ...hello.value, ...change })
}

/** A credential as a forger would make it. */
function credentialBy(key: OperatorKey, host: Member, node: NodeId, header = {}, claims = {}): Promise<string> {
  const { federation, facts } = host.gate
  const named = { capabilities: MEMBER_CAPABILITIES, labels: {}, name: 'x', domain: facts.domain }
  const drafted = draftClaims({ sub: node, federation, ...named }, START)
  return new CompactSign(new TextEncoder().encode(JSON.stringify({ ...drafted, iss: facts.operator, ...claims })))
    .setProtectedHeader({ alg: 'EdDSA', typ: CREDENTIAL_TYPE, ...header })
    .sign(key.privateKey)
}

test('hello tells the facts of the credential and the name that the node goes by now', async () => {
  const [host, guest] = await pair(clockAt())
  const checked = await host.gate.checkHello(guest.nodeKey.node, guest.gate.ownHello())
  assert.ok(checked.ok)
  assert.deepEqual(checked.value, { facts: guest.gate.facts, name: 'shed' })
})

test('a stranger, with no credential or a garbled one, is refused as that', async () => {
  const [host, guest] = await pair(clockAt())
  const { node } = guest.nodeKey
  const good = host.gate.ownHello()
  for (const hello of [
    new Uint8Array(0),
    new TextEncoder().encode('hello'),
    good.slice(0, 99),
    new Uint8Array(70_000),
  ]) {
    assert.equal(await codeAt(host, node, hello), 'stranger')
  }
  for (const credential of ['', 'x', 'a.b.c', '..', `${'a'.repeat(4_000)}.b.c`]) {
    assert.equal(await codeAt(host, node, helloWith(guest, { credential })), 'stranger', credential.slice(0, 9))
  }
})

test('a forged credential is refused, however it was forged', async () => {
  const [host, guest] = await pair(clockAt())
  const { node } = guest.nodeKey
  const acme = host.operatorKey as OperatorKey
  const mallory = operatorNamed('mallory')
  const shows = async (credential: string): Promise<string> => codeAt(host, node, helloWith(guest, { credential }))
  assert.equal(await shows(await credentialBy(acme, host, node)), 'ok', 'the control: a genuine one')
  assert.equal(await shows(await credentialBy(mallory, host, node)), 'forged', 'signed by another than it says')
  assert.equal(
    await shows(await credentialBy(mallory, host, node, {}, { iss: mallory.operator })),
    'forged',
    'no operator',
  )
  assert.equal(await shows(await credentialBy(acme, host, (await newNodeKey()).node)), 'forged', 'for another node')
  assert.equal(await shows(await credentialBy(acme, host, node, { typ: 'JWT' })), 'stranger', 'another kind of token')
  assert.equal(await codeAt(host, node, host.gate.ownHello()), 'forged', 'the credential of the host itself')
  const [header, payload, signature] = (await credentialBy(acme, host, node)).split('.')
  const claims = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString())
  const more = Buffer.from(JSON.stringify({ ...claims, capabilities: ['enrol'] })).toString('base64url')
  assert.equal(await shows(`${header}.${more}.${signature}`), 'forged', 'claims changed after signing')
  const none = Buffer.from(JSON.stringify({ alg: 'none', typ: CREDENTIAL_TYPE })).toString('base64url')
  assert.notEqual(await shows(`${none}.${payload}.`), 'ok', 'unsigned')
  // The last of 86 characters holds two bits of the signature and four to spare.
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet[alphabet.indexOf(signature?.at(-1) ?? '') + 1]
  const otherSpelling = `${header}.${payload}.${signature?.slice(0, -1)}${last}`
  assert.notEqual(await shows(otherSpelling), 'ok', 'the same bytes in another spelling')
})

test('a member of another federation is refused as that, in whichever part of its hello it shows', async () => {
  const clock = clockAt()
  const [host, guest] = await pair(clock)
  const other = await founder(clock, 'Blue Hills', 'hills')
  assert.deepEqual(await greet(host, other), ['other-federation', 'other-federation'])
  const { node } = other.nodeKey
  const { federation } = host.gate
  assert.equal(await codeAt(host, node, helloWith(other, { federation })), 'other-federation')
  const taken = await host.gate.takePiece(guest.nodeKey.node, other.gate.packedCharter())
  assert.equal(taken.ok ? 'ok' : taken.error.code, 'forged')
})

test('a revoked node is refused, and the news spreads by hello and outlives a restart', async () => {
  const clock = clockAt()
  const [host, guest] = await pair(clock)
  const third = await joinWith(host, await inviteFrom(host), 'barn', clock)
  assert.deepEqual(await greet(third, guest), ['ok', 'ok'])
  await host.gate.operators.revoke(guest.nodeKey.node, 'stolen from the shed')
  assert.equal(host.charters.length, 1)
  assert.equal((await greet(guest, host))[0], 'revoked')
  assert.equal(third.gate.isRevoked(guest.nodeKey.node), false, 'not heard yet')
  assert.deepEqual(await greet(third, host), ['ok', 'ok'])
  assert.equal(third.charters.length, 1, 'the host of the gate is told')
  assert.equal(third.gate.isRevoked(guest.nodeKey.node), true)
  assert.equal((await greet(guest, await restart(third, clock)))[0], 'revoked')
  assert.equal(guest.gate.ownStanding(), 'revoked', 'it learned so from the others')
  assert.equal((await restart(guest, clock)).gate.ownStanding(), 'revoked', 'and starts all the same')
})

test('news of the charter are taken in when they are valid, and refused with a notice otherwise', async () => {
  const clock = clockAt()
  const [host, guest] = await pair(clock)
  await host.gate.operators.revoke((await newNodeKey()).node, '')
  await host.gate.operators.revoke((await newNodeKey()).node, '')
  const [first, second] = host.news as [Uint8Array, Uint8Array]
  assert.equal(await guest.gate.takeNews(second), 'missing')
  for (const piece of host.gate.newsFor(guest.gate.shownCharter())) {
    assert.equal(await guest.gate.takeNews(piece), 'adopted')
  }
  assert.equal(await guest.gate.takeNews(first), 'known')
  assert.equal(guest.gate.charter().head, host.gate.charter().head)
  assert.deepEqual(guest.news, [], 'what came by gossip is not published again')
  assert.equal(await guest.gate.takeNews(new Uint8Array([1, 2])), 'refused')
  const other = await founder(clock, 'Blue Hills', 'hills')
  assert.equal(await guest.gate.takeNews(other.gate.packedCharter()), 'refused')
  assert.deepEqual(guest.notices, ['charter-refused', 'charter-refused'])
})

test('a fork is noticed, both come to hold the same, and the revocations of both count', async () => {
  const clock = clockAt()
  const [host, guest] = await pair(clock)
  const twin = await restart({ ...guest, operatorKey: host.operatorKey }, clock)
  const [lost, stolen] = [(await newNodeKey()).node, (await newNodeKey()).node]
  await host.gate.operators.revoke(lost, '')
  await twin.gate.operators.revoke(stolen, '')
  assert.deepEqual(await greet(host, twin), ['ok', 'ok'])
  assert.deepEqual([host.notices, twin.notices], [['charter-fork'], ['charter-fork']])
  assert.equal(host.gate.charter().head, twin.gate.charter().head)
  for (const { gate } of [host, twin, await restart(twin, clock)]) {
    assert.deepEqual([gate.isRevoked(lost), gate.isRevoked(stolen)], [true, true])
  }
})

test('a hello with a charter that was tampered with is refused, and nothing of it is kept', async () => {
  const clock = clockAt()
  const [host, guest] = await pair(clock)
  await guest.gate.takeCharterFile(host.gate.charterFile())
  const revoked = await restart({ ...guest, operatorKey: host.operatorKey }, clock)
  await revoked.gate.operators.revoke(host.nodeKey.node, '')
  const entries = unpackEntries(revoked.gate.packedCharter())
  assert.ok(entries.ok)
  const forged = entries.value.map((entry) => ({
    ...entry,
    signatures: entry.signatures.map((one) => ({ ...one, signature: new Uint8Array(64) })),
  }))
  const taken = await host.gate.takePiece(guest.nodeKey.node, packEntries(forged))
  assert.equal(taken.ok ? 'ok' : taken.error.code, 'forged')
  assert.equal(host.gate.ownStanding(), 'member')
})

test('an expired member is refused by those who never met it and welcome to those who did', async () => {
  const clock = clockAt()
  const [host, guest] = await pair(clock)
  const third = await joinWith(host, await inviteFrom(host), 'barn', clock)
  assert.deepEqual(await greet(guest, third), ['ok', 'ok'])
  clock.wall += 91 * DAY_MS
  assert.equal(guest.gate.ownStanding(), 'expired')
  assert.equal((await greet(guest, await restart(third, clock)))[0], 'ok')
  assert.equal((await greet(guest, host))[0], 'expired')
  assert.equal(await host.gate.learnCredential(credentialOf(guest)), true, 'its old records can still be read')
  assert.equal((await greet(guest, host))[0], 'expired', 'but to have heard of it is not to have met it')
})

test('the device with the operator key renews its own credential and keeps the old one known', async () => {
  const clock = clockAt()
  const [host, guest] = await pair(clock)
  const oldHash = host.gate.credentialHash
  clock.wall += 80 * DAY_MS
  const renewed = await restart(host, clock)
  assert.deepEqual(renewed.notices, ['credential-renewed'])
  assert.notDeepEqual(renewed.gate.credentialHash, oldHash)
  assert.ok(renewed.gate.facts.expiresAt > clock.wall + 80 * DAY_MS)
  assert.ok(renewed.gate.credentialByHash(oldHash) !== null)
  assert.equal((await greet(renewed, guest))[0], 'ok')
  const again = await restart(renewed, clock)
  assert.deepEqual([again.notices, again.gate.credentialHash], [[], renewed.gate.credentialHash])
})

test('envelopes are believed for their signature under a known credential', async () => {
  const clock = clockAt()
  const [host, guest] = await pair(clock)
  const codec = createCodec<BootstrapMessage>(bootstrapSchemas)
  const sealerOf = ({ gate }: Member) => createSealer(codec, gate.federation, gate, gate)
  const sealed = sealerOf(guest).seal({ kind: 'charter/news', packed: guest.gate.packedCharter() })
  const problemAt = (member: Member, bytes = sealed.bytes): string => {
    const opened = sealerOf(member).open(bytes)
    return opened.ok ? 'ok' : opened.error.kind
  }
  assert.equal(problemAt(guest), 'ok', 'its own')
  assert.equal(problemAt(host), 'unknown-credential')
  const credential = guest.gate.credentialByHash(guest.gate.credentialHash)
  assert.ok(credential)
  assert.equal(await host.gate.learnCredential(credential), true)
  assert.equal(problemAt(host), 'ok')
  assert.equal(problemAt(await restart(host, clock)), 'ok', 'known again after a restart with no network')
  const last = sealed.bytes.length - 1
  assert.equal(
    problemAt(
      host,
      sealed.bytes.map((byte, at) => (at === last ? byte ^ 1 : byte)),
    ),
    'bad-signature',
  )
  await host.gate.operators.revoke(guest.nodeKey.node, '')
  assert.equal(problemAt(host), 'revoked')
})

test('nobody signs under the credential of another', async () => {
  const [host, guest] = await pair(clockAt())
  await greet(host, guest)
  const payload = new Uint8Array([1, 2, 3])
  const { gate } = host
  const check = (from: NodeId, signer: Member): string => {
    const verified = gate.verify(from, guest.gate.credentialHash, payload, signer.gate.sign(payload))
    return verified.ok ? 'ok' : verified.error
  }
  assert.equal(check(guest.nodeKey.node, guest), 'ok')
  assert.equal(check(host.nodeKey.node, host), 'bad-signature')
  assert.equal(check(guest.nodeKey.node, host), 'bad-signature')
})

test('only genuine credentials are learned', async () => {
  const clock = clockAt()
  const [host, guest] = await pair(clock)
  const learn = (text: string): Promise<boolean> => host.gate.learnCredential(new TextEncoder().encode(text))
  const { node } = guest.nodeKey
  assert.equal(await learn(await credentialBy(operatorNamed('mallory'), host, node)), false)
  assert.equal(await learn('nonsense'), false)
  assert.equal(await learn('x'.repeat(100_000)), false)
  assert.equal(await host.gate.learnCredential(new Uint8Array([0xff, 0xfe])), false)
  assert.equal(host.gate.credentialByHash(new Uint8Array(32)), null)
})

test('revoking is for nodes other than oneself, and doing it twice changes nothing', async () => {
  const [host, guest] = await pair(clockAt())
  await assert.rejects(host.gate.operators.revoke(host.nodeKey.node, ''), /cannot revoke itself/)
  await assert.rejects(host.gate.operators.revoke('nonsense' as NodeId, ''), /not a node's id/)
  await assert.rejects(guest.gate.operators.revoke(host.nodeKey.node, ''), /no operator key/)
  const first = await host.gate.operators.revoke(guest.nodeKey.node, 'x'.repeat(1_000))
  const second = await host.gate.operators.revoke(guest.nodeKey.node, '')
  assert.deepEqual([first.isInForce, second.isInForce, first.hash], [true, true, second.hash])
})

test('a revocation that cannot be written is not made', async () => {
  const clock = clockAt()
  const [host, guest] = await pair(clock)
  host.store.failing = true
  await assert.rejects(host.gate.operators.revoke(guest.nodeKey.node, ''), /disk is full/)
  assert.equal(host.gate.isRevoked(guest.nodeKey.node), false)
  host.store.failing = false
  await host.gate.operators.revoke(guest.nodeKey.node, '')
  assert.equal(host.gate.isRevoked(guest.nodeKey.node), true)
})

test('no hello makes the gate throw', async () => {
  const [host, guest] = await pair(clockAt())
  const good = guest.gate.ownHello()
  const mutated = fc
    .tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(5))
    .map(([at, mask, cut]) =>
      good.map((byte, index) => (index === at ? byte ^ mask : byte)).slice(0, good.length - cut),
    )
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutated, fc.uint8Array({ maxLength: 100 })), async (hello) => {
      const checked = await host.gate.checkHello(guest.nodeKey.node, hello)
      // A changed letter of the name is the one change that a hello survives: the name is only a name.
      assert.ok(!checked.ok || checked.value.facts.node === guest.nodeKey.node)
    }),
    { seed: 5, numRuns: 500 },
  )
})

function credentialOf(member: Member): Uint8Array {
  const credential = member.gate.credentialByHash(member.gate.credentialHash)
  assert.ok(credential)
  return credential
}

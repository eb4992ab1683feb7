// A device that was put out, with its keys and all that it ever heard: at the doors of those who know, and of those who
// do not know yet. Real keys and signatures; no network.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  DAY_MS,
  founder,
  greet,
  HOUR_MS,
  inviteFrom,
  joinWith,
  type Member,
  START,
} from '../../bootstrap/io/federation-for-tests.ts'
import type { CoreMessage } from '../../node/core/effects.ts'
import { coreCodec } from '../../node/core/messages.ts'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { createSealer, type Sealer } from '../../overlay/wire/envelope.ts'

const sealerOf = ({ gate }: Member): Sealer<CoreMessage> => createSealer(coreCodec, gate.federation, gate, gate)

/** A founder, a member and one that is put out after it kept the charter of before. */
async function town() {
  const clock = { wall: START }
  const host = await founder(clock)
  const [member, thief] = [
    await joinWith(host, await inviteFrom(host), 'member', clock),
    await joinWith(host, await inviteFrom(host), 'thief', clock),
  ]
  await greet(host, member)
  await greet(member, thief)
  await greet(host, thief)
  const before = host.gate.newsFor([])
  const hello = thief.gate.ownHello()
  await host.gate.operators.revoke(thief.nodeKey.node, 'stolen')
  return { clock, host, member, thief, before, hello }
}

test('the charter of before brings nobody back, however it is shown', async () => {
  const { host, member, thief, before, hello } = await town()
  for (const piece of host.gate.newsFor(member.gate.shownCharter())) {
    assert.equal(await member.gate.takeNews(piece), 'adopted')
  }
  for (const one of [host, member]) {
    const { head } = one.gate.charter()
    for (const piece of before) assert.equal(await one.gate.takeNews(piece), 'known')
    const checked = await one.gate.checkHello(thief.nodeKey.node, hello)
    assert.equal(checked.ok ? 'ok' : checked.error.code, 'revoked')
    assert.equal(one.gate.charter().head, head, 'its own charter stays')
  }
})

test('what it signs counts nowhere any more where that is known, whoever passes it on', async () => {
  const { host, thief } = await town()
  const where = { kind: 'node/where', domain: '/home' as DomainPath, node: host.nodeKey.node } as const
  const opened = sealerOf(host).open(sealerOf(thief).seal(where).bytes)
  assert.equal(opened.ok ? 'ok' : opened.error.kind, 'revoked')
})

test('who has not heard of it yet lets it in, and puts it out with the first word of anybody who has', async () => {
  const { host, member, thief, hello } = await town()
  assert.equal((await member.gate.checkHello(thief.nodeKey.node, hello)).ok, true, 'the price of having no server')
  await greet(host, member)
  assert.equal(member.gate.isRevoked(thief.nodeKey.node), true)
  assert.deepEqual(member.charters.at(-1)?.revokedNodes.has(thief.nodeKey.node), true)
})

test('a clock that is wrong, or set wrong on purpose, opens no door and closes none', async () => {
  const { clock, host, member } = await town()
  const late = await inviteFrom(host, 1, HOUR_MS)
  for (const wall of [START - 50 * 365 * DAY_MS, START + DAY_MS]) {
    clock.wall = wall
    assert.deepEqual(await greet(host, member), ['ok', 'ok'])
  }
  // The desk's own clock decides when an invite ends, so a guest that sets its own back gains nothing.
  await assert.rejects(joinWith(host, late, 'latecomer', { wall: START }), /expired/)
})

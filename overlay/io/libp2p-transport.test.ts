// Two and three real nodes on loopback: messages, gossip, lost peers, malformed frames, joins.

import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { NodeId } from '../kernel/ids.ts'
import { bytesOf, createVillage, OTHER_FEDERATION, PATIENCE_MS, wantOf } from './fixtures.ts'
import { ListenError } from './listen-check.ts'

const village = createVillage()
after(() => village.stop())

test('two members greet each other, send messages and gossip', async () => {
  const [a, b] = [await village.add(), await village.add()]
  a.network.want(wantOf(b))
  await Promise.all([
    a.heard.until(() => a.heard.connected.length === 1, 'a hears of b'),
    b.heard.until(() => b.heard.connected.length === 1, 'b hears of a'),
  ])
  assert.equal(a.heard.connected[0]?.peer, b.network.self)
  assert.equal(a.heard.connected[0]?.path, 'direct')
  assert.deepEqual(a.network.connectedPeers(), [b.network.self])

  for (let i = 0; i < 100; i++) a.network.send(b.network.self, bytesOf(`message ${i}`))
  await b.heard.until(() => b.heard.messages.length === 100, 'all messages arrive')
  assert.deepEqual(b.heard.messages[99], { text: 'message 99', from: a.network.self, topic: null })

  a.network.follow(['/t'])
  b.network.follow(['/t'])
  await b.heard.until(() => {
    a.network.publish('/t', bytesOf('news'))
    return b.heard.messages.some(({ topic }) => topic === '/t')
  }, 'gossip arrives')
  assert.deepEqual(b.heard.messages.at(-1), { text: 'news', from: a.network.self, topic: '/t' })
})

test('round trips are measured at once without using up the streams that the liveness check needs', async () => {
  const [a, b] = [await village.add(), await village.add()]
  a.network.want(wantOf(b))
  await a.heard.until(() => a.heard.connected.length === 1, 'a hears of b')
  const ping = () => a.network.ping(b.network.self, AbortSignal.timeout(PATIENCE_MS))
  const times = await Promise.all([ping(), ping(), ping(), ping()])
  assert.ok(times.every((ms) => ms > 0))
})

test('a way that was prepared has the line that the first tunnel takes, and no tunnel was opened for it', async () => {
  const [a, b] = [await village.add(), await village.add()]
  a.network.want(wantOf(b))
  await a.network.prepare(b.network.self, AbortSignal.timeout(PATIENCE_MS))
  assert.deepEqual(a.network.connectedPeers(), [b.network.self])
  await b.heard.until(() => b.network.counters().lines === 1, 'b has the line')
  assert.equal(a.network.counters().lines, 1)
  assert.equal(b.network.counters()['tunnels-served'], undefined)
  const header = { kind: 'logs', service: 'x' as never, number: 0, follow: false, tail: null, sinceMs: null } as const
  const tunnel = await a.network.openTunnel(b.network.self, header, AbortSignal.timeout(PATIENCE_MS))
  assert.ok(tunnel.ok)
  assert.equal(a.network.counters().lines, 1)
  assert.equal(a.network.counters()['tunnels-on-lines'], 1)
})

test('a node of another federation does not get past the handshake', async () => {
  const [a, stranger] = [await village.add(), await village.add({ federation: OTHER_FEDERATION })]
  stranger.network.want(wantOf(a))
  await stranger.heard.until(() => (stranger.network.counters()['dials-failed'] ?? 0) > 0, 'the dial fails')
  assert.deepEqual(a.heard.connected, [])
  assert.deepEqual(stranger.network.connectedPeers(), [])
})

test('a node that the gate refuses is dropped, hears the code, and is served no other protocol', async () => {
  const [a, outcast] = [await village.add(), await village.add()]
  village.members.delete(outcast.network.self)
  outcast.network.want(wantOf(a))
  await outcast.heard.until(() => outcast.heard.notices.includes('revoked'), 'the outcast hears why')
  outcast.network.send(a.network.self, bytesOf('let me in'))
  const tunnel = await outcast.network.openTunnel(
    a.network.self,
    { kind: 'logs', service: 'x' as never, number: 0, follow: false, tail: null, sinceMs: null },
    AbortSignal.timeout(2_000),
  )
  assert.equal(tunnel.ok, false)
  assert.deepEqual(a.network.connectedPeers(), [])
  assert.deepEqual(a.heard.messages, [])
  assert.ok((a.network.counters()['hello-refused-by-us-revoked'] ?? 0) > 0)
})

test('a peer that comes back at another address is found again', async () => {
  const a = await village.add()
  const first = await village.add()
  a.network.want(wantOf(first))
  await a.heard.until(() => a.heard.connected.length === 1, 'connected')
  await first.network.stop()
  await a.heard.until(() => a.heard.disconnected.length === 1, 'disconnected')
  const second = await village.add({ privateKey: first.key })
  a.network.want(wantOf(second))
  await a.heard.until(() => a.heard.connected.length === 2, 'connected again')
  a.network.send(second.network.self, bytesOf('welcome back'))
  await second.heard.until(() => second.heard.messages.length === 1, 'messages flow again')
})

test('a message to a peer that nobody asked for dials it; without an address it is dropped and counted', async () => {
  const [a, b, stranger] = [await village.add(), await village.add(), await village.add()]
  a.network.want(wantOf(b))
  await a.heard.until(() => a.heard.connected.length === 1, 'connected')
  a.network.want([])
  b.network.send(a.network.self, bytesOf('back'))
  await a.heard.until(() => a.heard.messages.length === 1, 'the way back is known from the connection')
  a.network.send(stranger.network.self, bytesOf('where are you'))
  await a.heard.until(() => (a.network.counters()['control-dropped-unreachable'] ?? 0) === 1, 'the message is dropped')
})

test('a credential is fetched from a peer that knows it, and its absence is told', async () => {
  const [a, b] = [await village.add(), await village.add()]
  a.network.want(wantOf(b))
  await a.heard.until(() => a.heard.connected.length === 1, 'connected')
  const signal = AbortSignal.timeout(PATIENCE_MS)
  assert.equal(await a.network.fetchCredential(new Uint8Array(32).fill(1), b.network.self, signal), true)
  assert.equal(await a.network.fetchCredential(new Uint8Array(32).fill(2), b.network.self, signal), false)
  assert.ok((await a.network.ping(b.network.self, signal)) > 0)
})

test('a member asks another for a new credential over the connection that they have, and both stay', async () => {
  const [a, b] = [await village.add(), await village.add()]
  a.network.want(wantOf(b))
  await a.heard.until(() => a.heard.connected.length === 1, 'a hears of b')
  const ask = async (): Promise<string> => {
    const answer = await a.network.askRenewal(b.network.self, bytesOf('renew'), AbortSignal.timeout(PATIENCE_MS))
    return new TextDecoder().decode(answer)
  }
  assert.equal(await ask(), 'renew')
  assert.equal(await ask(), 'renew', 'and once more')
  assert.deepEqual(a.network.connectedPeers(), [b.network.self])
  assert.deepEqual(a.heard.disconnected, [])
})

test('the round-trip time to a wanted peer is measured soon after it connected', async () => {
  const [a, b] = [await village.add(), await village.add()]
  a.network.want(wantOf(b))
  await a.heard.until(() => a.heard.roundTrips.length > 0, 'a measurement')
  assert.ok((a.heard.roundTrips[0] ?? 0) > 0)
  assert.deepEqual(b.heard.roundTrips, [])
})

test('cutting a peer closes all connections to it', async () => {
  const [a, b] = [await village.add(), await village.add()]
  a.network.want(wantOf(b))
  await Promise.all([a, b].map(({ heard }) => heard.until(() => heard.connected.length === 1, 'connected')))
  a.network.want([])
  await a.network.cut(b.network.self)
  await b.heard.until(() => b.heard.disconnected.length === 1, 'b notices')
  assert.deepEqual(a.network.connectedPeers(), [])
})

test('two members that dial each other at once are connected once, and both ways carry', async () => {
  const [a, b] = [await village.add(), await village.add()]
  a.network.want(wantOf(b))
  b.network.want(wantOf(a))
  a.network.send(b.network.self, bytesOf('from a'))
  b.network.send(a.network.self, bytesOf('from b'))
  await a.heard.until(() => a.heard.messages.length === 1, 'a hears b')
  await b.heard.until(() => b.heard.messages.length === 1, 'b hears a')
  assert.deepEqual([a.heard.connected.length, b.heard.connected.length], [1, 1])
})

test('a killed process is noticed at once', async () => {
  const a = await village.add()
  const child = fork(fileURLToPath(new URL('./fixture-member.ts', import.meta.url)))
  const [member] = (await once(child, 'message')) as [{ peer: NodeId; addresses: string[] }]
  village.members.add(member.peer)
  a.network.want([member])
  await a.heard.until(() => a.heard.connected.length === 1, 'connected')
  const killedAt = performance.now()
  child.kill('SIGKILL')
  await a.heard.until(() => a.heard.disconnected.length === 1, 'noticed')
  // Far below any election timeout, on a busy machine too.
  assert.ok((a.heard.disconnected[0]?.at ?? 0) - killedAt < 500)
})

test('a process that stands still is given up, and one that answers is not', async () => {
  const a = await village.add({ liveness: { intervalMs: 200, answerMsMax: 300 } })
  const lively = await village.add()
  const child = fork(fileURLToPath(new URL('./fixture-member.ts', import.meta.url)))
  const [member] = (await once(child, 'message')) as [{ peer: NodeId; addresses: string[] }]
  village.members.add(member.peer)
  a.network.want([member, ...wantOf(lively)])
  await a.heard.until(() => a.heard.connected.length === 2, 'connected')
  await a.heard.until(() => a.heard.roundTrips.length > 2, 'measured')
  child.kill('SIGSTOP')
  try {
    await a.heard.until(() => a.heard.disconnected.length === 1, 'noticed')
    assert.equal(a.heard.disconnected[0]?.peer, member.peer)
  } finally {
    child.kill('SIGKILL')
  }
})

test('a port in use is said in one sentence, and nothing is left running', async () => {
  const a = await village.add()
  const taken = a.network.addresses()[0]?.split('/p2p/')[0] ?? ''
  await assert.rejects(village.add({ listen: [taken] }), (problem: unknown) => {
    assert.ok(problem instanceof ListenError)
    assert.match(problem.message, /port [0-9]+ is in use by another program/)
    return true
  })
  const b = await village.add({ listen: [taken, '/ip4/127.0.0.1/tcp/0'] })
  assert.deepEqual(b.heard.notices, ['listen-failed'])
})

test('what is too long is not sent, and is counted', async () => {
  const [a, b] = [await village.add(), await village.add()]
  a.network.send(b.network.self, new Uint8Array(70_000))
  a.network.publish('/t', new Uint8Array(70_000))
  const { 'send-too-large': sent, 'publish-too-large': published } = a.network.counters()
  assert.deepEqual([sent, published], [1, 1])
})

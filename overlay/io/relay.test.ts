// Two nodes that can only be reached through a third, and what becomes of them when it goes.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { serviceId } from '../kernel/ids.ts'
import { createNode } from './create-libp2p.ts'
import { bytesOf, createVillage, FEDERATION, newKey, PATIENCE_MS, wantOf } from './fixtures.ts'
import { exchangeJoin } from './join.ts'
import { askToBeCarried } from './newcomers.ts'

const village = createVillage()
after(() => village.stop())

test('two members that listen only through a relay exchange messages, gossip and a tunnel', async () => {
  const relay = await village.add({ relay: true })
  const [a, b] = await Promise.all([
    village.add({ listen: ['/p2p-circuit'] }),
    village.add({ listen: ['/p2p-circuit'] }),
  ])
  a.network.want(wantOf(relay))
  b.network.want(wantOf(relay))
  await a.heard.until(() => a.network.addresses().length > 0, 'a has an address on the relay')
  await b.heard.until(() => b.network.addresses().length > 0, 'b has an address on the relay')

  a.network.want(wantOf(relay, b))
  await a.heard.until(() => a.heard.connected.some(({ peer }) => peer === b.network.self), 'a is connected to b')
  const path = a.heard.connected.find(({ peer }) => peer === b.network.self)
  assert.deepEqual([path?.path, path?.via], ['relay', relay.network.self])

  a.network.send(b.network.self, bytesOf('through the relay'))
  await b.heard.until(() => b.heard.messages.length === 1, 'the message arrives')
  const tunnel = await a.network.openTunnel(
    b.network.self,
    { kind: 'instance', service: serviceId('a.b.c.d'), number: 0, port: 80, protocol: 'tcp', callerNamespace: '' },
    AbortSignal.timeout(PATIENCE_MS),
  )
  assert.ok(tunnel.ok, JSON.stringify(tunnel))
  tunnel.value.end(Buffer.alloc(1_048_576, 7))
  assert.equal(Buffer.concat(await tunnel.value.toArray()).length, 1_048_576)
})

test('a relay that comes back is found again and gives an address again', async () => {
  const relay = await village.add({ relay: true })
  const a = await village.add({ listen: ['/p2p-circuit'] })
  a.network.want(wantOf(relay))
  await a.heard.until(() => a.network.addresses().length > 0, 'an address on the relay')
  const listen = relay.network.addresses().map((address) => address.split('/p2p/')[0] ?? '')
  await relay.network.stop()
  await a.heard.until(() => a.network.addresses().length === 0, 'the address is withdrawn')
  await village.add({ relay: true, privateKey: relay.key, listen })
  await a.heard.until(() => a.network.addresses().length > 0, 'an address on the relay again')
})

test('a member whose credential does not let it carry connections is not asked to', async () => {
  const [plain, relay] = [await village.add({ relay: true }), await village.add({ relay: true })]
  village.relays.delete(plain.network.self)
  const a = await village.add({ listen: ['/p2p-circuit'] })
  a.network.want(wantOf(plain))
  await a.heard.until(() => a.heard.connected.length === 1, 'a is connected to the first')
  a.network.want(wantOf(plain, relay))
  await a.heard.until(() => a.network.addresses().some(isRelayed), 'a has an address on a relay')
  assert.deepEqual(a.network.reach().relays, [relay.network.self])
})

test('a direct path takes over from the relayed one, and gossip survives the end of the relay', async () => {
  const relay = await village.add({ relay: true })
  const a = await village.add({ listen: ['/ip4/127.0.0.1/tcp/0', '/p2p-circuit'] })
  const b = await village.add({ listen: [] })
  for (const { network } of [a, b]) network.follow(['/t'])
  a.network.want(wantOf(relay))
  await a.heard.until(() => a.network.addresses().some(isRelayed), 'a has an address on the relay')
  const [relayed, direct] = [a.network.addresses().filter(isRelayed), a.network.addresses()]
  const pathsToA = () => b.heard.connected.filter(({ peer }) => peer === a.network.self).map(({ path }) => path)

  b.network.want([...wantOf(relay), { peer: a.network.self, addresses: relayed }])
  await b.heard.until(() => pathsToA().length === 1, 'b reaches a through the relay')
  b.network.want([...wantOf(relay), { peer: a.network.self, addresses: direct }])
  await b.heard.until(() => pathsToA().length === 2, 'b reaches a directly')
  assert.deepEqual(pathsToA(), ['relay', 'direct'])

  await relay.network.stop()
  await b.heard.until(() => b.heard.disconnected.some(({ peer }) => peer === relay.network.self), 'the relay is gone')
  await b.heard.until(() => {
    a.network.publish('/t', bytesOf('still here'))
    return b.heard.messages.length > 0
  }, 'gossip arrives')
  assert.ok(!b.heard.disconnected.some(({ peer }) => peer === a.network.self))
})

test('an invited device reaches a member behind a relay, and gets no place on that relay', async () => {
  const relay = await village.add({ relay: true })
  const a = await village.add({ listen: ['/p2p-circuit'] })
  a.network.want(wantOf(relay))
  await a.heard.until(() => a.network.addresses().some(isRelayed), 'a has an address on the relay')
  const join = { federation: FEDERATION, nodeKey: await newKey(), request: bytesOf('let me in') }
  const addresses = a.network.addresses().filter(isRelayed)
  const { answer, from } = await exchangeJoin({ ...join, addresses, signal: AbortSignal.timeout(PATIENCE_MS) })
  assert.deepEqual([new TextDecoder().decode(answer), from], ['LET ME IN', addresses[0]])

  const stranger = await createNode({
    ...join,
    privateKey: await newKey(),
    listen: [],
    announce: [],
    clientMode: true,
  })
  try {
    await stranger.start()
    const signal = AbortSignal.timeout(PATIENCE_MS)
    await askToBeCarried(stranger, addresses[0] ?? '', signal)
    await assert.rejects(stranger.relayClient.reserve(relay.network.self), 'a place on the relay')
  } finally {
    await stranger.stop()
  }
})

test('a relay that is connected to a member over another relay, too, carries over the direct connection', async () => {
  const [far, near] = [await village.add({ relay: true }), await village.add({ relay: true })]
  const a = await village.add({ listen: ['/p2p-circuit'] })
  const b = await village.add({ listen: [] })
  const over = (relay: typeof far): readonly string[] =>
    a.network.addresses().filter((address) => address.includes(`${relay.network.self}/p2p-circuit`))
  a.network.want(wantOf(far))
  await a.heard.until(() => over(far).length > 0, 'a has an address on the far relay')
  near.network.want([...wantOf(far), { peer: a.network.self, addresses: over(far) }])
  await near.heard.until(() => near.heard.connected.some(({ peer }) => peer === a.network.self), 'near reaches a')
  a.network.want(wantOf(far, near))
  await a.heard.until(() => over(near).length > 0, 'a has an address on the near relay')

  b.network.want([...wantOf(near), { peer: a.network.self, addresses: over(near) }])
  await a.heard.until(() => a.heard.connected.some(({ peer }) => peer === b.network.self), 'a hears of b')
  const seen = a.heard.connected.filter(({ peer }) => peer === b.network.self)
  assert.deepEqual(
    seen.map(({ path, via }) => [path, via]),
    [['relay', near.network.self]],
  )
})

const isRelayed = (address: string): boolean => address.includes('/p2p-circuit')

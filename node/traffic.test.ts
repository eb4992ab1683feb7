// Calls by name: the order of a round robin, and what happens when an instance cannot be reached. Real sockets on
// loopback stand for the instances of this device, a table for the network.

import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { type Duplex, PassThrough } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { createDatagramReader, frameDatagram } from '../overlay/datagrams.ts'
import type { NetworkPort, TunnelHeader } from '../overlay/io/network.ts'
import type { Call } from '../overlay/io/way-in.ts'
import { instanceKey, type NodeId, type ServiceId } from '../overlay/kernel/ids.ts'
import { seededRandom } from '../overlay/kernel/random.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { TunnelRefusal } from '../overlay/tunnel.ts'
import type { SealedRecord } from '../services-registry/index.ts'
import { factsOf } from './core/world.test-kit.ts'
import { idOf, instance, placement, SERVICE, specRecord } from './fixture-records.ts'
import { createTraffic } from './traffic.ts'

const never = new AbortController().signal
const ADDRESS = `${SERVICE}.0.rr.local:8080`

const PERSON: Call = { protocol: 'tcp', from: { address: '127.0.0.1', port: 1 } }
/** Where an instance of the service `caller` calls from. */
const INSTANCE_PORT = 2
const INSTANCE: Call = { protocol: 'tcp', from: { address: '127.0.0.1', port: INSTANCE_PORT } }

interface Setup {
  readonly records: readonly SealedRecord[] | null
  readonly open?: (to: NodeId, header: TunnelHeader) => Result<Duplex, TunnelRefusal>
  readonly connected?: readonly string[]
  readonly caller?: ServiceId
  readonly rttMs?: (node: NodeId) => number | null
}

function traffic(setup: Setup) {
  const { records, open, connected = ['n1', 'n2', 'n3'], caller = SERVICE, rttMs = () => null } = setup
  const asked: string[] = []
  const served: string[] = []
  const openTunnel = async (to: NodeId, header: TunnelHeader): Promise<Result<Duplex, TunnelRefusal>> => {
    asked.push(to.slice(9))
    return open?.(to, header) ?? ok(new PassThrough())
  }
  const prepare = async (to: NodeId): Promise<void> => void asked.push(`prepare ${to.slice(9)}`)
  const made = createTraffic({
    self: idOf('self'),
    network: () => ({ openTunnel, prepare }) as unknown as NetworkPort,
    lookUp: async (service) => ({
      service,
      records,
      reason: records === null ? `no service ${service} is known` : null,
      isAbsent: records === null,
    }),
    known: () => [SERVICE],
    rttMs,
    isGone: () => false,
    isConnected: (node) => connected.includes(node.slice(9)),
    reach: async (node) => void asked.push(`reach ${node.slice(9)}`),
    local: () => records ?? [],
    onServed: (key) => void served.push(key),
    inside: async () => refusal('no-such-instance'),
    mayReach: () => true,
    callerAt: async ({ port }) => (port === INSTANCE_PORT ? instanceKey(caller, 3) : null),
    random: seededRandom(1),
  })
  return { traffic: made, asked, served }
}

const running = (...names: readonly string[]): readonly SealedRecord[] => [
  specRecord('/', names.length),
  ...names.flatMap((name, number) => [instance(name, '/a', { number }), placement('/', '/a', { number })]),
]
const refusal = (code: TunnelRefusal['code']): Result<Duplex, TunnelRefusal> => err({ code, detail: 'no' })

test('calls of one name go round its instances', async () => {
  const { traffic: calls, asked } = traffic({ records: running('n1', 'n2', 'n3') })
  for (let call = 0; call < 6; call++) assert.ok((await calls.connect(ADDRESS, never, PERSON)).ok)
  assert.deepEqual(asked.slice(0, 3).toSorted(), ['n1', 'n2', 'n3'])
  assert.deepEqual(asked.slice(3), asked.slice(0, 3))
})

test('the way to where a service is about to run is made once, for who calls and not for who looks', async () => {
  const coming = ['n1', 'away', 'self'].map((name, number) => instance(name, '/a', { number, state: 'starting' }))
  const { traffic: calls, asked } = traffic({ records: [specRecord('/', 3), ...coming] })
  await calls.find(ADDRESS, never)
  assert.deepEqual(asked, [])
  const called = await calls.connect(ADDRESS, never, PERSON)
  assert.equal(called.ok ? '' : called.error.code, 'no-instance')
  await calls.connect(ADDRESS, never, PERSON)
  assert.deepEqual(asked, ['prepare n1', 'reach away', 'prepare away'])
})

test('of many instances that are about to run few are prepared for', async () => {
  const names = Array.from({ length: 50 }, (_, index) => `m${index}`)
  const coming = names.map((name, number) => instance(name, '/a', { number, state: 'pulling' }))
  const { traffic: calls, asked } = traffic({ records: [specRecord('/', 50), ...coming], connected: names })
  await calls.connect(ADDRESS, never, PERSON)
  assert.deepEqual(asked, ['prepare m0', 'prepare m1', 'prepare m2'])
})

test('each caller has a turn of its own', async () => {
  const { traffic: calls, asked } = traffic({ records: running('n1', 'n2', 'n3') })
  for (let call = 0; call < 3; call++) {
    await calls.connect(ADDRESS, never, PERSON)
    await calls.connect(ADDRESS, never, INSTANCE)
  }
  const of = (caller: number) => asked.filter((_, index) => index % 2 === caller).toSorted()
  assert.deepEqual(
    [of(0), of(1)],
    [
      ['n1', 'n2', 'n3'],
      ['n1', 'n2', 'n3'],
    ],
  )
})

test('closest follows the round-trip times as they change', async () => {
  const near = new Map([
    ['n1', 30],
    ['n2', 5],
    ['n3', 80],
  ])
  const { traffic: calls, asked } = traffic({
    records: running('n1', 'n2', 'n3'),
    rttMs: (node) => near.get(node.slice(9)) ?? null,
  })
  const address = `${SERVICE}.any.closest.local:8080`
  await calls.connect(address, never, PERSON)
  near.set('n3', 2)
  await calls.connect(address, never, PERSON)
  near.set('n3', 200).set('n2', 100)
  await calls.connect(address, never, PERSON)
  assert.deepEqual(asked, ['n2', 'n3', 'n1'])
})

test('least goes where the fewest tunnels are open, and a closed one no longer counts', async () => {
  const tunnels: Duplex[] = []
  const open = (): Result<Duplex, TunnelRefusal> => {
    const tunnel = new PassThrough()
    tunnels.push(tunnel)
    return ok(tunnel)
  }
  const { traffic: calls, asked } = traffic({ records: running('n1', 'n2'), open })
  const address = `${SERVICE}.any.least.local:8080`
  for (let call = 0; call < 4; call++) await calls.connect(address, never, PERSON)
  assert.deepEqual(asked.toSorted(), ['n1', 'n1', 'n2', 'n2'])
  const freed = asked[1]
  for (const index of [1, 3]) {
    const tunnel = tunnels[index]
    assert.ok(tunnel)
    tunnel.destroy()
    await once(tunnel, 'close')
  }
  assert.equal(asked[3], freed, 'the second and the fourth went to the same one')
  for (let call = 0; call < 2; call++) await calls.connect(address, never, PERSON)
  assert.deepEqual(asked.slice(4), [freed, freed])
})

test('an instance of another namespace is refused with the reason, unless the service lets it call', async () => {
  const caller = 'billing.test.job.web' as ServiceId
  const refused = traffic({ records: running('n1'), caller })
  const outcome = await refused.traffic.connect(ADDRESS, never, INSTANCE)
  assert.ok(!outcome.ok)
  assert.equal(outcome.error.code, 'not-allowed')
  assert.match(outcome.error.sentence, /may be called from the namespace "demo", not from "billing\.test"/)
  assert.deepEqual(refused.asked, [])
  assert.ok((await refused.traffic.connect(ADDRESS, never, PERSON)).ok, 'a person may')

  const headers: TunnelHeader[] = []
  const open = (_to: NodeId, header: TunnelHeader): Result<Duplex, TunnelRefusal> => {
    headers.push(header)
    return ok(new PassThrough())
  }
  const [, ...rest] = running('n1')
  const records = [specRecord('/', 1, { callers: ['test'] }), ...rest]
  assert.ok((await traffic({ records, caller, open }).traffic.connect(ADDRESS, never, INSTANCE)).ok)
  assert.deepEqual(
    headers.map((header) => header.kind === 'instance' && header.callerNamespace),
    ['billing.test'],
  )
})

test('looking a name up does not use up a turn', async () => {
  const { traffic: calls, asked } = traffic({ records: running('n1', 'n2') })
  const first = (await calls.resolve(ADDRESS, never)).order.map(({ number }) => number)
  assert.deepEqual(
    (await calls.resolve(ADDRESS, never)).order.map(({ number }) => number),
    first,
  )
  await calls.connect(ADDRESS, never, PERSON)
  assert.deepEqual(asked, [`n${(first[0] ?? 0) + 1}`])
})

test('an instance that cannot be reached before the first byte is passed over for the next', async () => {
  const refusing: NodeId[] = []
  const open = (to: NodeId): Result<Duplex, TunnelRefusal> => {
    // The first that is asked is the one that cannot be reached.
    if (refusing.length === 0) refusing.push(to)
    return refusing.includes(to) ? refusal('unreachable') : ok(new PassThrough())
  }
  const { traffic: calls, asked } = traffic({ records: running('n1', 'n2'), open })
  assert.ok((await calls.connect(ADDRESS, never, PERSON)).ok)
  assert.deepEqual(asked.toSorted(), ['n1', 'n2'])
  assert.ok((await calls.connect(ADDRESS, never, PERSON)).ok)
  assert.equal(asked.at(-1), asked[1], 'and is tried last for a while')
})

test('when none can be reached the caller hears of each, and why', async () => {
  const { traffic: calls } = traffic({ records: running('n1', 'n2'), open: () => refusal('not-running') })
  const outcome = await calls.connect(ADDRESS, never, PERSON)
  assert.ok(!outcome.ok)
  assert.equal(outcome.error.code, 'unreachable')
  for (const part of ['#0', '#1', 'n1', 'n2', 'not-running']) assert.ok(outcome.error.sentence.includes(part), part)
})

test('a node that is not connected is looked for before the tunnel is opened', async () => {
  const { traffic: calls, asked } = traffic({ records: running('n1'), connected: [] })
  await calls.connect(ADDRESS, never, PERSON)
  assert.deepEqual(asked, ['reach n1', 'n1'])
})

test('a name that does not parse, one of another system, and a service that nobody knows are told apart', async () => {
  const { traffic: calls } = traffic({ records: null })
  const codeOf = async (address: string): Promise<string | null> => {
    const outcome = await calls.connect(address, never, PERSON)
    return outcome.ok ? null : outcome.error.code
  }
  assert.equal(await codeOf('a.b.c.d.e.f.g.local'), 'bad-name')
  assert.equal(await codeOf('example.org:80'), 'not-ours')
  assert.equal(await codeOf(ADDRESS), 'no-service')
})

test('a service without an instance that runs says what state its instances are in', async () => {
  const records = [specRecord('/', 1), instance('n1', '/a', { state: 'failed', endpoint: null }), placement('/', '/a')]
  const outcome = await traffic({ records }).traffic.connect(ADDRESS, never, PERSON)
  assert.ok(!outcome.ok)
  assert.equal(outcome.error.code, 'no-instance')
  assert.match(outcome.error.sentence, /#0 is failed/)
})

async function listening(t: TestContext): Promise<Server & { readonly port: number }> {
  // The callers below hang up without a word.
  const server = createServer((socket) => socket.on('error', () => undefined).end('hello')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return Object.assign(server, { port: (server.address() as AddressInfo).port })
}

const ownInstance = (port: number): readonly SealedRecord[] => [
  instance('self', '/a', {
    endpoint: { host: '127.0.0.1', ports: [{ declared: 8080, actual: port, protocol: 'tcp' }] },
  }),
  placement('/a', idOf('self')),
]

test('an instance on the same device is dialled without a tunnel', async (t) => {
  const { port } = await listening(t)
  const { traffic: calls, asked } = traffic({ records: [specRecord('/', 1), ...ownInstance(port)] })
  const outcome = await calls.connect(ADDRESS, never, PERSON)
  assert.ok(outcome.ok)
  assert.equal((await once(outcome.value, 'data')).join(''), 'hello')
  outcome.value.destroy()
  assert.deepEqual(asked, [])
})

test('a tunnel is served to an instance that runs here, at a port that it declares, and to nothing else', async (t) => {
  const { port } = await listening(t)
  const { traffic: calls, served } = traffic({ records: ownInstance(port) })
  const caller = factsOf('n1', '/b')
  const header = {
    kind: 'instance',
    service: SERVICE,
    number: 0,
    port: 8080,
    protocol: 'tcp',
    callerNamespace: '',
  } as const
  const serve = async (change: {
    readonly port?: number
    readonly number?: number
    readonly callerNamespace?: string
  }) => {
    const outcome = await calls.serve(caller.node, caller, { ...header, ...change }, never)
    if (outcome.ok) outcome.value.destroy()
    return outcome.ok ? 'ok' : outcome.error.code
  }
  assert.equal(await serve({}), 'ok')
  assert.equal(await serve({ port: 22 }), 'no-such-port')
  assert.equal(await serve({ number: 7 }), 'not-running')
  assert.equal(await serve({ callerNamespace: 'other.demo' }), 'ok')
  assert.equal(await serve({ callerNamespace: 'billing.test' }), 'not-allowed')
  assert.deepEqual(served, [instanceKey(SERVICE, 0), instanceKey(SERVICE, 0)], 'what was refused carries nothing')
})

test('datagrams reach a UDP port of an instance on this device, and come back', async (t) => {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.after(() => socket.close())
  socket.on('message', (datagram, { port, address }) => socket.send(`re: ${datagram}`, port, address))
  const ports = [{ declared: 53, actual: socket.address().port, protocol: 'udp' as const }]
  const records = [
    specRecord('/', 1),
    instance('self', '/a', { endpoint: { host: '127.0.0.1', ports } }),
    placement('/a', idOf('self')),
  ]
  const outcome = await traffic({ records }).traffic.connect(`${SERVICE}.0.rr.local`, never, {
    ...PERSON,
    protocol: 'udp',
  })
  assert.ok(outcome.ok)
  const framed = frameDatagram(Buffer.from('hello'))
  assert.ok(framed)
  outcome.value.write(framed)
  const [chunk] = (await once(outcome.value, 'data')) as [Uint8Array]
  const read = createDatagramReader().push(chunk)
  assert.deepEqual(read.ok && read.value.map((one) => Buffer.from(one).toString()), ['re: hello'])
  outcome.value.destroy()
})

// Calls by name: the order of a round robin, and what happens when an instance cannot be reached. Real sockets on
// loopback stand for the instances of this device, a table for the network.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { type Duplex, PassThrough } from 'node:stream'
import { type TestContext, test } from 'node:test'
import type { NetworkPort, TunnelHeader } from '../overlay/io/network.ts'
import type { NodeId } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { TunnelRefusal } from '../overlay/tunnel.ts'
import type { SealedRecord } from '../services-registry/index.ts'
import { factsOf } from './core/world.test-kit.ts'
import { idOf, instance, placement, SERVICE, specRecord } from './fixture-records.ts'
import { createTraffic } from './traffic.ts'

const never = new AbortController().signal
const ADDRESS = `${SERVICE}.0.rr.local:8080`

interface Setup {
  readonly records: readonly SealedRecord[] | null
  readonly open?: (to: NodeId, header: TunnelHeader) => Result<Duplex, TunnelRefusal>
  readonly connected?: readonly string[]
}

function traffic({ records, open, connected = ['n1', 'n2', 'n3'] }: Setup) {
  const asked: string[] = []
  const openTunnel = async (to: NodeId, header: TunnelHeader): Promise<Result<Duplex, TunnelRefusal>> => {
    asked.push(to.slice(9))
    return open?.(to, header) ?? ok(new PassThrough())
  }
  const made = createTraffic({
    self: idOf('self'),
    network: () => ({ openTunnel }) as unknown as NetworkPort,
    lookUp: async (service) => ({
      service,
      records,
      reason: records === null ? `no service ${service} is known` : null,
    }),
    known: () => [SERVICE],
    rttMs: () => null,
    isGone: () => false,
    isConnected: (node) => connected.includes(node.slice(9)),
    reach: async (node) => void asked.push(`reach ${node.slice(9)}`),
    local: () => records ?? [],
    inside: async () => refusal('no-such-instance'),
  })
  return { traffic: made, asked }
}

const running = (...names: readonly string[]): readonly SealedRecord[] => [
  specRecord('/', names.length),
  ...names.flatMap((name, number) => [instance(name, '/a', { number }), placement('/', '/a', { number })]),
]
const refusal = (code: TunnelRefusal['code']): Result<Duplex, TunnelRefusal> => err({ code, detail: 'no' })

test('calls of one name go round its instances', async () => {
  const { traffic: calls, asked } = traffic({ records: running('n1', 'n2', 'n3') })
  for (let call = 0; call < 4; call++) assert.ok((await calls.connect(ADDRESS, never)).ok)
  assert.deepEqual(asked, ['n1', 'n2', 'n3', 'n1'])
})

test('looking a name up does not use up a turn', async () => {
  const { traffic: calls, asked } = traffic({ records: running('n1', 'n2') })
  const first = (await calls.resolve(ADDRESS, never)).order.map(({ number }) => number)
  assert.deepEqual(
    (await calls.resolve(ADDRESS, never)).order.map(({ number }) => number),
    first,
  )
  await calls.connect(ADDRESS, never)
  assert.deepEqual(asked, ['n1'])
})

test('an instance that cannot be reached before the first byte is passed over for the next', async () => {
  const open = (to: NodeId): Result<Duplex, TunnelRefusal> =>
    to === idOf('n1') ? refusal('unreachable') : ok(new PassThrough())
  const { traffic: calls, asked } = traffic({ records: running('n1', 'n2'), open })
  assert.ok((await calls.connect(ADDRESS, never)).ok)
  assert.deepEqual(asked, ['n1', 'n2'])
})

test('when none can be reached the caller hears of each, and why', async () => {
  const { traffic: calls } = traffic({ records: running('n1', 'n2'), open: () => refusal('not-running') })
  const outcome = await calls.connect(ADDRESS, never)
  assert.ok(!outcome.ok)
  assert.equal(outcome.error.code, 'unreachable')
  for (const part of ['#0', '#1', 'n1', 'n2', 'not-running']) assert.ok(outcome.error.sentence.includes(part), part)
})

test('a node that is not connected is looked for before the tunnel is opened', async () => {
  const { traffic: calls, asked } = traffic({ records: running('n1'), connected: [] })
  await calls.connect(ADDRESS, never)
  assert.deepEqual(asked, ['reach n1', 'n1'])
})

test('a name that does not parse, one of another system, and a service that nobody knows are told apart', async () => {
  const { traffic: calls } = traffic({ records: null })
  const codeOf = async (address: string): Promise<string | null> => {
    const outcome = await calls.connect(address, never)
    return outcome.ok ? null : outcome.error.code
  }
  assert.equal(await codeOf('a.b.c.d.e.f.g.local'), 'bad-name')
  assert.equal(await codeOf('example.org:80'), 'not-ours')
  assert.equal(await codeOf(ADDRESS), 'no-service')
})

test('a service without an instance that runs says what state its instances are in', async () => {
  const records = [specRecord('/', 1), instance('n1', '/a', { state: 'failed', endpoint: null }), placement('/', '/a')]
  const outcome = await traffic({ records }).traffic.connect(ADDRESS, never)
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
  const outcome = await calls.connect(ADDRESS, never)
  assert.ok(outcome.ok)
  assert.equal((await once(outcome.value, 'data')).join(''), 'hello')
  outcome.value.destroy()
  assert.deepEqual(asked, [])
})

test('a tunnel is served to an instance that runs here, at a port that it declares, and to nothing else', async (t) => {
  const { port } = await listening(t)
  const { traffic: calls } = traffic({ records: ownInstance(port) })
  const caller = factsOf('n1', '/b')
  const header = {
    kind: 'instance',
    service: SERVICE,
    number: 0,
    port: 8080,
    protocol: 'tcp',
    callerNamespace: '',
  } as const
  const serve = async (change: Partial<typeof header> | { readonly port: number } | { readonly number: number }) => {
    const outcome = await calls.serve(caller.node, caller, { ...header, ...change }, never)
    if (outcome.ok) outcome.value.destroy()
    return outcome.ok ? 'ok' : outcome.error.code
  }
  assert.equal(await serve({}), 'ok')
  assert.equal(await serve({ port: 22 }), 'no-such-port')
  assert.equal(await serve({ number: 7 }), 'not-running')
})

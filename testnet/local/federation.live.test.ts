// One federation of real processes on loopback, from its first invite to a reboot without network. The tests are
// chapters of one story and run in order; each leaves the fleet as the next one finds it.

import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { loadOrCreateNodeKey } from '../../bootstrap/index.ts'
import type { InstanceView, NodeView, ResolveView, StatusView } from '../../node/control.ts'
import { joinNode } from '../../node/index.ts'
import { exchangeJoin, JoinUnreachableError } from '../../overlay/io/join.ts'
import type { FederationId } from '../../overlay/kernel/ids.ts'
import { answer, coppice, ON_LOOPBACK, WAITING } from './command-fixture.ts'
import { type Fleet, PATIENCE_MS, removeFolder, startFleet, until } from './fleet.ts'

const SERVICE = 'shop.demo.hello.web'
const ADDRESS = `${SERVICE}.0.rr.local:8080`
const DESCRIPTOR = join(import.meta.dirname, 'hello.json')

let baseDir = ''
let fleet: Fleet

const at = (name: string): readonly string[] => ['--data', fleet.named(name).dataDir]
const instances = (name: string): Promise<readonly InstanceView[]> => answer('ps', ...at(name))
const status = (name: string): Promise<StatusView> => answer('status', ...at(name))
const eventually = async (what: string, isSo: () => Promise<boolean>): Promise<void> => {
  await until(what, isSo, PATIENCE_MS)
}

const runsOn = (all: readonly InstanceView[], number: number): InstanceView | undefined =>
  all.find((one) => one.number === number && one.state === 'running')
const replicasRun = (name: string, replicas: number) => async (): Promise<boolean> => {
  const all = await instances(name)
  return all.length === replicas && all.every((one) => one.state === 'running')
}

function fetched(
  url: string,
  proxy: string | null = null,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const { hostname, port, host } = new URL(proxy ?? url)
    const path = proxy === null ? '/' : url
    const asked = request({
      host: hostname,
      port,
      path,
      agent: false,
      headers: { host: proxy === null ? host : new URL(url).host },
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
    asked.once('error', reject)
    asked.once('response', (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject)
    })
    asked.end()
  })
}

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'federation-'))
  fleet = await startFleet({
    baseDir,
    clusters: [
      { path: '/a', names: ['a1', 'a2', 'a3'] },
      { path: '/b', names: ['b1', 'b2'] },
    ],
  })
})

after(async () => {
  await fleet?.stop()
  await removeFolder(baseDir)
})

test('nodes that joined by invite know their cluster, its leader and the root’s', async () => {
  await eventually('all are ready', async () => {
    const all = await Promise.all(fleet.nodes.map(({ control }) => control.status()))
    return all.every(({ ready, domains }) => ready && domains.every(({ quorum }) => quorum))
  })
  await eventually('a3 knows its cluster', async () => {
    const roster: readonly NodeView[] = await answer('nodes', ...at('a3'))
    const states = roster.map(({ name, state }) => `${name} ${state}`)
    return states.sort().join() === 'a1 alive,a2 alive,a3 alive'
  })
  await eventually('b2 is connected to b1', async () => {
    const { domains, peers } = await status('b2')
    assert.deepEqual(
      domains.map(({ path }) => path),
      ['/b', '/'],
    )
    return peers.some(({ name, domain, path }) => name === 'b1' && domain === '/b' && path === 'direct')
  })
})

test('a service that is deployed on any node runs, and its address answers in another cluster', async () => {
  const { exitCode, stderr } = await coppice('deploy', DESCRIPTOR, ...WAITING, ...at('b2'))
  assert.equal(exitCode, 0, stderr)
  await eventually('a1 knows of both', replicasRun('a1', 2))
  for (const caller of ['a1', 'b1']) {
    const { proxies } = await status(caller)
    await eventually(`round robin reaches both instances from ${caller}`, async () => {
      const bodies = new Set<string>()
      for (let call = 0; call < 4; call++) bodies.add((await fetched(`http://${ADDRESS}/`, proxies.http)).body)
      return bodies.size === 2 && [...bodies].every((body) => /^hello from instance/.test(body))
    })
  }
})

test('the same service answers on a loopback address of its own and on a forwarded port', async () => {
  const knowsBoth = async (): Promise<ResolveView | null> => {
    const view: ResolveView = await answer('resolve', ADDRESS, ...at('a1'))
    const numbers = view.endpoints.map(({ number }) => number)
    return numbers.sort().join() === '0,1' ? view : null
  }
  const resolved = await until('a1 knows both endpoints', knowsBoth, PATIENCE_MS)
  assert.ok(resolved.virtualAddress)
  assert.match((await fetched(`http://${resolved.virtualAddress}:8080/`)).body, /^hello from instance/)
  const stop = new AbortController()
  const { host, port } = await fleet
    .named('b2')
    .control.forward({ address: ADDRESS, localPort: 0, protocol: 'tcp' }, stop.signal)
  assert.match((await fetched(`http://${host}:${port}/`)).body, /^hello from instance/)
  stop.abort()
})

test('the log of an instance is read from a node of the other cluster', async () => {
  const all = await instances('a1')
  for (const number of [0, 1]) {
    const reader = runsOn(all, number)?.domain === '/a' ? 'b2' : 'a1'
    await eventually(`the log of instance ${number} is read from ${reader}`, async () => {
      const { stdout } = await coppice('logs', SERVICE, '--instance', `${number}`, ...at(reader))
      return /^listening on \d+/.test(stdout)
    })
  }
})

test('a service is scaled up and down from any node', async () => {
  await answer('scale', SERVICE, '5', ...at('a2'))
  await eventually('five run', replicasRun('b1', 5))
  await answer('scale', SERVICE, '3', ...at('b1'))
  await eventually('three run', replicasRun('a1', 3))
})

test('an instance whose node is killed is adopted, not started again, when the node is back', async () => {
  const isHere = (one: InstanceView): boolean => one.state === 'running' && (one.name === 'b1' || one.name === 'b2')
  const before = await until('one runs in /b', async () => (await instances('b1')).find(isHere), PATIENCE_MS)
  assert.ok(before.name)
  const owner = fleet.named(before.name)
  const { incarnation } = await status(before.name)
  const gone = new Promise((resolve) => owner.process.once('exit', resolve))
  // Its neighbour too, so that nobody has the quorum to place the instance elsewhere meanwhile.
  const other = fleet.named(before.name === 'b1' ? 'b2' : 'b1')
  const otherGone = new Promise((resolve) => other.process.once('exit', resolve))
  other.process.kill('SIGKILL')
  owner.process.kill('SIGKILL')
  await Promise.all([gone, otherGone])
  fleet.restart(other)
  fleet.restart(owner)
  await eventually('it is back', async () => (await status(owner.name)).ready)
  const again = await status(owner.name)
  assert.ok(again.incarnation > incarnation, 'a reboot is told from a partition')
  await eventually('it is shown as running', async () => {
    const now = (await instances(owner.name)).find((one) => one.number === before.number && one.node === again.node)
    return now?.state === 'running' && now.endpoint === before.endpoint
  })
})

test('strangers get nothing: no bytes that are not ours, and no handshake of another federation', async () => {
  const { addresses } = await status('a1')
  const port = Number(/\/tcp\/(\d+)/.exec(addresses[0] ?? '')?.[1])
  const socket = connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n\r\n'))
  socket.resume().once('error', () => undefined)
  try {
    await eventually('it is closed by the node', async () => socket.closed)
  } finally {
    socket.destroy()
  }
  const { privateKey } = await loadOrCreateNodeKey(join(baseDir, 'stranger'))
  const exchange = { federation: 'e'.repeat(64) as FederationId, nodeKey: privateKey, addresses }
  const signal = AbortSignal.timeout(PATIENCE_MS)
  await assert.rejects(exchangeJoin({ ...exchange, request: new Uint8Array(8), signal }), JoinUnreachableError)
  assert.ok((await status('a1')).ready)
})

test('an invite works as often as it says and as long as it says', async () => {
  const single = (await coppice('invite', '--domain', '/a', '--uses', '1', ...at('a1'))).stdout.trim()
  const short = (await coppice('invite', '--domain', '/a', '--ttl', '1s', ...at('a1'))).stdout.trim()
  const options = { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, httpProxyPort: null, virtualListeners: false }
  const guest = await joinNode({ ...options, invite: single, dataDir: join(baseDir, 'guest') })
  await guest.stop()
  const second = await coppice('join', single, '--data', join(baseDir, 'second'), '--json', ...ON_LOOPBACK)
  assert.equal(second.exitCode, 1)
  assert.match(second.stderr, /"code":"used-up-invite"/)
  await eventually('the short invite has expired', async () => {
    const late = await coppice('join', short, '--data', join(baseDir, 'late'), '--json', ...ON_LOOPBACK)
    return late.exitCode === 1 && late.stderr.includes('"code":"expired-invite"')
  })
})

test('a revoked node is cut, refused as revoked, and its work runs elsewhere', async () => {
  await answer('scale', SERVICE, '5', ...at('a1'))
  await eventually('five run', replicasRun('a1', 5))
  const isApart = ({ name }: InstanceView): boolean => name === 'a2' || name === 'a3'
  const victim = await until('one runs beside a1', async () => (await instances('a1')).find(isApart), PATIENCE_MS)
  assert.ok(victim.name && victim.node)
  await answer('revoke', victim.name, ...at('a1'))
  await eventually('its work runs elsewhere', async () => {
    const all = await instances('b1')
    return [0, 1, 2, 3, 4].every((number) =>
      all.some((one) => one.number === number && one.state === 'running' && one.node !== victim.node),
    )
  })
  const isCut = async (): Promise<boolean> =>
    (await status('a1')).peers.every((peer) => peer.node !== victim.node || peer.path === null)
  await eventually('it is cut', isCut)
  await eventually('it is told why', async () => {
    const { counters } = await status(victim.name ?? '')
    return Object.keys(counters).some((name) => /^hello-refused-by-.*-revoked$/.test(name))
  })
  await fleet.cutDown(fleet.named(victim.name))
})

test('a removed service is gone everywhere', async () => {
  await answer('rm', SERVICE, ...at('b2'))
  await eventually(
    'nothing runs',
    async () => (await instances('a1')).length === 0 && (await instances('b1')).length === 0,
  )
  await eventually('its address is unknown', async () => {
    const { exitCode, stderr } = await coppice('resolve', ADDRESS, '--json', ...at('b1'))
    return exitCode === 1 && stderr.includes('"code":"no-service"')
  })
})

test('a device that reboots with no network starts again what it was running', async () => {
  await answer('deploy', DESCRIPTOR, ...WAITING, ...at('a1'))
  const isRunning = ({ state, name }: InstanceView): boolean => state === 'running' && name !== null
  const host = await until('one runs', async () => (await instances('a1')).find(isRunning), PATIENCE_MS)
  assert.ok(host.name)
  const device = fleet.named(host.name)
  for (const one of [...fleet.living()]) await fleet.cutDown(one)
  fleet.restart(device)
  await eventually('it runs again', async () => {
    const now = (await instances(device.name)).find((one) => one.number === host.number && one.node === host.node)
    return now?.state === 'running' && now.endpoint !== null
  })
  const { proxies } = await status(device.name)
  await eventually('it answers', async () => {
    const { body } = await fetched(`http://${SERVICE}.${host.number}.instance.local:8080/`, proxies.http)
    return body.startsWith(`hello from instance ${host.number}`)
  })
})

// Real processes and somebody who wishes them ill: first a stranger, then one with an invite that was used, then one
// with the keys of a member, until that is put out. Each finds the fleet as the chapter before left it;
// all the while the service answers, and no honest node grows.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { InstanceView, StatusView } from '../../node/control.ts'
import { joinNode } from '../../node/index.ts'
import { frame } from '../../overlay/io/frames.ts'
import { CONTROL_PROTOCOL, HELLO_PROTOCOL, TUNNEL_PROTOCOL } from '../../overlay/io/protocols.ts'
import { TUNNELS_PER_MEMBER_MAX } from '../../overlay/io/tunnel-streams.ts'
import type { DomainPath, FederationId, ServiceId } from '../../overlay/kernel/ids.ts'
import { encodeHeader } from '../../overlay/tunnel.ts'
import { encodeSpec, serviceIdOf } from '../../placement/spec.ts'
import { simpleSpec } from '../sim/workload.ts'
import { coppice, ON_LOOPBACK, WAITING } from './command-fixture.ts'
import { type Fleet, PATIENCE_MS, readyFleet, removeFolder, until } from './fleet.ts'
import { bareNode, framed, type HostileMember, openStream, takeFolder } from './hostile-member.ts'

const DESCRIPTOR = join(import.meta.dirname, 'hello.json')
const ADDRESS = 'shop.demo.hello.web.0.rr.local:8080'
/** From a revocation to a closed connection, among few nodes (issue: 2 s among fifty); ten times that when busy. */
const CUT_MS_MAX = 20_000
const DAY_MS = 86_400_000
/** An honest node may keep so much more after an attack, once the collector has been there. A guess. */
const GROWTH_MB_MAX = 160
const A = '/a' as DomainPath
const QUIET = { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, httpProxyPort: null, virtualListeners: false } as const

let baseDir = ''
let fleet: Fleet
let mallory: HostileMember
/** What mallory said and the fleet has got rid of since. */
let said: Uint8Array

const status = (name: string): Promise<StatusView> => fleet.named(name).control.status()
const instances = (): Promise<readonly InstanceView[]> => fleet.named('a1').control.instances()
const copiesOf = async (id: string): Promise<readonly InstanceView[]> =>
  (await instances()).filter(({ service }) => service === id)
const isEnding = ({ state }: InstanceView): boolean => state === 'stopping' || state === 'stopped'
const addressOf = async (name: string): Promise<string> => (await status(name)).addresses[0] ?? ''
const counted = async (name: string, counter: string): Promise<number> => (await status(name)).counters[counter] ?? 0

async function residentMb(name: string): Promise<number> {
  const stat = await readFile(`/proc/${fleet.named(name).process.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(stat)?.[1]) / 1_024
}

function call(proxy: string | null): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(proxy ?? '')
    const asked = request({
      host: hostname,
      port,
      path: `http://${ADDRESS}/`,
      agent: false,
      headers: { host: ADDRESS },
    })
    asked.once('error', reject)
    asked.once('response', (response) => text(response).then(resolve, reject))
    asked.end()
  })
}

/** The service answers from both honest devices; it may take a moment while somebody floods them. */
async function serviceAnswers(): Promise<void> {
  for (const name of ['a1', 'a2']) {
    const { proxies } = await status(name)
    const isAnswered = async (): Promise<boolean> => /^hello from instance/.test(await call(proxies.http))
    await until(`the service answers at ${name}`, isAnswered, PATIENCE_MS)
  }
}

/** Nothing that was done to the honest nodes made them grow, and their service answers. */
async function unharmed(attack: () => Promise<void>): Promise<void> {
  const honest = ['a1', 'a2']
  const before = await Promise.all(honest.map(residentMb))
  await attack()
  await serviceAnswers()
  const isSmall = async (): Promise<boolean> => {
    const grown = await Promise.all(honest.map(async (name, index) => (await residentMb(name)) - (before[index] ?? 0)))
    const isSo = Math.max(...grown) <= GROWTH_MB_MAX
    if (!isSo) throw new Error(`they grew by ${grown.map(Math.round).join(' and ')} MB`)
    return isSo
  }
  await until('honest nodes are about as large as before', isSmall, PATIENCE_MS)
}

/** A connection on which mallory passes for the member whose keys it holds; a busy machine may drop it as too slow. */
const malloryAt = (name: string): Promise<Connection> =>
  until(
    `${name} lets it in`,
    async () => {
      const connection = await mallory.dial(await addressOf(name))
      assert.equal(await mallory.greet(connection), 'welcome')
      return connection
    },
    PATIENCE_MS,
  )

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'hostile-'))
  fleet = await readyFleet({
    baseDir,
    clusters: [{ path: '/a', names: ['a1', 'a2', 'a3'] }],
  })
  const { exitCode, stderr } = await coppice('deploy', DESCRIPTOR, ...WAITING, '--data', fleet.named('a1').dataDir)
  assert.equal(exitCode, 0, stderr)
})

after(async () => {
  await mallory?.stop()
  await fleet?.stop()
  await removeFolder(baseDir)
})

test('a stranger gets no handshake, and one that knows the federation’s id is dropped and served nothing', async () => {
  const { federation } = await status('a1')
  const key = await generateKeyPair('Ed25519')
  await unharmed(async () => {
    const elsewhere = await bareNode(key, 'cd'.repeat(32) as FederationId)
    await assert.rejects(elsewhere.dial(multiaddr(await addressOf('a1'))))
    await elsewhere.stop()
    const nosy = await bareNode(key, federation as FederationId)
    const connections = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const connection = await nosy.dial(multiaddr(await addressOf('a1')), { force: true })
        const stream = await openStream(connection, CONTROL_PROTOCOL).catch(() => null)
        stream?.write(frame(new Uint8Array(1_000)))
        // Half a hello, and then silence: until its time is over the node has other things to do.
        const hello = await openStream(connection, HELLO_PROTOCOL).catch(() => null)
        hello?.write(frame(new Uint8Array(1_000)).subarray(0, 500))
        return connection
      }).map((dialled) => dialled.catch(() => null)),
    )
    const isClosed = async (): Promise<boolean> => connections.every((one) => one === null || one.status !== 'open')
    await until('all of its connections are closed', isClosed, PATIENCE_MS)
    await nosy.stop()
  })
  const isCounted = async (): Promise<boolean> => (await counted('a1', 'hello-refused-by-us-no-hello')) > 0
  await until('it is counted', isCounted, PATIENCE_MS)
})

test('an invite that was used is worth nothing to whoever finds it', async () => {
  const invite = await fleet.named('a1').control.invite({ domain: '/a', uses: 1, ttlMs: DAY_MS })
  const guest = await joinNode({ ...QUIET, dataDir: join(baseDir, 'guest'), invite })
  await guest.stop()
  const thief = await coppice('join', invite, '--data', join(baseDir, 'thief'), ...ON_LOOPBACK, '--json')
  assert.equal(thief.exitCode, 1)
  assert.match(thief.stderr, /"used-up-invite"/)
  await serviceAnswers()
})

test('a member that floods, sends giants, halves and thousands of streams harms nobody', async () => {
  await fleet.terminate(fleet.named('a3'))
  mallory = await takeFolder(fleet.named('a3').dataDir)
  await unharmed(async () => {
    const isHonest = ({ name, state }: InstanceView): boolean => state === 'running' && name !== null && name !== 'a3'
    const victim = await until(
      'one runs at an honest device',
      async () => (await instances()).find(isHonest),
      PATIENCE_MS,
    )
    assert.ok(victim.name)
    const connection = await malloryAt(victim.name)
    const servedBefore = await counted(victim.name, 'tunnels-served')
    // Halves and giants: the stream goes, the node stays.
    for (const bytes of [frame(new Uint8Array(70_000)), new Uint8Array(16).fill(0xff), new Uint8Array([200])])
      (await mallory.control(connection)).end(bytes)
    const { name, service, number } = victim
    await until('they are counted', async () => (await counted(name, 'control-malformed')) >= 2, PATIENCE_MS)
    // Streams in thousands, each a tunnel to the service that says nothing more.
    const opened = await Promise.allSettled(
      Array.from({ length: 3_000 }, () => openStream(connection, TUNNEL_PROTOCOL)),
    )
    const streams = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    assert.ok(streams.length > TUNNELS_PER_MEMBER_MAX, `${streams.length} streams`)
    const kind = { kind: 'instance', protocol: 'tcp', callerNamespace: '' } as const
    const header = frame(encodeHeader({ ...kind, service: service as ServiceId, number, port: 8_080 }))
    for (const stream of streams) stream.write(header)
    const isRefused = async (): Promise<boolean> => (await counted(name, 'tunnels-refused-limit')) > 0
    await until('tunnels beyond its share are refused', isRefused, PATIENCE_MS)
    assert.ok((await counted(name, 'tunnels-served')) - servedBefore <= TUNNELS_PER_MEMBER_MAX + 100)
    await serviceAnswers()
    for (const stream of streams) stream.destroy()
    await connection.close()
  })
})

test('a member that says more than it may is read later, and the others as before', async () => {
  await unharmed(async () => {
    const connection = await malloryAt('a1')
    const stream = await mallory.control(connection)
    const put = framed()
    const wanted = mallory.sealer.speak({ kind: 'node/where', domain: A, node: mallory.gate.facts.node })
    const report = mallory.sealer.seal({
      kind: 'membership/report',
      domain: A,
      subject: (await status('a2')).node as never,
      incarnation: 1,
      verdict: 'unreachable',
      cause: 'probe-lost',
      sequence: 1,
    })
    for (let round = 0; round < 200; round++) {
      for (let message = 0; message < 100; message++) stream.write(put(message % 2 === 0 ? wanted.bytes : report.bytes))
      await new Promise((resolve) => setImmediate(resolve))
    }
    // A machine that is slow enough reads messages no faster than it would let anybody; not so with many bytes in each.
    const isHeldUp = async (): Promise<boolean> => {
      for (let message = 0; message < 100 && !stream.writableNeedDrain; message++)
        stream.write(put(randomBytes(60_000)))
      return (await counted('a1', 'control-held-up')) > 0
    }
    await until('it is held up', isHeldUp, PATIENCE_MS)
    await serviceAnswers()
    // A busy machine may cost a lease, with or without a flood; nobody stays without a leader.
    const isLed = async (): Promise<boolean> => (await status('a1')).domains.every(({ quorum }) => quorum)
    await until('each domain has its quorum', isLed, PATIENCE_MS)
    stream.destroy()
    await connection.close()
  })
})

test('a spec that nobody’s descriptor would become puts no file outside of its instance', async () => {
  const target = join(baseDir, 'owned')
  const out = `../../../../../../../../..${target}`
  const spec = {
    ...simpleSpec('evil'),
    runtime: 'process',
    command: ['node', '-e', 'setInterval(() => {}, 1000)'],
    ports: [],
    addedFiles: [{ url: `http://127.0.0.1:1/x`, path: out }],
    replicas: 2,
  }
  const { message } = mallory.sealer.seal({
    kind: 'record/spec',
    domain: A,
    service: serviceIdOf(spec),
    clock: { wall: Date.now(), counter: 0 },
    spec: encodeSpec(spec),
  })
  await unharmed(async () => {
    const connection = await malloryAt('a1')
    const stream = await mallory.control(connection)
    said = mallory.sealer.seal(message).bytes
    stream.write(framed()(said))
    const isRefused = async (): Promise<boolean> =>
      (await copiesOf(serviceIdOf(spec))).some(({ state, reason }) => state === 'failed' && /\.\./.test(reason))
    await until('the instance fails, and says why', isRefused, PATIENCE_MS)
    await assert.rejects(readFile(target))
    await connection.close()
  })
  await fleet.named('a1').control.remove(serviceIdOf(spec))
  const isOver = async (): Promise<boolean> => (await copiesOf(serviceIdOf(spec))).every(isEnding)
  await until('it is removed', isOver, PATIENCE_MS)
})

test('what was said before, a spec of another day, and the charter of before change nothing', async () => {
  const specOf = (name: string, wall: number) => {
    const spec = { ...simpleSpec(name), replicas: 1 }
    const clock = { wall, counter: 0 }
    const service = serviceIdOf(spec)
    const { bytes } = mallory.sealer.seal({ kind: 'record/spec', domain: A, service, clock, spec: encodeSpec(spec) })
    return { service, bytes }
  }
  const future = specOf('future', Date.now() + 3 * DAY_MS)
  const marker = specOf('marker', Date.now())
  const before = mallory.gate.newsFor([])
  const grown = await fleet.named('a1').control.setThreshold('all')
  await unharmed(async () => {
    const connection = await malloryAt('a1')
    const put = framed()
    const stream = await mallory.control(connection)
    for (const packed of before) stream.write(put(mallory.sealer.speak({ kind: 'charter/news', packed }).bytes))
    // One stream keeps its order: once the last one is taken in, the others were looked at.
    for (const bytes of [said, future.bytes, marker.bytes]) stream.write(put(bytes))
    await until('what is honest is taken in', async () => (await copiesOf(marker.service)).length > 0, PATIENCE_MS)
    assert.deepEqual(await copiesOf(future.service), [])
    const evil = await copiesOf(serviceIdOf(simpleSpec('evil')))
    assert.ok(evil.every(isEnding), `what was removed stays removed: ${JSON.stringify(evil)}`)
    assert.equal((await fleet.named('a1').control.charterLog()).head, grown.entry)
    await connection.close()
  })
  await fleet.named('a1').control.remove(marker.service)
})

test('keys of a device that was put out open no door, whatever charter is shown with them', async () => {
  const stolen = mallory.gate.facts.node
  const before = mallory.gate.newsFor([])
  const doors = ['a1', 'a2']
  await unharmed(async () => {
    const connections = await Promise.all(doors.map(malloryAt))
    const { charterHead } = await fleet.named('a1').control.revoke(stolen)
    const isCut = async (): Promise<boolean> => connections.every(({ status }) => status !== 'open')
    await until('it is cut everywhere', isCut, CUT_MS_MAX)
    for (const name of doors) {
      await until(
        `${name} knows`,
        async () => (await fleet.named(name).control.charterLog()).head === charterHead,
        CUT_MS_MAX,
      )
      // Who is too slow with its hello, on a busy machine, is dropped before it hears what it is.
      const isJudged = async () => {
        const connection = await mallory.dial(await addressOf(name))
        const tunnel = await openStream(connection, TUNNEL_PROTOCOL).catch(() => null)
        return { connection, tunnel, verdict: await mallory.greet(connection, before) }
      }
      const { connection, tunnel, verdict } = await until(`${name} says what it thinks of it`, isJudged, PATIENCE_MS)
      assert.equal(verdict, 'revoked')
      await until('it is dropped', async () => connection.status !== 'open', PATIENCE_MS)
      assert.equal(tunnel?.readableLength ?? 0, 0, 'nobody served it')
      assert.ok((await counted(name, 'hello-refused-by-us-revoked')) > 0)
      assert.equal((await fleet.named(name).control.charterLog()).head, charterHead)
    }
  })
  const isApart = async (): Promise<boolean> =>
    (await status('a1')).peers.every((peer) => peer.node !== stolen || peer.path === null)
  await until('nobody is connected to it', isApart, PATIENCE_MS)
})

test('descriptors that lead out, and one that is too long, are refused with the field', async () => {
  const [plain] = (JSON.parse(await readFile(DESCRIPTOR, 'utf8')) as { applications: { microservices: object[] }[] })
    .applications
  const with_ = async (fields: object): Promise<string> => {
    const file = join(baseDir, 'evil.json')
    const microservices = [{ ...plain?.microservices[0], ...fields }]
    await writeFile(
      file,
      JSON.stringify({ sla_version: 'v2.0', customerID: 'x', applications: [{ ...plain, microservices }] }),
    )
    const refused = await coppice('deploy', file, '--data', fleet.named('a1').dataDir, '--json')
    assert.equal(refused.exitCode, 1, JSON.stringify(fields))
    return refused.stderr
  }
  assert.match(await with_({ added_files: [{ url: 'http://127.0.0.1/x', path: '../../etc/passwd' }] }), /added_files/)
  assert.match(await with_({ virtualization: 'docker', code: '../../etc/passwd' }), /code/)
  assert.match(await with_({ virtualization: 'docker', code: 'x', volumes: ['../../etc:/x'] }), /volumes/)
  assert.match(await with_({ microservice_name: '../../x' }), /microservice_name/)
  assert.match(await with_({ environment: ['BIG='.padEnd(2_000_000, 'x')] }), /error/)
  await serviceAnswers()
})

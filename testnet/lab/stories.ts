// What happens on the lab's paths, told as one JSON value: work over a relay alone, the end of a relay, an upgrade in
// the middle of a transfer, a device that is carried to another network. paths.live.test.ts says what should.

import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import type { NotDirectCode } from '../../overlay/not-direct.ts'
import { PATIENCE_MS, until } from '../local/fleet.ts'
import { servicesDescriptor } from '../local/service-fixture.ts'
import { type PairReport, readMatrix } from './matrix.ts'
import type { Device, LabNetwork } from './network.ts'
import { type LabFleet, pathsTold } from './nodes.ts'

/** Two that can be reached, two whose NATs can be dialled through, one whose NAT cannot, and one without IPv4. */
export const STORY_DEVICES: readonly Device[] = [
  { name: 'public', place: { kind: 'public' } },
  { name: 'public-2', place: { kind: 'public' } },
  { name: 'port', place: { kind: 'behind', nat: 'port-restricted', site: 'a' } },
  { name: 'no-udp', place: { kind: 'behind', nat: 'port-restricted-no-udp', site: 'b' } },
  { name: 'symmetric', place: { kind: 'behind', nat: 'symmetric', site: 'c' } },
  { name: 'ipv6', place: { kind: 'ipv6-only' } },
]

/** Comes later, with an invite of `symmetric`. */
const LATE: Device = { name: 'late', place: { kind: 'behind', nat: 'port-restricted', site: 'd' } }
/** Come later, and have routers that nobody could dial through, but that forward ports for who asks. */
const FORWARDED: readonly Device[] = [
  { name: 'nat-pmp', place: { kind: 'behind', nat: 'symmetric', site: 'e', gateway: 'nat-pmp' } },
  { name: 'upnp', place: { kind: 'behind', nat: 'symmetric', site: 'f', gateway: 'upnp' } },
  { name: 'pcp', place: { kind: 'behind', nat: 'symmetric', site: 'g', gateway: 'pcp' } },
]
/** All that the network has to have. */
export const STORY_PLACES: readonly Device[] = [...STORY_DEVICES, LATE, ...FORWARDED]

export interface StoriesReport {
  readonly pairs: readonly PairReport[]
  /** A service on `symmetric` as `port` has it: what it answers, its log, and a program inside it. */
  readonly overRelay: {
    readonly path: string
    readonly answer: string
    readonly log: string
    readonly inside: string
    /** Whether what it says of itself by gossip came to `port`. */
    readonly isHeard: boolean
  }
  /** What `late` said of its join with an invite of `symmetric`, and whether that one then knew it. */
  readonly join: { readonly said: string; readonly isKnown: boolean }
  /** Behind NATs that let nobody in, with routers that forward ports: how each is reached, and by one of those. */
  readonly forwarded: readonly ForwardedReport[]
  /** A transfer that began over a relay, and whether the path had become direct before it ended. */
  readonly upgrade: { readonly began: string; readonly ended: string; readonly mib: number; readonly isSame: boolean }
  /** A transfer between two whose connection goes through a hole, on a line through another one. */
  readonly overHole: { readonly path: string; readonly mib: number; readonly isSame: boolean }
  /** From the end of the relay to the next path between the two, in s. */
  readonly relayReplacedS: number
  /** Once that relay, a leader perhaps, was gone: whom each of the others knows as leader of the cluster. */
  readonly elected: { readonly leaders: readonly (string | null)[]; readonly isPathRelayed: boolean }
  /** From the new network to the first answer by the service's name, asked by a device that had it before, in s. */
  readonly movedS: number
}

export interface ForwardedReport {
  readonly device: string
  /** What the node found out about itself. */
  readonly standing: string
  readonly path: string
  /** The counters of the protocols by which a router forwards it a port. */
  readonly by: readonly string[]
  /** From its first hello to that path, in s. */
  readonly directS: number
}

/** Pairs whose networks allow no direct path, and why: what an attempt finds out that a busy machine lets end. */
const UNREACHABLE: readonly (readonly [string, string, NotDirectCode])[] = [
  ['port', 'symmetric', 'symmetric-nat'],
  ['port', 'ipv6', 'address-family'],
  ['no-udp', 'symmetric', 'symmetric-nat'],
  ['no-udp', 'ipv6', 'address-family'],
  ['symmetric', 'ipv6', 'address-family'],
]
const INVITE_MS = 600_000
/** Slow enough to last until the path is direct, which takes some seconds on a free machine. */
const TRANSFER_S = 40
const TRANSFER_ON_LINE_S = 2

const SERVER = `const { createServer } = require('net'), { createHash } = require('crypto')
createServer({ allowHalfOpen: true }, (socket) => {
  const hash = createHash('sha256')
  socket.on('error', () => {}).on('data', (bytes) => hash.update(bytes)).on('end', () => socket.end(hash.digest('hex')))
}).listen(process.env.PORT, '127.0.0.1', () => console.log('the hash server listens'))`

/** Says hello and prints what comes back within 5 s. */
const ASKER = `const socket = require('net').connect({ port: +process.argv[1], allowHalfOpen: true })
socket.on('error', () => {}).setTimeout(5000, () => process.exit())
socket.end('hello')
socket.pipe(process.stdout)`

/** Sends for so many seconds and prints how much, and whether the hash that comes back is right. */
const SENDER = `const { connect } = require('net'), { createHash, randomBytes } = require('crypto')
const [port, seconds] = process.argv.slice(1).map(Number), end = Date.now() + seconds * 1000
const hash = createHash('sha256')
const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }), got = []
let sent = 0
const timer = setInterval(() => {
  if (Date.now() >= end) { clearInterval(timer); socket.end(); return }
  const piece = randomBytes(65536); hash.update(piece); sent += piece.length; socket.write(piece)
}, 20)
socket.on('data', (bytes) => got.push(bytes)).on('error', (problem) => { console.error(problem); process.exit(1) })
socket.on('end', () => {
  const isSame = Buffer.concat(got).toString() === hash.digest('hex')
  console.log(JSON.stringify({ mib: sent / 1048576, isSame }))
})`

export async function tellStories(
  fleet: LabFleet,
  network: LabNetwork,
  say: (text: string) => void,
): Promise<StoriesReport> {
  const pathBetween = async (a: string, b: string): Promise<string | null> =>
    (await fleet.node(a).control.status()).peers.find(({ name }) => name === b)?.path ?? null
  const untilPath = (a: string, b: string, wanted: 'direct' | 'relay'): Promise<boolean> =>
    until(`${a} reaches ${b}: ${wanted}`, async () => (await pathBetween(a, b)) === wanted, PATIENCE_MS)

  await untilPath('port', 'no-udp', 'direct')
  await untilPath('port', 'symmetric', 'relay')
  const pairs = await settledPairs(fleet)
  say('the paths have settled')
  await deploy(fleet, ['symmetric', 'no-udp'])

  const overRelay = await useOverRelay(fleet, network, String(await pathBetween('port', 'symmetric')))
  say('a service was used over a relay')

  const join = await joinOverRelay(fleet, network)
  say('a device joined over a relay')
  const forwarded = await askRouters(fleet, network, untilPath)
  say('routers forwarded ports')

  const meet = await network.part('port', 'no-udp')
  await untilPath('port', 'no-udp', 'relay')
  const began = String(await pathBetween('port', 'no-udp'))
  const sending = send(fleet, network, 'no-udp', TRANSFER_S)
  await meet()
  await untilPath('port', 'no-udp', 'direct')
  const ended = String(await pathBetween('port', 'no-udp'))
  say('the path became direct in the middle of a transfer')
  const upgrade = { began, ended, ...(await sending) }
  const sent = await sendOnLine(fleet, network)
  const overHole = { path: String(await pathBetween('port', 'no-udp')), ...sent }
  say('a line went through a hole')

  const relayReplacedS = await loseRelay(fleet, 'port', 'symmetric')
  say('a relay was replaced')
  const elected = await agreeOnLeader(fleet)
  say('all agree on a leader')
  const movedS = await move(fleet, network)
  return { pairs, overRelay, join, forwarded, upgrade, overHole, relayReplacedS, elected, movedS }
}

/** The pairs, once no two devices are without a path, and those that cannot be direct say why. */
function settledPairs(fleet: LabFleet): Promise<readonly PairReport[]> {
  const find = async () => {
    const pairs = await readMatrix(fleet)
    const apart = pairs.find(({ path }) => path === null)
    if (apart !== undefined) throw new Error(`${apart.a} and ${apart.b} have no path`)
    for (const [one, other, code] of UNREACHABLE) {
      const found = pairs.find(({ a, b }) => a === one && b === other)
      if (found?.path !== 'relay' || found.reasonCode !== code)
        throw new Error(`${one} and ${other}: ${found?.path}, ${found?.reasonCode}`)
    }
    return pairs
  }
  return until('every two devices are connected, or say why not directly', find, PATIENCE_MS)
}

const addressOn = (device: string): string => `lab.demo.hash-${device}.web.any.rr.local:7000`
const serviceOn = (device: string): string => `lab.demo.hash-${device}.web`

async function deploy(fleet: LabFleet, devices: readonly string[]): Promise<void> {
  const fieldsOf = (device: string) => ({
    cmd: ['node', '-e', SERVER],
    memory: 128,
    port: '7000',
    constraints: [{ type: 'direct', node: device }],
  })
  const services = Object.fromEntries(devices.map((device) => [serviceOn(device), fieldsOf(device)]))
  const { control } = fleet.node('port')
  await control.deploy(servicesDescriptor(services), { domain: null })
  const isRunning = async () =>
    (await control.instances()).filter(({ state }) => state === 'running').length === devices.length
  await until('the services run', isRunning, PATIENCE_MS)
}

/** Runs a program on a device; resolves with what it printed. */
async function run(network: LabNetwork, device: string, words: readonly string[]): Promise<string> {
  const [program = '', ...before] = network.on(device)
  const child = spawn(program, [...before, ...words], { stdio: ['ignore', 'pipe', 'inherit'] })
  return (await text(child.stdout)).trim()
}

async function useOverRelay(fleet: LabFleet, network: LabNetwork, path: string): Promise<StoriesReport['overRelay']> {
  const { control } = fleet.node('port')
  const done = new AbortController()
  const { port } = await control.forward(
    { address: addressOn('symmetric'), localPort: 0, protocol: 'tcp' },
    done.signal,
  )
  const ask = () => run(network, 'port', [process.execPath, '-e', ASKER, `${port}`])
  const answer = await until('the service answers', ask, PATIENCE_MS)
  const service = serviceOn('symmetric')
  const readLog = async (): Promise<string> => {
    const pieces: Uint8Array[] = []
    const request = { service, number: 0, follow: false, tail: null, sinceMs: null }
    for await (const piece of control.logs(request, AbortSignal.timeout(PATIENCE_MS))) pieces.push(piece)
    return Buffer.concat(pieces).toString()
  }
  const log = await until('its log is read', readLog, PATIENCE_MS)
  const exec = ['exec', '--data', fleet.node('port').dataDir, service, '--', 'node', '-p', '6 * 7']
  const runInside = () => run(network, 'port', [process.execPath, fleet.program, ...exec])
  const inside = await until('a program runs inside it', runInside, PATIENCE_MS)
  done.abort()
  const hears = async () =>
    (await control.nodes()).some(({ name, summary }) => name === 'symmetric' && summary !== null)
  return { path, answer, log, inside, isHeard: await until('it is heard of by gossip', hears, PATIENCE_MS) }
}

/** `late` joins where only a relay leads: to one behind a NAT that lets nobody in. */
async function joinOverRelay(fleet: LabFleet, network: LabNetwork): Promise<StoriesReport['join']> {
  const { control } = fleet.node('symmetric')
  const said = await fleet.join(LATE.name, network, await control.invite({ domain: null, uses: 1, ttlMs: INVITE_MS }))
  const isKnown = async () => (await control.nodes()).some(({ name, state }) => name === LATE.name && state === 'alive')
  return { said, isKnown: await until('who invited it knows it', isKnown, PATIENCE_MS) }
}

/** Devices behind routers that forward ports join, and one behind a symmetric NAT reaches them directly. */
async function askRouters(
  fleet: LabFleet,
  network: LabNetwork,
  untilPath: (a: string, b: string, wanted: 'direct') => Promise<boolean>,
): Promise<readonly ForwardedReport[]> {
  const reports: ForwardedReport[] = []
  for (const { name: device } of FORWARDED) {
    const invite = await fleet.node('public').control.invite({ domain: null, uses: 1, ttlMs: INVITE_MS })
    await fleet.join(device, network, invite)
    await untilPath('symmetric', device, 'direct')
    const directS = (Date.now() - fleet.node(device).memberAtMs) / 1_000
    const { reach, counters } = await fleet.node(device).control.status()
    const by = Object.keys(counters).filter((name) => name.startsWith('ports-forwarded-'))
    reports.push({ device, standing: reach.standing, path: 'direct', by, directS })
    await fleet.kill(device)
  }
  return reports
}

async function send(
  fleet: LabFleet,
  network: LabNetwork,
  to: string,
  seconds: number,
): Promise<{ readonly mib: number; readonly isSame: boolean }> {
  const done = new AbortController()
  const { port } = await fleet
    .node('port')
    .control.forward({ address: addressOn(to), localPort: 0, protocol: 'tcp' }, done.signal)
  const said = await run(network, 'port', [process.execPath, '-e', SENDER, `${port}`, `${seconds}`])
  done.abort()
  return JSON.parse(said || '{"mib":0,"isSame":false}')
}

/** Sends from `port` to `no-udp` until a transfer went over a line: the first tunnels may not wait for one. */
async function sendOnLine(fleet: LabFleet, network: LabNetwork): Promise<Omit<StoriesReport['overHole'], 'path'>> {
  const onLines = async (): Promise<number> =>
    (await fleet.node('port').control.status()).counters['tunnels-on-lines'] ?? 0
  const attempt = async () => {
    const before = await onLines()
    const sent = await send(fleet, network, 'no-udp', TRANSFER_ON_LINE_S)
    return (await onLines()) > before ? sent : null
  }
  return (await until('a line goes through a hole', attempt, PATIENCE_MS)) ?? { mib: 0, isSame: false }
}

/** Kills the relay between two nodes; seconds until either tells of another path between them. */
async function loseRelay(fleet: LabFleet, a: string, b: string): Promise<number> {
  const findRelay = async () => {
    const { peers } = await fleet.node(a).control.status()
    const via = peers.find(({ name }) => name === b)?.via
    const relay = peers.find(({ node }) => node === via)?.name
    return relay === undefined ? null : { via, relay }
  }
  const { via, relay } = await until(`${a} reaches ${b} over a relay`, findRelay, PATIENCE_MS)
  const killedAtMs = Date.now()
  await fleet.kill(relay)
  const next = await fleet.watch.find(killedAtMs, PATIENCE_MS, (seen) => {
    const told = pathsTold(seen).filter(
      ({ teller, to, via: through }) => ((teller === a && to === b) || (teller === b && to === a)) && through !== via,
    )
    return told[0]?.atMs ?? null
  })
  if (next === null) throw new Error(`nothing replaced the relay ${relay}`)
  return (next - killedAtMs) / 1_000
}

/** Voters reach each other over relays, too. Resolves when all know the same living leader. */
async function agreeOnLeader(fleet: LabFleet): Promise<StoriesReport['elected']> {
  const leaders = (): Promise<readonly (string | null)[]> =>
    Promise.all(
      [...fleet.nodes.values()].map(async ({ control }) => {
        const { domains, peers, node } = await control.status()
        const leader = domains.find(({ path }) => path === '/lab')?.leader ?? null
        return leader === node || peers.some((peer) => peer.node === leader && peer.path !== null) ? leader : null
      }),
    )
  const agreed = async () => {
    const all = await leaders()
    return all[0] !== null && new Set(all).size === 1 && all
  }
  const isPathRelayed = async () =>
    (await fleet.node('symmetric').control.status()).peers.find(({ name }) => name === 'port')?.path === 'relay'
  return {
    isPathRelayed: await until('two of them reach each other over a relay', isPathRelayed, PATIENCE_MS),
    leaders: await until('all know the same leader', agreed, PATIENCE_MS),
  }
}

/** Carries `no-udp` behind another router; seconds until `port` gets an answer from its service by name again. */
async function move(fleet: LabFleet, network: LabNetwork): Promise<number> {
  await network.move('no-udp', 'port-restricted')
  const movedAtMs = Date.now()
  const done = new AbortController()
  const { port } = await fleet
    .node('port')
    .control.forward({ address: addressOn('no-udp'), localPort: 0, protocol: 'tcp' }, done.signal)
  const isAnswered = async () => (await run(network, 'port', [process.execPath, '-e', ASKER, `${port}`])).length > 0
  try {
    await until('the service answers from its new network', isAnswered, PATIENCE_MS)
  } finally {
    // Or the end of the node would be told instead of what was waited for.
    done.abort()
  }
  return (Date.now() - movedAtMs) / 1_000
}

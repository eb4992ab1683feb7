// `npm run bench -- overlay`: what a tunnel costs, beside other ways of carrying the same bytes between the same two
// places in the same run. Absolute figures are the machine's; the ratios are ours.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createFleet, type Fleet, type FleetNode, until } from '../local/fleet.ts'
import { clientAt, createStagehands, openCarriers, openClient } from './carriers.ts'
import { type Figure, loadNow, median, worstOf } from './figures.ts'
import { benchColdNames } from './overlay-cold.ts'
import { addressOfEnds, deployEnds } from './overlay-ends.ts'
import { benchRelay } from './overlay-relay.ts'
import { cpuSeconds } from './process-cost.ts'
import type { Latencies, Way } from './traffic-ends.ts'
import { openTwoPlaces, type Place, type TwoPlaces } from './two-places.ts'

export const OVERLAY_PARTS: readonly string[] = ['memory', 'throughput', 'latency', 'names', 'tunnels', 'cold', 'relay']

export interface OverlayBenchOptions {
  readonly parts: readonly string[]
  /** How often each way is measured; the middle counts. */
  readonly runs: number
  /** Bytes carried each time, in MiB. */
  readonly mebibytes: number
  /** What Node is given for a node: the launcher of this checkout, or the bundle. */
  readonly program?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}

const MIB = 1_048_576
const NAME = addressOfEnds('ends')
const PORT = 7_000
const RELAYS = 'two plain relays'
const TLS_RELAYS = 'two relays, TLS between'
const READY_MS_MAX = 60_000
const STREAMS = [1, 8] as const
/** Enough openings for both ends to have compiled what they run: the tunnel is to be warm. */
const LATENCY = { openings: 1_000, requests: 2_000 }
/** One turn of each way, in each round. */
const LATENCY_TURN = { openings: 200, requests: 400 }
const QUESTIONS = 20_000
const TUNNELS_IDLE = 1_000
const MEMORY_BYTES = 1_000_000_000
/** A second or so of each; a guess, above what V8 needs to compile what is run all the time. */
const WARM_UP_BYTES = 256 * MIB
const SAMPLE_MS = 20
const PING_MS = 50

interface Stage {
  readonly places: TwoPlaces
  readonly fleet: Fleet
  readonly near: FleetNode
  readonly ours: Readonly<Record<string, Way>>
  readonly others: Readonly<Record<string, Way>>
  readonly dnsPort: number
}

/** Of `OVERLAY_PARTS`, those with a fleet of their own: of memory, as what others leave behind would count as well. */
const APART: readonly string[] = ['memory', 'cold', 'relay']

export async function benchOverlay(options: OverlayBenchOptions): Promise<readonly Figure[]> {
  const { parts, program } = options
  const together = parts.filter((part) => !APART.includes(part))
  return [
    ...(parts.includes('memory') ? await benchBetween({ ...options, parts: ['memory'] }) : []),
    ...(together.length === 0 ? [] : await benchBetween({ ...options, parts: together })),
    ...(parts.includes('cold') ? [await benchColdNames(program)] : []),
    ...(parts.includes('relay') ? await benchRelay(options) : []),
  ]
}

/** What is measured between two places. */
async function benchBetween(options: OverlayBenchOptions): Promise<readonly Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'coppice-bench-'))
  const places = openTwoPlaces()
  const hands = createStagehands()
  const placeOf = (name: string): Place => (name === 'near' ? places.near : places.far)
  const fleet = createFleet({
    baseDir: folder,
    clusters: [
      { path: '/far', names: ['far'] },
      { path: '/near', names: ['near'] },
    ],
    listenOf: (name) => `/ip4/${placeOf(name).address}/tcp/0`,
    prefixOf: (name) => placeOf(name).prefix,
    onProgress: console.error,
    ...(options.program && { program: options.program }),
    environmentOf: () => options.environment ?? {},
  })
  try {
    await fleet.start()
    const near = await readyNode(fleet, 'near')
    const ours = await deploy(near, folder)
    const { ways: others, missing } = await openCarriers(places, hands, folder)
    for (const name of missing) console.log(`${name}: not installed here, or not root`)
    const { proxies } = await near.control.status()
    const dnsPort = Number(proxies.dns?.split(':').at(-1))
    const stage: Stage = { places, fleet, near, ours, others, dnsPort }
    return await measure(stage, options)
  } finally {
    await fleet.stop()
    hands.stop()
    places.close()
    await rm(folder, { recursive: true, force: true })
  }
}

async function measure(stage: Stage, options: OverlayBenchOptions): Promise<readonly Figure[]> {
  const figures: Figure[] = []
  const isWanted = (part: string): boolean => options.parts.includes(part)
  if (isWanted('memory')) figures.push(...(await memory(stage)))
  if (isWanted('tunnels')) figures.push(...(await idleTunnels(stage)))
  if (isWanted('throughput')) {
    await warmUp(stage)
    for (const streams of STREAMS) figures.push(...(await throughput(stage, streams, options)))
  }
  if (isWanted('latency')) figures.push(...(await latencies(stage, options)))
  if (isWanted('names')) figures.push(await resolution(stage))
  return figures
}

async function readyNode(fleet: Fleet, name: string): Promise<FleetNode> {
  const node = fleet.named(name)
  await until(`${name} is ready`, async () => (await node.control.status()).ready, READY_MS_MAX, [node])
  return node
}

/** Runs the server as a service at the far place; resolves to the ways to it from the near one. */
async function deploy(near: FleetNode, folder: string): Promise<Readonly<Record<string, Way>>> {
  const byAddress = await deployEnds(near, folder, { name: 'ends', cluster: 'far', port: PORT })
  const { proxies } = await near.control.status()
  const through = (kind: 'http' | 'socks', at: string | null): Way => {
    const { hostname, port } = new URL(at ?? '')
    return { host: hostname, port: Number(port), proxy: { kind, target: `${NAME}:${PORT}` } }
  }
  return {
    'Coppice, loopback address': byAddress,
    'Coppice, HTTP proxy': through('http', proxies.http),
    'Coppice, SOCKS': through('socks', proxies.socks),
  }
}

/** What a process runs for the first time it also compiles: whichever way came first would pay for those behind it. */
async function warmUp({ places, ours, others }: Stage): Promise<void> {
  for (const way of Object.values({ ...others, ...ours }))
    await clientAt<number>(places.near, { kind: 'bulk', way, streams: 1, bytes: WARM_UP_BYTES })
}

/** Each way in turn, round after round; ratios are taken within a round. Control is asked meanwhile. */
async function throughput(
  { places, near, fleet, ours, others }: Stage,
  streams: 1 | 8,
  { runs, mebibytes }: OverlayBenchOptions,
): Promise<readonly Figure[]> {
  const rates = new Map<string, number[]>()
  const costs = new Map<string, Cost[]>()
  const far = fleet.named('far')
  const { node: farId } = await far.control.status()
  const pings: number[] = []
  const termOf = async () => (await near.control.status()).domains.find(({ path }) => path === '/')?.term ?? Number.NaN
  const term = await termOf()
  for (let run = 0; run < runs; run++) {
    for (const [name, way] of Object.entries({ ...others, ...ours })) {
      const pinging = name in ours ? ping(near, farId) : null
      const before = await cpuOf(near, far)
      const rate = await clientAt<number>(places.near, { kind: 'bulk', way, streams, bytes: mebibytes * MIB })
      if (name in ours) {
        const after = await cpuOf(near, far)
        const perMb = (side: keyof Cost): number => ((after[side] - before[side]) * 1e9) / (mebibytes * MIB)
        costs.set(name, [...(costs.get(name) ?? []), { near: perMb('near'), far: perMb('far') }])
      }
      pings.push(...((await pinging?.stop()) ?? []))
      console.error(`${name}: ${rate.toFixed(0)} MB/s`)
      rates.set(name, [...(rates.get(name) ?? []), rate])
    }
  }
  const relays = rates.get(RELAYS) ?? []
  const ratioTo = (base: readonly number[], name: string): number =>
    median((rates.get(name) ?? []).map((rate, run) => rate / (base[run] ?? Number.NaN)))
  console.log(`\n${streams === 1 ? 'One stream' : `${streams} streams`}, ${runs} rounds, ${loadNow()}:`)
  for (const [name, all] of rates) {
    const [rate, ratio] = [median(all).toFixed(0), ratioTo(relays, name).toFixed(2)]
    const ofTls = ratioTo(rates.get(TLS_RELAYS) ?? [], name).toFixed(2)
    console.log(
      `  ${name.padEnd(28)}${rate.padStart(7)} MB/s${ratio.padStart(7)} of ${RELAYS}, ${ofTls} of those with TLS` +
        costText(costs.get(name) ?? []),
    )
  }
  const ssh = rates.get('ssh -L')
  const atLeast = { bound: 'at least', unit: '' } as const
  const [first = ''] = Object.keys(ours)
  return [
    ...Object.keys(ours).map(
      (name): Figure => ({
        what: `${name}, ${streams} stream(s), of ${RELAYS}`,
        value: ratioTo(relays, name),
        target: streams === 1 ? 0.65 : 0.8,
        ...atLeast,
      }),
    ),
    ...(ssh === undefined || streams !== 1
      ? []
      : [{ what: `${first}, 1 stream, of ssh -L`, value: ratioTo(ssh, first), target: 1, ...atLeast }]),
    { what: `control meanwhile, ${streams} stream(s), worst of ${pings.length}`, value: worstOf(pings), ...SOON },
    { what: `terms of the root meanwhile, ${streams} stream(s)`, value: (await termOf()) - term, target: 0, unit: '' },
  ]
}

/** Processor time of both nodes: in seconds, or in ms for a MB (10^6 bytes). */
interface Cost {
  readonly near: number
  readonly far: number
}

const cpuOf = async (near: FleetNode, far: FleetNode): Promise<Cost> => ({
  near: await cpuSeconds(near),
  far: await cpuSeconds(far),
})

/** What a MB cost, which tells more than its rate where others use the machine. */
function costText(costs: readonly Cost[]): string {
  if (costs.length === 0) return ''
  const middle = (side: keyof Cost): string => median(costs.map((cost) => cost[side])).toFixed(2)
  return `; near ${middle('near')} and far ${middle('far')} ms of a core per MB`
}

/** A heartbeat that takes longer is late. */
const SOON = { target: 100, unit: 'ms' } as const

/** Measures round trips on the control connection again and again. */
function ping(node: FleetNode, to: string): { stop(): Promise<readonly number[]> } {
  const times: number[] = []
  let isStopped = false
  const done = (async () => {
    while (!isStopped) {
      times.push((await node.control.ping(to)).rttMs)
      await delay(PING_MS)
    }
  })()
  return {
    stop: async () => {
      isStopped = true
      await done
      return times
    },
  }
}

/** Each way in turn, round after round, once ours are warm; what a round has of other work counts for all. */
async function latencies({ places, ours, others }: Stage, { runs }: OverlayBenchOptions): Promise<readonly Figure[]> {
  const ways = Object.entries({ ...others, ...ours })
  const rounds = new Map<string, { readonly first: number; readonly request: number }[]>()
  for (const way of Object.values(ours)) await clientAt(places.near, { kind: 'latency', way, ...LATENCY })
  for (let run = 0; run < runs; run++) {
    for (const [name, way] of ways) {
      const { firstMs, requestMs } = await clientAt<Latencies>(places.near, { kind: 'latency', way, ...LATENCY_TURN })
      rounds.set(name, [...(rounds.get(name) ?? []), { first: median(firstMs), request: median(requestMs) }])
    }
  }
  const { openings, requests } = LATENCY_TURN
  console.log(`\nMedians of ${runs} rounds of ${openings} openings and ${requests} requests, ${loadNow()}:`)
  const relays = rounds.get(RELAYS) ?? []
  const measured = new Map<string, { readonly first: number; readonly request: number }>()
  for (const [name, all] of rounds) {
    const first = median(all.map((round) => round.first))
    const request = median(all.map((round) => round.request))
    const more = median(all.map((round, index) => round.first - (relays[index]?.first ?? Number.NaN)))
    measured.set(name, { first, request })
    console.log(
      `  ${name.padEnd(28)} first byte ${first.toFixed(2)} ms, ${more.toFixed(2)} ms more than ${RELAYS}; ` +
        `request ${request.toFixed(3)} ms`,
    )
  }
  const roundTrip = measured.get('TCP itself')?.request ?? Number.NaN
  return Object.keys(ours).flatMap((name): readonly Figure[] => {
    const { first, request } = measured.get(name) ?? { first: Number.NaN, request: Number.NaN }
    return [
      { what: `${name}, first byte of a warm tunnel`, value: first, target: roundTrip + 2, unit: 'ms' },
      { what: `${name}, request on an open tunnel`, value: request, target: 0.3, unit: 'ms' },
    ]
  })
}

async function resolution({ places, dnsPort }: Stage): Promise<Figure> {
  const task = { kind: 'names', port: dnsPort, name: NAME, questions: QUESTIONS } as const
  const value = await clientAt<number>(places.near, task)
  return { what: 'names from the cache', value, target: 10_000, bound: 'at least', unit: 'answers/s' }
}

async function memory({ places, fleet, ours }: Stage): Promise<readonly Figure[]> {
  const [way] = Object.values(ours)
  if (way === undefined) return []
  const before = await togetherBytes(fleet)
  let peak = before
  let isDone = false
  const sampled = (async () => {
    while (!isDone) {
      peak = Math.max(peak, await togetherBytes(fleet))
      await delay(SAMPLE_MS)
    }
  })()
  await clientAt<number>(places.near, { kind: 'bulk', way, streams: 1, bytes: MEMORY_BYTES })
  isDone = true
  await sampled
  const shared = await sharedBytes(fleet)
  console.log(
    `\nBoth nodes before a transfer of 1 GB: ${(before / MIB).toFixed(0)} MiB; ` +
      `of them pages of Node's program, counted once: ${(shared / MIB).toFixed(0)} MiB`,
  )
  return [{ what: 'both ends of 1 GB, resident together at most', value: peak / MIB, target: 200, unit: 'MiB' }]
}

async function idleTunnels({ places, fleet, ours }: Stage): Promise<readonly Figure[]> {
  const [way] = Object.values(ours)
  if (way === undefined) return []
  // What the first tunnels need is there already.
  await clientAt(places.near, { kind: 'latency', way, ...LATENCY })
  const before = await residentBytes(fleet)
  const client = openClient(places.near, { kind: 'idle', way, tunnels: TUNNELS_IDLE })
  const isOpen = async () => client.child.exitCode !== null || client.lines.includes('open')
  await until('all tunnels are open', isOpen, READY_MS_MAX)
  const grown = (await residentBytes(fleet)) - before
  client.child.stdin.end()
  await client.answer
  return [{ what: `an idle tunnel of ${TUNNELS_IDLE}`, value: grown / TUNNELS_IDLE / 1_000, target: 30, unit: 'kB' }]
}

/** Of both nodes, as the system counts it: pages that both have mapped count twice. */
const residentBytes = async (fleet: Fleet): Promise<number> =>
  (await statusBytes(fleet, 'VmRSS')).reduce((sum, bytes) => sum + bytes, 0)

/** What both nodes take of the memory of one device: a page that both have mapped is there once. */
const togetherBytes = async (fleet: Fleet): Promise<number> => (await residentBytes(fleet)) - (await sharedBytes(fleet))

/** Pages of files that both nodes have mapped: as many as the one with fewer of them has. */
const sharedBytes = async (fleet: Fleet): Promise<number> => Math.min(...(await statusBytes(fleet, 'RssFile')))

const statusBytes = (fleet: Fleet, field: 'VmRSS' | 'RssFile'): Promise<readonly number[]> =>
  Promise.all(
    fleet.nodes.map(async ({ process: { pid } }) => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8')
      return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1_024
    }),
  )

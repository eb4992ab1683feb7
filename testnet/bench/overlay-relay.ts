// What the way over a relay carries beside the direct one: a client on a device that is reached over a relay only calls
// the same server on the relay itself, and on another such device. All on this machine's loopback, where no hole can be
// punched, so the paths stay what they are.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFleet, type FleetNode, until } from '../local/fleet.ts'
import { clientAt } from './carriers.ts'
import { type Figure, loadNow, median } from './figures.ts'
import { deployEnds } from './overlay-ends.ts'
import type { Way } from './traffic-ends.ts'
import type { Place } from './two-places.ts'

const HERE: Place = { address: '127.0.0.1', prefix: [] }
const READY_MS_MAX = 60_000
const MIB = 1_048_576
const STREAMS = [1, 8] as const

export interface RelayBenchOptions {
  readonly runs: number
  readonly mebibytes: number
  readonly program?: readonly string[]
}

export async function benchRelay({ runs, mebibytes, program }: RelayBenchOptions): Promise<readonly Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'coppice-bench-'))
  const fleet = createFleet({
    baseDir: folder,
    clusters: [
      { path: '/open', names: ['open'] },
      { path: '/near', names: ['near'] },
      { path: '/far', names: ['far'] },
    ],
    listenOf: (name) => (name === 'open' ? '/ip4/127.0.0.1/tcp/0' : '/p2p-circuit'),
    flagsOf: (name) => (name === 'open' ? ['--relay'] : []),
    onProgress: console.error,
    ...(program && { program }),
  })
  try {
    await fleet.start()
    const near = fleet.named('near')
    const isReady = async () => (await Promise.all(fleet.nodes.map(({ control }) => control.status()))).every(isUp)
    await until('all are ready', isReady, READY_MS_MAX, fleet.nodes)
    const { node: far } = await fleet.named('far').control.status()
    const direct = await deployEnds(near, folder, { name: 'direct', cluster: 'open', port: 7_001 })
    const relayed = await deployEnds(near, folder, { name: 'relayed', cluster: 'far', port: 7_002 })
    const rates = await measure({ direct, relayed }, runs, mebibytes)
    const path = (await near.control.status()).peers.find(({ node }) => node === far)?.path
    if (path !== 'relay') throw new Error(`the path to the far device is ${path}; there is nothing to compare`)
    return STREAMS.map((streams): Figure => {
      const of = (name: string): readonly number[] => rates.get(`${name} ${streams}`) ?? []
      const value = median(of('relayed').map((rate, run) => rate / (of('direct')[run] ?? Number.NaN)))
      const what = `over a relay, ${streams} stream(s), of the direct path`
      return { what, value, target: 0.5, bound: 'at least', unit: '' }
    })
  } finally {
    await fleet.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

const isUp = ({ ready, domains }: Awaited<ReturnType<FleetNode['control']['status']>>): boolean =>
  ready && domains.every(({ leader }) => leader !== null)

/** In turn, so that each ratio is of one moment. */
async function measure(ways: Readonly<Record<string, Way>>, runs: number, mebibytes: number) {
  const rates = new Map<string, number[]>()
  for (let run = 0; run < runs; run++) {
    for (const streams of STREAMS) {
      for (const [name, way] of Object.entries(ways)) {
        const rate = await clientAt<number>(HERE, { kind: 'bulk', way, streams, bytes: mebibytes * MIB })
        console.error(`${name}, ${streams} stream(s): ${rate.toFixed(0)} MB/s (${loadNow()})`)
        rates.set(`${name} ${streams}`, [...(rates.get(`${name} ${streams}`) ?? []), rate])
      }
    }
  }
  return rates
}

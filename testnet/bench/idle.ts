// What nodes cost that do nothing: resident memory and processor time, alone, as one of three and of a hundred; and
// what they say to each other over each link.

import { spawnSync } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { FleetNode } from '../local/fleet.ts'
import { type Figure, loadNow, median, worstOf } from './figures.ts'
import { type LinkMeter, type LinkTraffic, meterLinks, SEGMENT_HEADER_BYTES } from './links.ts'
import { cpuSeconds, residentMb, shareMb } from './process-cost.ts'
import { type Leadership, onStage, type Stage, whole } from './stage.ts'

/** The bundle that ships, run as its launcher would: with few heaps, and what V8 compiled at an earlier start. */
const BUNDLE = new URL('../../dist/cli/main.js', import.meta.url).href
const START = `import('${BUNDLE}').then(({ main }) => main(process.argv.slice(1)))`
export const BUNDLED = ['-e', `require('node:module').enableCompileCache?.(); ${START}`, '--']
export const BUNDLED_ENVIRONMENT = { MALLOC_ARENA_MAX: '2' } as const
const BUILD = fileURLToPath(new URL('../../node/build.ts', import.meta.url))

/** After a start connections are still being made and stores compared: left to settle for so long. A guess. */
const SETTLE_MS = 60_000
const LINKS_READ_MS = 5_000
const HOUR_S = 3_600
const MB = 1_000_000
const CPU_PERCENT_MAX = 1

/** `lan` and `metered` of DESIGN section 7, in MB per hour and link. */
const LINK_MB_MAX: Readonly<Record<string, number>> = { lan: 10, metered: 1 }

export interface IdleOptions {
  readonly seconds: number
  readonly sizes: readonly number[]
  readonly isBundled: boolean
}

/** Builds the bundle of this checkout; a stale one would be measured otherwise. */
export function buildBundle(): void {
  const { status } = spawnSync(process.execPath, [BUILD], { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Error('the bundle could not be built')
}

/** Processor time and memory of each node of idle clusters, one size after the other. */
export async function benchIdle({ seconds, sizes, isBundled }: IdleOptions): Promise<readonly Figure[]> {
  if (isBundled) buildBundle()
  const figures: Figure[] = []
  for (const nodes of sizes) {
    const stage = { nodes, preset: 'lan', ...(isBundled && { program: BUNDLED, environment: BUNDLED_ENVIRONMENT }) }
    figures.push(...(await onStage(stage, (played) => idleCpu(played, seconds))))
  }
  return figures
}

async function idleCpu(stage: Stage, seconds: number): Promise<readonly Figure[]> {
  await whole(stage)
  await delay(SETTLE_MS)
  const { leader, others } = await whole(stage)
  stage.watch.close()
  const nodes = [leader, ...others]
  const percent = await cpuPercent(nodes, seconds)
  const memory = await Promise.all(nodes.map(residentMb))
  const shares = await Promise.all(nodes.map(shareMb))
  const size = nodes.length
  console.error(
    `one of ${size}, idle for ${seconds} s: ${median(memory).toFixed(0)} MiB resident ` +
      `(${median(shares).toFixed(0)} with shared pages divided), ` +
      `${percent.map((one) => one.toFixed(2)).join(' ')} % of a core, the leader first (${loadNow()})`,
  )
  const [ofLeader = Number.NaN, ...ofOthers] = percent
  const cpu = (what: string, value: number): Figure => ({ what, value, target: CPU_PERCENT_MAX, unit: '% of a core' })
  if (size === 1) return [cpu('cpu of an idle node alone', ofLeader)]
  return [
    cpu(`cpu of the idle leader of ${size}`, ofLeader),
    cpu(`cpu of an idle follower of ${size}, median`, median(ofOthers)),
    cpu(`cpu of an idle follower of ${size}, worst`, worstOf(ofOthers)),
  ]
}

async function cpuPercent(nodes: readonly FleetNode[], seconds: number): Promise<readonly number[]> {
  const before = await Promise.all(nodes.map(cpuSeconds))
  const from = performance.now()
  await delay(seconds * 1_000)
  const after = await Promise.all(nodes.map(cpuSeconds))
  const passedS = (performance.now() - from) / 1_000
  return after.map((cpu, index) => ((cpu - (before[index] ?? Number.NaN)) / passedS) * 100)
}

export interface LinkOptions {
  readonly preset: 'lan' | 'metered'
  readonly seconds: number
}

/** Bytes between each two of three idle nodes, extrapolated to an hour. */
export async function benchLinks({ preset, seconds }: LinkOptions): Promise<readonly Figure[]> {
  return await onStage({ nodes: 3, preset }, async (stage) => {
    await whole(stage)
    await delay(SETTLE_MS)
    const before = await whole(stage)
    stage.watch.close()
    const meter = meterLinks(stage.fleet.living())
    const passedS = await readFor(meter, seconds)
    const after = await whole(stage)
    if (after.leader !== before.leader) throw new Error('the leader changed while links were measured')
    return meter.links().map((link) => linkFigure(link, before, preset, passedS))
  })
}

async function readFor(meter: LinkMeter, seconds: number): Promise<number> {
  const from = performance.now()
  const passedS = (): number => (performance.now() - from) / 1_000
  meter.read()
  while (passedS() < seconds) {
    await delay(LINKS_READ_MS)
    meter.read()
  }
  return passedS()
}

function linkFigure(link: LinkTraffic, { leader }: Leadership, preset: string, passedS: number): Figure {
  const perHour = (bytes: number): number => (bytes / passedS) * (HOUR_S / MB)
  const whole = perHour(link.bytes + link.segments * SEGMENT_HEADER_BYTES)
  const kind = link.between.includes(leader.name) ? 'leader and elector' : 'elector and elector'
  const carried = `${link.segments} segments in ${passedS.toFixed(0)} s`
  const payload = `${perHour(link.bytes).toFixed(2)} MB of payload, ${carried}`
  return {
    what: `${preset}, between ${kind} (${link.between.join(', ')}): ${payload}; per hour with headers`,
    value: whole,
    target: LINK_MB_MAX[preset] ?? Number.NaN,
    unit: 'MB',
  }
}

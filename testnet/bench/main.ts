// `npm run bench -- election|failover|federation|idle|overlay|placement`: measurements on real processes. Figures in a
// README come from here. Where a figure has a target and misses it, the command ends with 1.

import { parseArgs } from 'node:util'
import { benchDocker } from './docker.ts'
import { benchElection, ELECTION_PARTS, ELECTION_PARTS_DEFAULT } from './election.ts'
import { benchFailover } from './failover.ts'
import { benchFederation, FEDERATION_PARTS } from './federation.ts'
import { isMet, lineOf } from './figures.ts'
import { BUNDLED, BUNDLED_ENVIRONMENT, benchIdle, buildBundle } from './idle.ts'
import { benchOverlay, OVERLAY_PARTS } from './overlay.ts'
import { measureCore } from './placement.ts'
import { benchSubmit } from './submit.ts'

const USAGE = `npm run bench -- election [--parts all|${ELECTION_PARTS.join(',')}]
                          (${ELECTION_PARTS_DEFAULT.join(',')})
  --runs N      leaders to lose in each way (50)
  --nodes N     nodes of that cluster (5)
  --verbose     each step of each run
  --minutes N   healthy: how long with every core busy (30)
  --hours N     steady: virtual hours (24)
  --loss N      steady: share of messages that get lost (0.05)
  --seconds N   idle, links: how long to measure (300; links of metered twice as long)
npm run bench -- failover [--runs N]
npm run bench -- federation [--parts charter,join,revoke] [--runs N] [--nodes N]
npm run bench -- placement --parts core,process,docker [--runs N]  (docker: under testnet/lab/with-docker.sh)
npm run bench -- idle [--sizes 1,3] [--seconds N] [--bundled]
npm run bench -- overlay [--parts ${OVERLAY_PARTS.join(',')}] [--runs N] [--mebibytes N] [--bundled]`

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    parts: { type: 'string', default: ELECTION_PARTS_DEFAULT.join() },
    runs: { type: 'string' },
    nodes: { type: 'string' },
    minutes: { type: 'string', default: '30' },
    seconds: { type: 'string' },
    sizes: { type: 'string', default: '1,3' },
    hours: { type: 'string', default: '24' },
    loss: { type: 'string', default: '0.05' },
    mebibytes: { type: 'string', default: '512' },
    bundled: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
})

async function election(): Promise<boolean> {
  const parts = values.parts === 'all' ? ELECTION_PARTS : values.parts.split(',')
  const unknown = parts.filter((part) => !ELECTION_PARTS.includes(part))
  if (unknown.length > 0) throw new Error(`no such part: ${unknown.join(', ')}`)
  return await benchElection({
    parts,
    runs: Number(values.runs ?? 50),
    nodes: Number(values.nodes ?? 5),
    minutes: Number(values.minutes),
    hours: Number(values.hours),
    loss: Number(values.loss),
    seconds: Number(values.seconds ?? 300),
    verbose: values.verbose,
  })
}

async function failover(): Promise<boolean> {
  const figures = await benchFailover(Number(values.runs ?? 20))
  for (const figure of figures) console.log(lineOf(figure))
  return figures.every(isMet)
}

async function idle(): Promise<boolean> {
  const sizes = values.sizes.split(',').map(Number)
  const figures = await benchIdle({ seconds: Number(values.seconds ?? 60), sizes, isBundled: values.bundled })
  for (const figure of figures) console.log(lineOf(figure))
  return figures.every(isMet)
}

const PLACEMENT_PARTS: readonly string[] = ['core', 'process', 'docker']

async function placement(): Promise<boolean> {
  const parts = values.parts.split(',')
  const unknown = parts.filter((part) => !PLACEMENT_PARTS.includes(part))
  if (unknown.length > 0)
    throw new Error(`no such part: ${unknown.join(', ')}; there are ${PLACEMENT_PARTS.join(', ')}`)
  const figures = [
    ...(parts.includes('core') ? measureCore() : []),
    ...(parts.includes('process') ? await benchSubmit(Number(values.runs ?? 20)) : []),
    ...(parts.includes('docker') ? await benchDocker(Number(values.runs ?? 10)) : []),
  ]
  for (const figure of figures) console.log(lineOf(figure))
  return figures.every(isMet)
}

async function overlay(): Promise<boolean> {
  const parts = values.parts === ELECTION_PARTS_DEFAULT.join() ? OVERLAY_PARTS : values.parts.split(',')
  const unknown = parts.filter((part) => !OVERLAY_PARTS.includes(part))
  if (unknown.length > 0) throw new Error(`no such part: ${unknown.join(', ')}; there are ${OVERLAY_PARTS.join(', ')}`)
  if (values.bundled) buildBundle()
  const figures = await benchOverlay({
    parts,
    runs: Number(values.runs ?? 5),
    mebibytes: Number(values.mebibytes),
    ...(values.bundled && { program: BUNDLED, environment: BUNDLED_ENVIRONMENT }),
  })
  console.log('')
  for (const figure of figures) console.log(lineOf(figure))
  return figures.every(isMet)
}

async function federation(): Promise<boolean> {
  const parts = values.parts === ELECTION_PARTS_DEFAULT.join() ? FEDERATION_PARTS : values.parts.split(',')
  const unknown = parts.filter((part) => !FEDERATION_PARTS.some((known) => known === part))
  if (unknown.length > 0) throw new Error(`no such part: ${unknown.join(', ')}`)
  const figures = await benchFederation({ parts, runs: Number(values.runs ?? 10), nodes: Number(values.nodes ?? 50) })
  for (const figure of figures) console.log(lineOf(figure))
  return figures.every(isMet)
}

const benches: Readonly<Record<string, () => Promise<boolean>>> = {
  election,
  failover,
  federation,
  idle,
  overlay,
  placement,
}
const bench = benches[positionals[0] ?? '']
if (bench === undefined) {
  console.error(USAGE)
  process.exitCode = 2
} else {
  process.exit((await bench()) ? 0 : 1)
}

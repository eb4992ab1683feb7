// `npm run bench -- election|failover|federation|idle|overlay|placement`: measurements on real processes. Figures in a
// README come from here. Where a figure has a target and misses it, the command ends with 1.

import { constants } from 'node:os'
import { parseArgs } from 'node:util'
import { benchDocker } from './docker.ts'
import { benchElection, ELECTION_PARTS, ELECTION_PARTS_DEFAULT } from './election.ts'
import { benchFailover } from './failover.ts'
import { benchFederation, FEDERATION_PARTS } from './federation.ts'
import { type Figure, isMet, lineOf } from './figures.ts'
import { BUNDLED, BUNDLED_ENVIRONMENT, benchIdle, buildBundle } from './idle.ts'
import { benchOverlay, OVERLAY_PARTS } from './overlay.ts'
import { measureCore } from './placement.ts'
import { benchSubmit } from './submit.ts'

const PLACEMENT_PARTS = ['core', 'process', 'docker']

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
npm run bench -- placement [--parts ${PLACEMENT_PARTS.join(',')}] [--runs N]
                          (core,process; docker: under testnet/lab/with-docker.sh)
npm run bench -- idle [--sizes 1,3] [--seconds N] [--no-bundled]
npm run bench -- overlay [--parts ${OVERLAY_PARTS.join(',')}] [--runs N] [--mebibytes N] [--no-bundled]
  --no-bundled  idle, overlay: the sources of this checkout instead of the bundle that ships`

const refuse = (problem: string): never => {
  console.error(`bench: ${problem}\n${USAGE}`)
  process.exit(2)
}

const readWords = () => {
  try {
    return parseArgs({
      allowPositionals: true,
      allowNegative: true,
      options: {
        parts: { type: 'string' },
        runs: { type: 'string' },
        nodes: { type: 'string' },
        minutes: { type: 'string' },
        seconds: { type: 'string' },
        sizes: { type: 'string', default: '1,3' },
        hours: { type: 'string' },
        loss: { type: 'string' },
        mebibytes: { type: 'string' },
        bundled: { type: 'boolean', default: true },
        verbose: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
  } catch (problem) {
    return refuse((problem as Error).message)
  }
}

const { positionals, values } = readWords()
if (values.help) {
  console.log(USAGE)
  process.exit()
}

/** A number above 0 that was asked for by name, or what is taken where nobody asked. */
function numberOf(name: 'runs' | 'nodes' | 'minutes' | 'seconds' | 'hours' | 'loss' | 'mebibytes', otherwise: number) {
  const number = Number(values[name] ?? otherwise)
  return number > 0 && Number.isFinite(number) ? number : refuse(`--${name} takes a number above 0`)
}

/** The parts that were asked for, or all, or those that are taken where nobody asked. */
function partsOf(known: readonly string[], otherwise = known): readonly string[] {
  if (values.parts === undefined) return otherwise
  if (values.parts === 'all') return known
  const parts = values.parts.split(',')
  const unknown = parts.filter((part) => !known.includes(part))
  return unknown.length === 0 ? parts : refuse(`no such part: ${unknown.join(', ')}; there are ${known.join(', ')}`)
}

const election = (): Promise<boolean> =>
  benchElection({
    parts: partsOf(ELECTION_PARTS, ELECTION_PARTS_DEFAULT),
    runs: numberOf('runs', 50),
    nodes: numberOf('nodes', 5),
    minutes: numberOf('minutes', 30),
    hours: numberOf('hours', 24),
    loss: numberOf('loss', 0.05),
    seconds: numberOf('seconds', 300),
    verbose: values.verbose,
  })

const failover = async (): Promise<boolean> => tell(await benchFailover(numberOf('runs', 20)))

const idle = async (): Promise<boolean> => {
  const sizes = values.sizes.split(',').map(Number)
  if (!sizes.every((size) => Number.isInteger(size) && size > 0)) refuse('--sizes takes numbers of nodes, as in 1,3')
  return tell(await benchIdle({ seconds: numberOf('seconds', 60), sizes, isBundled: values.bundled }))
}

async function placement(): Promise<boolean> {
  const parts = partsOf(PLACEMENT_PARTS, ['core', 'process'])
  return tell([
    ...(parts.includes('core') ? measureCore() : []),
    ...(parts.includes('process') ? await benchSubmit(numberOf('runs', 20)) : []),
    ...(parts.includes('docker') ? await benchDocker(numberOf('runs', 10)) : []),
  ])
}

async function overlay(): Promise<boolean> {
  const parts = partsOf(OVERLAY_PARTS)
  if (values.bundled) buildBundle()
  const started = values.bundled && { program: BUNDLED, environment: BUNDLED_ENVIRONMENT }
  const [runs, mebibytes] = [numberOf('runs', 5), numberOf('mebibytes', 512)]
  return tell(await benchOverlay({ parts, runs, mebibytes, ...started }))
}

const federation = async (): Promise<boolean> =>
  tell(
    await benchFederation({
      parts: partsOf(FEDERATION_PARTS),
      runs: numberOf('runs', 10),
      nodes: numberOf('nodes', 50),
    }),
  )

/** Prints each figure beside its target, and returns whether all are met. */
function tell(figures: readonly Figure[]): boolean {
  console.log('')
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
const [name = ''] = positionals
const bench = benches[name] ?? refuse(name === '' ? 'say what to measure' : `there is no bench ${name}`)
// Ended by a signal Node would tell nobody of its `exit`, and the fleet would run on.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(128 + constants.signals[signal]))
}
process.exit((await bench()) ? 0 : 1)

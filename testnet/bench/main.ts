// `npm run bench -- election|failover|idle`: measurements on real processes. Figures in a README come from here; only
// `election` knows what its figures should be, and ends with 1 when one is missed.

import { parseArgs } from 'node:util'
import { benchElection, ELECTION_PARTS } from './election.ts'
import { benchFailover } from './failover.ts'
import { benchIdle } from './idle.ts'

const USAGE = `npm run bench -- election [--parts ${ELECTION_PARTS.join(',')}] [--runs N] [--nodes N] [--verbose]
npm run bench -- failover [--runs N]
npm run bench -- idle [--seconds N] [--bundled]`

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    parts: { type: 'string', default: ELECTION_PARTS.join() },
    runs: { type: 'string' },
    nodes: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '60' },
    bundled: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
})

const benches: Readonly<Record<string, () => Promise<unknown>>> = {
  election: () =>
    benchElection({
      parts: values.parts.split(','),
      runs: Number(values.runs ?? 50),
      nodes: Number(values.nodes),
      verbose: values.verbose,
    }),
  failover: () => benchFailover(Number(values.runs ?? 10)),
  idle: () => benchIdle(Number(values.seconds), values.bundled),
}

const bench = benches[positionals[0] ?? '']
if (bench === undefined) {
  console.error(USAGE)
  process.exitCode = 2
} else {
  const isReached = await bench()
  process.exit(isReached === false ? 1 : 0)
}

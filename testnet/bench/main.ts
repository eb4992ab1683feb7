// `npm run bench -- failover [--runs N]` and `npm run bench -- idle [--bundled]`: measurements on real processes;
// `npm run bench -- steady [--hours N] [--loss SHARE]`: of elections in virtual time.
// Figures in a README come from here; nothing here passes or fails.

import { parseArgs } from 'node:util'
import { benchFailover } from './failover.ts'
import { benchIdle } from './idle.ts'
import { benchSteady } from './steady.ts'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '10' },
    hours: { type: 'string', default: '24' },
    loss: { type: 'string', default: '0.05' },
    seconds: { type: 'string', default: '60' },
    bundled: { type: 'boolean', default: false },
  },
})

const benches: Readonly<Record<string, () => Promise<void>>> = {
  failover: () => benchFailover(Number(values.runs)),
  idle: () => benchIdle(Number(values.seconds), values.bundled),
  steady: async () => benchSteady({ hours: Number(values.hours), loss: Number(values.loss) }),
}

const bench = benches[positionals[0] ?? '']
if (bench === undefined) {
  console.error(`Which? npm run bench -- ${Object.keys(benches).join('|')} [--runs N] [--seconds N] [--bundled]`)
  process.exitCode = 2
} else {
  await bench()
  process.exit(0)
}

// `npm run bench -- failover [--runs N]` and `npm run bench -- idle [--bundled]`: measurements on real processes.
// Figures in a README come from here; nothing here passes or fails.

import { parseArgs } from 'node:util'
import { benchFailover } from './failover.ts'
import { benchIdle } from './idle.ts'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '60' },
    bundled: { type: 'boolean', default: false },
  },
})

const benches: Readonly<Record<string, () => Promise<void>>> = {
  failover: () => benchFailover(Number(values.runs)),
  idle: () => benchIdle(Number(values.seconds), values.bundled),
}

const bench = benches[positionals[0] ?? '']
if (bench === undefined) {
  console.error(`Which? npm run bench -- ${Object.keys(benches).join('|')} [--runs N] [--seconds N] [--bundled]`)
  process.exitCode = 2
} else {
  await bench()
  process.exit(0)
}

// `npm run fuzz`: changed messages against everything that reads what comes from outside. Ends with 1 when one of them
// broke something, and says how to have it again.

import { parseArgs } from 'node:util'
import { allTargets } from './all-targets.ts'
import { type FuzzResult, GROWTH_MB_MAX, growthMb, runFuzz } from './run.ts'

const MESSAGES = 100_000
const BATCH_MESSAGES = 10_000
const INPUT_CHARS_MAX = 4_000

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: `${MESSAGES}` },
    seed: { type: 'string', default: '1' },
    target: { type: 'string', multiple: true },
    batch: { type: 'string' },
  },
})

const seed = Number(values.seed)
const targets = allTargets().filter(({ name }) => values.target?.includes(name) ?? true)
if (targets.length === 0) {
  console.error(
    `no such target; there are ${allTargets()
      .map(({ name }) => name)
      .join(', ')}`,
  )
  process.exit(2)
}
const began = performance.now()
const result = await runFuzz({
  seed,
  messages: Number(values.messages),
  targets,
  batchMessages: BATCH_MESSAGES,
  onlyBatch: values.batch === undefined ? undefined : Number(values.batch),
  onProgress: (text) => console.error(text),
})
report(result)
const isGrowing = growthMb(result.heapMb) > GROWTH_MB_MAX
process.exit(result.findings.length > 0 || isGrowing ? 1 : 0)

function report({ targets: sums, findings, heapMb, heapMbMost }: FuzzResult): void {
  for (const { name, messages, refused, worstMs } of sums) {
    const share = Math.round((100 * refused) / Math.max(1, messages))
    const figures = [`${messages} messages`, `${share} % refused`, `worst ${worstMs.toFixed(1)} ms`]
    console.log(`${name.padEnd(18)} ${figures.map((figure) => figure.padStart(18)).join(' ')}`)
  }
  const messages = sums.reduce((sum, one) => sum + one.messages, 0)
  const worst = Math.max(...sums.map((one) => one.worstMs))
  const seconds = Math.round((performance.now() - began) / 1_000)
  console.log(
    `${messages} messages in ${seconds} s: ${findings.length} findings, worst ${worst.toFixed(1)} ms, ` +
      `memory ${growthMb(heapMb).toFixed(1)} MB more at the end than before, ` +
      `at most ${Math.round(heapMbMost)} MB within a batch`,
  )
  for (const { target, batch, message, what, input } of findings) {
    console.log(`\n${target}, message ${message}: ${what}`)
    console.log(`again: npm run fuzz -- --seed ${seed} --target ${target} --batch ${batch}`)
    console.log(`input: ${Buffer.from(input).toString('base64').slice(0, INPUT_CHARS_MAX)}`)
  }
}

// A user's module in its own thread: it ranks when it behaves, and is replaced when it throws, hangs, or talks
// nonsense.

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { nodeId } from '../../overlay/kernel/ids.ts'
import { type Candidate, candidateOf } from '../candidate.ts'
import { NOTHING } from '../need.ts'
import { specOf, summaryOf } from '../placement-fixtures.ts'
import { bestFit } from '../plugins/best-fit.ts'
import { userScheduler } from '../user-scheduler.ts'
import { createSchedulerThread, JUDGE_MS_MAX } from './scheduler-thread.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coppice-scheduler-'))
})
after(() => rm(folder, { recursive: true }))

const candidate = (id: string, cores: number): Candidate =>
  candidateOf(
    { kind: 'node', child: nodeId(id), summary: summaryOf(id, { cores }) },
    { resources: NOTHING, own: NOTHING, isPlace: false, siblings: 0 },
    { path: '/a' as never, labels: [] },
  )
const candidates = [candidate('small', 2), candidate('large', 64)]

/** For an answer that comes at once on a free machine. */
const PATIENCE_MS = 60_000
/** For one that never comes. */
const JUDGE_MS = 50

/** What a module of that text says of the two candidates, twice, and what was reported. */
async function judged(name: string, source: string, judgeMsMax = PATIENCE_MS) {
  const file = join(folder, name)
  await writeFile(file, source)
  const thread = createSchedulerThread(pathToFileURL(file).href, { judgeMsMax })
  await thread.loaded
  const reported: string[] = []
  const plugin = userScheduler(name, thread, bestFit, (problem) => reported.push(problem))
  try {
    const spec = specOf()
    const [first, second] = [plugin.judge(spec, candidates), plugin.judge(spec, candidates)]
    return { first, second, reported, byDefault: bestFit.judge(spec, candidates) }
  } finally {
    await thread.close()
  }
}

test('a TypeScript module with filter and score ranks and refuses', async () => {
  const source = `
    interface Seen { readonly name: string; readonly total: { readonly vcpus: number } }
    export const filter = (_: unknown, { total }: Seen) => (total.vcpus < 4 ? 'too small for me' : null)
    export const score = (_: unknown, { name }: Seen) => ({ value: 0.75, reason: 'I like ' + name })`
  const { first, reported } = await judged('mine.ts', source)
  assert.deepEqual(reported, [])
  assert.deepEqual(first[0], {
    kind: 'refused',
    reason: { code: 'scheduler', count: 1, detail: 'too small for me' },
  })
  assert.deepEqual(first[1], { kind: 'scored', score: { value: 0.75, reason: 'I like device-large' } })
})

const BROKEN: readonly (readonly [string, string, RegExp])[] = [
  ['throws', `export const filter = () => null; export const score = () => { throw new Error('ouch') }`, /ouch/],
  ['hangs', `export const filter = () => null; export const score = () => { for (;;); }`, /did not answer within/],
  ['nonsense', `export const filter = () => null; export const score = () => ({ value: 7, reason: '' })`, /0 to 1/],
  ['wordless', `export const filter = () => null; export const score = () => ({ value: 0.5 })`, /without a reason/],
  ['empty', `export const filter = () => null`, /no functions filter and score/],
  ['unreadable', `export const = `, /cannot be loaded/],
  ['leaving', `setTimeout(() => process.exit(), 0); export const filter = () => null, score = () => null`, /./],
]

for (const [name, source, problem] of BROKEN) {
  test(`a module that is ${name} is reported once and replaced by the default`, async () => {
    const isSilent = name === 'hangs' || name === 'leaving'
    const start = performance.now()
    const { first, second, reported, byDefault } = await judged(`${name}.mjs`, source, isSilent ? JUDGE_MS : undefined)
    assert.equal(reported.length, 1)
    assert.match(reported[0] ?? '', problem)
    assert.deepEqual([first, second], [byDefault, byDefault])
    if (isSilent) assert.ok(performance.now() - start < PATIENCE_MS, 'the caller goes on')
  })
}

test('a thousand candidates are judged within ten times the bound of a free machine', async () => {
  const file = join(folder, 'many.mjs')
  await writeFile(file, `export const filter = () => null; export const score = () => ({ value: 0.5, reason: 'x' })`)
  const thread = createSchedulerThread(pathToFileURL(file).href, { judgeMsMax: 10 * JUDGE_MS_MAX })
  await thread.loaded
  const reported: string[] = []
  const plugin = userScheduler('many', thread, bestFit, (problem) => reported.push(problem))
  const many = Array.from({ length: 1_000 }, (_, index) => candidate(`n${index}`, 4))
  plugin.judge(specOf(), many.slice(0, 1))
  assert.equal(plugin.judge(specOf(), many).length, 1_000)
  assert.deepEqual(reported, [])
  await thread.close()
})

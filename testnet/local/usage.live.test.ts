// What one operator's service used on another one's device: the device signs it, and both sides come to the same sums
// from what it signed.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { UsageView } from '../../node/control.ts'
import { type Fleet, PATIENCE_MS, readyFleet, removeFolder, until } from './fleet.ts'
import { serviceDescriptor } from './service-fixture.ts'

const CLUSTERS = [
  { path: '/berlin', names: ['berlin-1'] },
  { path: '/rome', names: ['rome-1'], operator: 'Tiber Farms' },
]
const SERVICE = 'shop.demo.worker.web'
const ANSWER_BYTES = 200_000
const CPU_MS = 400
/** Answers with many bytes, after it has kept a core busy. */
const PROGRAM = `require('http').createServer((_, response) => {
  const until = process.cpuUsage().user + ${CPU_MS}e3
  while (process.cpuUsage().user < until);
  response.end('x'.repeat(${ANSWER_BYTES}))
}).listen(process.env.PORT, '127.0.0.1')`
/** Over in less than a second on a free machine: before anybody would have read what it uses. */
const LOOP = 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'
const JOB = 'shop.demo.sum.web'
const AT_ROME = { constraints: [{ type: 'clusters', allowed: ['/rome'] }] }

const USED = ['operator', 'owner', 'usedCpuSeconds', 'usedGbHours', 'carriedBytes'] as const

let baseDir = ''
let fleet: Fleet

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'usage-'))
  fleet = await readyFleet({ baseDir, clusters: CLUSTERS })
})

after(async () => {
  await fleet?.stop()
  await removeFolder(baseDir)
})

/** As many bytes as the service answered; 0 where it could not be called. */
async function call(): Promise<number> {
  const { proxies } = await fleet.named('berlin-1').control.status()
  const words = ['-sS', '--max-time', '60', '--proxy', proxies.http ?? '', `http://${SERVICE}.any.rr.local:8080/`]
  return await new Promise((resolve) => {
    execFile('curl', words, { maxBuffer: 2 * ANSWER_BYTES }, (problem, out) => resolve(problem ? 0 : out.length))
  })
}

const usageAt = async (name: string): Promise<readonly UsageView[]> => await fleet.named(name).control.usage()

/** What both sides say was used, once they say the same. */
function agreed(): Promise<Pick<UsageView, (typeof USED)[number]>> {
  const find = async () => {
    const sums = await Promise.all(
      ['berlin-1', 'rome-1'].map(async (name) =>
        (await usageAt(name)).map((usage) => Object.fromEntries(USED.map((field) => [field, usage[field]]))),
      ),
    )
    const [berlin, rome] = sums
    assert.deepEqual(berlin, rome)
    return berlin?.length === 1 && (berlin[0] as Pick<UsageView, (typeof USED)[number]>)
  }
  return until('both come to the same sums', find, PATIENCE_MS)
}

async function untilEnded(service: string): Promise<void> {
  const hasLastWord = async (name: string): Promise<boolean> =>
    (await fleet.named(name).control.audit(service)).some(({ step }) => step === 'ended')
  for (const { name } of fleet.nodes) await until('the last word has come', () => hasLastWord(name), PATIENCE_MS)
}

test('a service of one operator that worked on a device of another leaves both with the same signed sums', async () => {
  await fleet.named('rome-1').control.setPolicy(JSON.stringify({ rules: [{ runtimes: ['process'] }] }))
  await fleet
    .named('berlin-1')
    .control.deploy(serviceDescriptor(SERVICE, { ...AT_ROME, cmd: ['node', '-e', PROGRAM], port: '8080' }), {
      domain: null,
    })
  await until('it answers', async () => (await call()) === ANSWER_BYTES, PATIENCE_MS)
  await fleet.named('berlin-1').control.remove(SERVICE)
  await untilEnded(SERVICE)
  const sum = await agreed()
  assert.notEqual(sum.operator, sum.owner)
  assert.ok(sum.carriedBytes >= ANSWER_BYTES, `${sum.carriedBytes} bytes`)
  assert.ok(sum.usedCpuSeconds >= CPU_MS / 1_000 && sum.usedCpuSeconds < 60, `${sum.usedCpuSeconds} s`)
  assert.ok(sum.usedGbHours > 0 && sum.usedGbHours < 0.1, `${sum.usedGbHours} GB-hours`)
})

test('a job that is over before anybody looked is counted by both as well', async () => {
  const before = await agreed()
  await fleet
    .named('berlin-1')
    .control.deploy(serviceDescriptor(JOB, { ...AT_ROME, cmd: ['sh', '-c', LOOP], kind: 'job' }), { domain: null })
  await untilEnded(JOB)
  const { usedCpuSeconds } = await agreed()
  const more = usedCpuSeconds - before.usedCpuSeconds
  assert.ok(more > 0.02 && more < 60, `${more} s`)
})

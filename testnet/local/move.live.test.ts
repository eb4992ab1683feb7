// Moving a service under load on real processes: whoever calls it by name notices nothing. The tests are chapters of
// one story and run in order.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { InstanceView, IntakeView, MoveView, NodeView } from '../../node/control.ts'
import { answer, coppice, WAITING } from './command-fixture.ts'
import { type Fleet, PATIENCE_MS, readyFleet, removeFolder, until } from './fleet.ts'

const SERVICE = 'shop.demo.hello.web'
const URL_BY_NAME = `http://${SERVICE}.0.rr.local:8080/`
const DESCRIPTOR = join(import.meta.dirname, 'hello.json')
/** Between two calls of one caller. */
const CALL_GAP_MS = 10
/** The calls go on for so long after a move: callers that were not told yet still ask where it was. */
const AFTERWARDS_MS = 1_000
/** Of all callers while one instance moves, also when each call takes a second: who calls at all is not lucky. */
const CALLS_MIN = 20
/** Longer than a move takes on a loaded machine; it is told to end when the instance has moved. */
const WRK_S = 240

let baseDir = ''
let fleet: Fleet

const at = (name: string): readonly string[] => ['--data', fleet.named(name).dataDir]
const running = async (name: string): Promise<readonly InstanceView[]> =>
  (await fleet.named(name).control.instances()).filter((one) => one.service === SERVICE && one.state === 'running')
const home = (name: string): Promise<string> =>
  until('it runs on a device', async () => (await running(name))[0]?.name, PATIENCE_MS)
const runsOnce = async (name: string, isGood: (home: string) => boolean): Promise<boolean> => {
  const all = await running(name)
  return all.length === 1 && isGood(all[0]?.name ?? '')
}

function call(proxy: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(proxy)
    const headers = { host: new URL(URL_BY_NAME).host }
    const asked = request({ host: hostname, port, path: URL_BY_NAME, agent: false, headers })
    asked.once('error', reject)
    asked.once('response', (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject)
    })
    asked.end()
  })
}

/** Calls by name from each device, one call after the other, until the work is done; what did not answer is told. */
async function underLoad(work: () => Promise<void>): Promise<{ readonly calls: number; readonly failed: string[] }> {
  const stop = new AbortController()
  const failed: string[] = []
  let calls = 0
  const callers = fleet.living().map(async ({ name, control }) => {
    const { http } = (await control.status()).proxies
    assert.ok(http !== null)
    while (!stop.signal.aborted) {
      calls += 1
      const outcome = await call(http).catch((problem: unknown) => ({ status: 0, body: String(problem) }))
      if (outcome.status !== 200) failed.push(`${name}: ${outcome.status} ${outcome.body.slice(0, 200)}`)
      await delay(CALL_GAP_MS)
    }
  })
  try {
    await work()
  } finally {
    stop.abort()
    await Promise.all(callers)
  }
  return { calls, failed }
}

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'moves-'))
  fleet = await readyFleet({
    baseDir,
    clusters: [
      { path: '/a', names: ['a1', 'a2', 'a3'] },
      { path: '/b', names: ['b1', 'b2'] },
    ],
  })
  await answer('deploy', DESCRIPTOR, ...WAITING, ...at('a1'))
  await answer('scale', SERVICE, '1', ...at('b2'))
  await until('one runs', () => runsOnce('a1', () => true), PATIENCE_MS)
})

after(async () => {
  await fleet?.stop()
  await removeFolder(baseDir)
})

test('an instance that is migrated inside its cluster fails no call', async () => {
  const from = await home('a1')
  const to = ['a1', 'a2', 'a3', 'b1', 'b2'].find((name) => name !== from && name[0] === from[0]) ?? ''
  const { calls, failed } = await underLoad(async () => {
    const moved = await answer<MoveView>('migrate', `${SERVICE}#0`, '--to', to, ...WAITING, ...at('a1'))
    assert.equal(moved.moves[0]?.outcome, 'moving')
    await until('the old one ended', () => runsOnce('a1', (name) => name === to), PATIENCE_MS)
    await delay(AFTERWARDS_MS)
  })
  assert.deepEqual(failed, [], `of ${calls} calls`)
  assert.ok(calls >= CALLS_MIN, `${calls} calls`)
})

test('wrk, which calls through the proxy all the while, has no call that failed while an instance moves', async (t) => {
  const { http } = (await fleet.named('b2').control.status()).proxies
  const script = join(baseDir, 'by-name.lua')
  await writeFile(script, `wrk.path = "${URL_BY_NAME}"\nwrk.headers["Host"] = "${new URL(URL_BY_NAME).host}"\n`)
  const words = ['-t', '1', '-c', '8', '-d', `${WRK_S}s`, '--timeout', '60s', '-s', script, `${http}/`]
  const wrk = spawn('wrk', words, { stdio: ['ignore', 'pipe', 'inherit'] })
  const said = text(wrk.stdout)
  try {
    const from = await home('a1')
    const to = ['a1', 'a2', 'a3', 'b1', 'b2'].find((name) => name !== from && name[0] === from[0]) ?? ''
    await answer<MoveView>('migrate', `${SERVICE}#0`, '--to', to, ...WAITING, ...at('a1'))
    await until('the old one ended', () => runsOnce('a1', (name) => name === to), PATIENCE_MS)
    await delay(AFTERWARDS_MS)
    assert.equal(wrk.exitCode, null, 'it moved while wrk was calling')
  } finally {
    wrk.kill('SIGINT')
  }
  const out = await said
  t.diagnostic(out)
  assert.ok(Number(/(\d+) requests in/.exec(out)?.[1]) >= CALLS_MIN, out)
  assert.doesNotMatch(out, /Socket errors|Non-2xx/)
})

test('an instance that is migrated to another cluster fails no call', async () => {
  const from = await home('a1')
  const to = from.startsWith('a') ? '/b' : '/a'
  const { calls, failed } = await underLoad(async () => {
    await answer<MoveView>('migrate', SERVICE, '--to', to, ...WAITING, ...at('b1'))
    await until('the old one ended', () => runsOnce('a1', (name) => name.startsWith(to.slice(1))), PATIENCE_MS)
    await delay(AFTERWARDS_MS)
  })
  assert.deepEqual(failed, [], `of ${calls} calls`)
})

test('what nobody can take is refused with the reasons, and stays', async () => {
  const from = await home('a1')
  // Whoever decides it may change meanwhile, and the question be lost with it.
  const isRefused = async (): Promise<boolean> => {
    const { exitCode, stderr } = await coppice('migrate', SERVICE, '--to', 'nowhere', ...at('a2'))
    assert.equal(exitCode, 1)
    return /not meant by --to nowhere/.test(stderr)
  }
  await until('it is refused', isRefused, PATIENCE_MS)
  assert.equal(await home('a1'), from)
})

test('a device that is drained is empty in the end, leads nothing, and fails no call', async () => {
  const from = await home('a1')
  const other = from === 'a2' ? 'a3' : 'a2'
  const { calls, failed } = await underLoad(async () => {
    await answer<IntakeView>('drain', from, ...at(other))
    const isEmpty = async (): Promise<boolean> => {
      const { instances, leads } = await fleet.named(other).control.intake(from, null)
      return instances === 0 && leads.length === 0
    }
    await until('it is empty', isEmpty, PATIENCE_MS)
    const drained = await answer<IntakeView>('drain', from, ...WAITING, ...at(from))
    assert.deepEqual([drained.intake, drained.instances, drained.leads], ['draining', 0, []])
    await until('it runs elsewhere', () => runsOnce(other, (name) => name !== from && name !== ''), PATIENCE_MS)
    await delay(AFTERWARDS_MS)
  })
  assert.deepEqual(failed, [], `of ${calls} calls`)
  const isTold = async (): Promise<boolean> =>
    (await fleet.named(from).control.nodes()).find(({ name }) => name === from)?.summary?.intake === 'draining'
  await until('it says of itself that it is drained', isTold, PATIENCE_MS)
})

test('a closed device stays closed over a restart, and takes work again when it is opened', async () => {
  const closed = (await Promise.all(fleet.living().map(({ control }) => control.status()))).find(
    ({ intake }) => intake === 'draining',
  )
  assert.ok(closed !== undefined)
  const before = fleet.named(closed.name)
  await fleet.terminate(before)
  const again = fleet.restart(before)
  await until('it is back', async () => (await again.control.status()).ready, PATIENCE_MS)
  assert.equal((await again.control.status()).intake, 'draining')
  const opened = await answer<IntakeView>('uncordon', closed.name, '--data', again.dataDir)
  assert.equal(opened.intake, 'open')
  const nodes: readonly NodeView[] = await again.control.nodes()
  assert.equal(nodes.find(({ name }) => name === closed.name)?.name, closed.name)
  assert.equal((await again.control.status()).intake, 'open')
})

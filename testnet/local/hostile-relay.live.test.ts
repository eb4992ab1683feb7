// Two devices that reach each other over a relay alone, and the relay is a member that delays, changes and loses what
// it carries (hostile-relay.ts), until another one carries too. Each chapter finds the fleet as the one before left
// it. Whoever calls gets what was answered, late at times, or an error: never anything else.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import type { PeerView, StatusView } from '../../node/control.ts'
import { coppice } from './command-fixture.ts'
import { type Fleet, PATIENCE_MS, readyFleet, removeFolder, until } from './fleet.ts'
import { MEDDLING_DELAY_MS, meddle, meddledWith, meddlingBy } from './hostile-relay.ts'
import { serviceDescriptor } from './service-fixture.ts'

const MIB = 1_048_576
/** Enough for dozens of pieces on the way, each of which may be changed. */
const ANSWER_BYTES = 4 * MIB
/** A call that hangs is one that fails. */
const CALL_MS_MAX = 10_000
/** An honest node may keep so much more afterwards, once the collector has been there. A guess. */
const GROWTH_MB_MAX = 160
const SERVICE = 'shop.demo.bulk.web'
const ADDRESS = `${SERVICE}.any.rr.local:8080`
/** Answers each request with the same bytes, which follow from nothing but their length. */
const PROGRAM = `const bytes = Buffer.alloc(${ANSWER_BYTES})
for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32BE((at * 2654435761) >>> 0, at)
require('http').createServer((_, response) => response.end(bytes)).listen(process.env.PORT, '127.0.0.1')`
const DESCRIPTOR = serviceDescriptor(SERVICE, {
  cmd: ['node', '-e', PROGRAM],
  port: '8080',
  constraints: [{ type: 'direct', node: 'far' }],
})

let baseDir = ''
let meddling = ''
let fleet: Fleet
/** Who carries, of those that are started from now on. */
const carriers = new Set(['mallory'])
let residentBefore: readonly number[]

const status = (name: string): Promise<StatusView> => fleet.named(name).control.status()

/** How near sees far. */
async function pathToFar(): Promise<PeerView | undefined> {
  const [{ peers }, far] = await Promise.all([status('near'), status('far')])
  return peers.find((peer) => peer.node === far.node)
}

async function goesOver(name: string): Promise<void> {
  const { node: relay } = await status(name)
  const isSo = async (): Promise<boolean> => {
    const { path = null, via = null } = (await pathToFar()) ?? {}
    return path === 'relay' && via === relay
  }
  await until(`near sees far over ${name}`, isSo, PATIENCE_MS)
}

/** The answer of the service as near's proxy gives it; rejects where it is an error, not whole, or does not come. */
async function call(): Promise<Buffer> {
  const { hostname, port } = new URL((await status('near')).proxies.http ?? '')
  return await new Promise((resolve, reject) => {
    const path = `http://${ADDRESS}/`
    const asked = request({ host: hostname, port, path, agent: false, headers: { host: ADDRESS } })
    const late = setTimeout(() => asked.destroy(new Error('no answer')), CALL_MS_MAX)
    const end = (problem: unknown): void => {
      clearTimeout(late)
      reject(problem)
    }
    asked.once('error', end)
    asked.once('response', (response) => {
      buffer(response).then((bytes) => {
        if (response.statusCode !== 200) return end(new Error(`${response.statusCode}: ${bytes}`))
        clearTimeout(late)
        resolve(bytes)
      }, end)
    })
    asked.end()
  })
}

/** How often the channel on which they call each other was broken, as the one of both says that saw less of it. */
const brokenLines = async (): Promise<number> =>
  Math.min(...(await Promise.all(['near', 'far'].map(status))).map(({ counters }) => counters['lines-broken'] ?? 0))

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

function expected(): string {
  const bytes = Buffer.alloc(ANSWER_BYTES)
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32BE((at * 2_654_435_761) >>> 0, at)
  return hashOf(bytes)
}

/** Whether the service answered; what came, if anything did, is what it said. */
async function isAnswered(): Promise<boolean> {
  const bytes = await call().catch(() => null)
  if (bytes !== null) assert.equal(hashOf(bytes), expected(), 'what arrives whole is what was said')
  return bytes !== null
}

const answers = (): Promise<true> => until('the service answers', async () => (await isAnswered()) && true, PATIENCE_MS)
const fails = (): Promise<true> => until('a call fails', async () => !(await isAnswered()) && true, PATIENCE_MS)

async function residentMb(name: string): Promise<number> {
  const text = await readFile(`/proc/${fleet.named(name).process.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(text)?.[1]) / 1_024
}

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'hostile-relay-'))
  meddling = join(baseDir, 'meddling')
  meddle(meddling, 'none')
  const listensNowhere = ['near', 'far']
  fleet = await readyFleet({
    baseDir,
    clusters: [{ path: '/a', names: ['mallory', 'spare', 'near', 'far'] }],
    listenOf: (name) => (listensNowhere.includes(name) ? '/p2p-circuit' : '/ip4/127.0.0.1/tcp/0'),
    flagsOf: (name) => (carriers.has(name) ? ['--relay'] : ['--no-relay']),
    environmentOf: (name) => (name === 'mallory' ? meddlingBy(meddling) : {}),
  })
  await fleet.named('near').control.deploy(DESCRIPTOR, { domain: null })
  await answers()
  residentBefore = await Promise.all(listensNowhere.map(residentMb))
})

after(async () => {
  await fleet?.stop()
  await removeFolder(baseDir)
})

test('the only way leads over the relay, which carries the calls', async () => {
  await goesOver('mallory')
  assert.equal(meddledWith(meddling), 0)
})

test('a relay that holds everything up has calls answered late, and whole', async (t) => {
  meddle(meddling, 'delay')
  const from = performance.now()
  await answers()
  t.diagnostic(`${(performance.now() - from).toFixed(0)} ms`)
  assert.ok(performance.now() - from >= MEDDLING_DELAY_MS)
  assert.ok(meddledWith(meddling) > 0)
  meddle(meddling, 'none')
})

test('a relay that changes what it carries ends transfers, and nothing that was changed arrives', async (t) => {
  const before = meddledWith(meddling)
  const brokenBefore = await brokenLines()
  meddle(meddling, 'tamper')
  await fails()
  const changed = meddledWith(meddling) - before
  t.diagnostic(`${changed} pieces were changed`)
  assert.ok(changed > 0)
  await until('both ends count it', async () => (await brokenLines()) > brokenBefore, PATIENCE_MS)
  meddle(meddling, 'none')
  await answers()
})

test('a relay that loses everything is found out: the caller is told, and the path is none', async () => {
  meddle(meddling, 'drop')
  await fails()
  const isApart = async (): Promise<boolean> => {
    const { path = null } = (await pathToFar()) ?? {}
    if (path !== null) throw new Error(`the path is ${path}`)
    return true
  }
  await until('near finds that it does not reach far', isApart, PATIENCE_MS)
  const { stderr } = await coppice('ping', (await status('far')).node, '--data', fleet.named('near').dataDir)
  assert.notEqual(stderr, '', 'and says so')
})

test('as soon as another member carries, the calls go over it, whatever the first one does', async () => {
  await fleet.terminate(fleet.named('spare'))
  carriers.add('spare')
  fleet.restart(fleet.named('spare'))
  await answers()
  await goesOver('spare')
})

test('no honest node has grown by any of it', async () => {
  const isSmall = async (): Promise<boolean> => {
    const now = await Promise.all(['near', 'far'].map(residentMb))
    const grown = now.map((mb, index) => mb - (residentBefore[index] ?? 0))
    if (Math.max(...grown) > GROWTH_MB_MAX) throw new Error(`they grew by ${grown.map(Math.round).join(' and ')} MB`)
    return true
  }
  await until('they are about as large as before', isSmall, PATIENCE_MS)
})

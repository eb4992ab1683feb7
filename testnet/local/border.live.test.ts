// What another operator's people can do with a service, with real processes: nothing, and no word of whether there is
// one; then what its operator's policy lets them, deed by deed; and nothing again once that is taken back.

import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { coppice } from './command-fixture.ts'
import { type Fleet, PATIENCE_MS, readyFleet, removeFolder, until } from './fleet.ts'
import { serviceDescriptor } from './service-fixture.ts'

const CLUSTERS = [
  { path: '/berlin', names: ['berlin-1'] },
  { path: '/rome', names: ['rome-1'], operator: 'Tiber Farms' },
]
const [SERVICE, NOBODYS] = ['shop.demo.hello.web', 'shop.demo.other.web']
const PROGRAM = `console.log('a line of the log')
require('http').createServer((_, response) => response.end('hello')).listen(process.env.PORT, '127.0.0.1')`
const DESCRIPTOR = serviceDescriptor(SERVICE, {
  cmd: ['node', '-e', PROGRAM],
  port: '8080',
  constraints: [{ type: 'clusters', allowed: ['/berlin'] }],
})
/** What somebody of the other operator would try, each for a service. */
const DEEDS: readonly ((service: string) => readonly string[])[] = [
  (service) => ['inspect', service],
  (service) => ['logs', service],
  (service) => ['exec', service, '--', 'true'],
  (service) => ['scale', service, '3'],
  (service) => ['policy', 'explain', service, 'rome-1'],
]

let baseDir = ''
let fleet: Fleet

const atRome = (...words: readonly string[]) =>
  coppice(words[0] ?? '', '--data', fleet.named('rome-1').dataDir, ...words.slice(1))
const allow = (may: readonly string[]): Promise<unknown> =>
  fleet.named('berlin-1').control.setPolicy(JSON.stringify({ rules: [{ operators: ['Tiber Farms'], may }] }))

/** What rome's people hear when they call it; the reason where they do not get through. */
async function called(service: string): Promise<string> {
  const { hostname, port } = new URL((await fleet.named('rome-1').control.status()).proxies.http ?? '')
  const host = `${service}.any.rr.local:8080`
  return await new Promise((resolve, reject) => {
    const asked = request({ host: hostname, port, path: `http://${host}/`, agent: false, headers: { host } })
    asked.once('error', reject)
    asked.once('response', (response) => text(response).then(resolve, reject))
    asked.end()
  })
}

/** Each deed, and a call, as it comes out for a service, with its name taken out. */
async function outcomes(service: string): Promise<readonly string[]> {
  const all: string[] = []
  for (const deed of DEEDS) {
    const { exitCode, stdout, stderr } = await atRome(...deed(service))
    all.push(`${exitCode} ${stdout} ${stderr}`)
  }
  return [...all, await called(service)].map((one) =>
    one.replaceAll(service, 'SERVICE').replaceAll(short(service), 'S'),
  )
}
const short = (service: string): string => service.split('.')[2] ?? ''

/** Until rome cannot tell the service from one that nobody has. */
async function isHidden(): Promise<boolean> {
  assert.deepEqual(await outcomes(SERVICE), await outcomes(NOBODYS))
  return true
}

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'border-'))
  fleet = await readyFleet({ baseDir, clusters: CLUSTERS })
  await fleet.named('berlin-1').control.deploy(DESCRIPTOR, { domain: null })
  const runs = async (): Promise<boolean> =>
    (await fleet.named('berlin-1').control.instances()).some(({ state }) => state === 'running')
  await until('it runs', runs, PATIENCE_MS)
})

after(async () => {
  await fleet?.stop()
  await removeFolder(baseDir)
})

test('to another operator’s people it is as if there were none', async () => {
  const all = await outcomes(SERVICE)
  assert.ok(
    all.slice(0, -1).every((one) => one.startsWith('1 ')),
    all.join('\n'),
  )
  assert.deepEqual(all, await outcomes(NOBODYS))
})

test('let reach it they call it, and still read no logs and run nothing in it', async () => {
  await allow(['reach'])
  await until('the call gets through', async () => (await called(SERVICE)) === 'hello', PATIENCE_MS)
  for (const words of [
    ['logs', SERVICE],
    ['exec', SERVICE, '--', 'echo', 'inside'],
  ]) {
    const { exitCode, stdout, stderr } = await atRome(...words)
    assert.deepEqual([exitCode === 0, stdout], [false, ''], words.join(' '))
    assert.notEqual(stderr, '')
  }
})

test('let read its logs and run programs they do, and nobody else decides over it', async () => {
  await allow(['reach', 'logs', 'exec'])
  const reads = async (): Promise<boolean> => /a line of the log/.test((await atRome('logs', SERVICE)).stdout)
  await until('the log is read', reads, PATIENCE_MS)
  const runs = async (): Promise<boolean> =>
    (await atRome('exec', SERVICE, '--', 'echo', 'inside')).stdout.trim() === 'inside'
  await until('a program is run', runs, PATIENCE_MS)
  for (const words of [
    ['scale', SERVICE, '3'],
    ['rm', SERVICE],
    ['migrate', SERVICE],
  ]) {
    const { exitCode, stderr } = await atRome(...words)
    assert.equal(exitCode, 1, words.join(' '))
    assert.match(stderr, /another operator/)
  }
  assert.equal((await fleet.named('berlin-1').control.instances()).length, 1)
  assert.equal(await called(SERVICE), 'hello')
})

test('once it is taken back, there is nothing again', async () => {
  await allow([])
  await until('it is hidden again', isHidden, PATIENCE_MS)
})

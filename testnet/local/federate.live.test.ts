// Two federations of one operator that grew apart become one, with real processes: names that collide are told before
// anything changes, then the devices of one go over into the other, as who they are and with what they run. The tests
// are chapters of one story.

import assert from 'node:assert/strict'
import { copyFile, mkdir, mkdtemp, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { OPERATOR_KEY_FILE } from '../../bootstrap/io/key-file.ts'
import { type Fleet, type FleetNode, PATIENCE_MS, removeFolder, startFleet, until } from './fleet.ts'

const DESCRIPTOR = join(import.meta.dirname, 'hello.json')
const SERVICE = 'shop.demo.hello.web'

let baseDir = ''
let here: Fleet
let there: Fleet

const allReady = (fleet: Fleet): Promise<boolean> =>
  Promise.all(fleet.living().map(({ control }) => control.status())).then((all) => all.every(({ ready }) => ready))

const runningIn = async ({ control }: FleetNode) =>
  (await control.instances()).filter(({ service, state }) => service === SERVICE && state === 'running')

/** What the operating system runs for a fleet: the process of each instance, with when it began. */
async function processesOf(fleet: Fleet): Promise<readonly string[]> {
  const all = fleet.nodes.map(async ({ dataDir }) => {
    const folder = join(dataDir, 'instances')
    const names = await readdir(folder).catch(() => [])
    return Promise.all(names.map((name) => readFile(join(folder, name, 'process'), 'utf8').catch(() => '')))
  })
  // What begins or goes away at this moment has no process yet, or none any more.
  const texts = (await Promise.all(all)).flat()
  return texts.filter((text) => text !== '').sort()
}

const invited = (): Promise<string> =>
  there.named('berlin-1').control.invite({ domain: null, uses: 1, ttlMs: 3_600_000 })

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'federate-'))
  const quiet = { onProgress: () => undefined }
  const clusters = [{ path: '/berlin', names: ['berlin-1', 'berlin-2'] }]
  there = await startFleet({ baseDir: join(baseDir, 'there'), clusters, ...quiet })
  // The operator had its key with it when it founded the second federation out in the field.
  const folder = join(baseDir, 'here', 'rome-1')
  await mkdir(folder, { recursive: true })
  await copyFile(join(baseDir, 'there', 'berlin-1', OPERATOR_KEY_FILE), join(folder, OPERATOR_KEY_FILE))
  here = await startFleet({
    baseDir: join(baseDir, 'here'),
    clusters: [
      { path: '/rome', names: ['rome-1', 'rome-2'] },
      { path: '/oslo', names: ['oslo-1'] },
    ],
    ...quiet,
  })
  await until('all are ready', async () => (await allReady(here)) && (await allReady(there)), PATIENCE_MS)
})

after(async () => {
  await here?.stop()
  await there?.stop()
  await removeFolder(baseDir)
})

test('a service that both have is told of before anything changes', async () => {
  const [rome, berlin] = [here.named('rome-1'), there.named('berlin-1')]
  const descriptor = await readFile(DESCRIPTOR, 'utf8')
  await berlin.control.deploy(descriptor, { domain: null })
  await rome.control.deploy(descriptor, { domain: null })
  await until('both run it here', async () => (await runningIn(rome)).length === 2, PATIENCE_MS)
  const before = (await rome.control.status()).federation
  const invite = await invited()
  const checked = await rome.control.federate({ invite, isCheck: true, isAllowed: false })
  assert.deepEqual(
    checked.collisions.map(({ of, name, blocks }) => [of, name, blocks]),
    [['service', SERVICE, true]],
  )
  for (const isAllowed of [false, true]) {
    const refused = rome.control.federate({ invite, isCheck: false, isAllowed })
    await assert.rejects(refused, ({ code }: { readonly code?: string }) => code === 'names-collide')
  }
  assert.equal((await rome.control.status()).federation, before)
  assert.equal((await berlin.control.nodes()).length, 2)
})

test('the devices go over as who they are, and what they run runs on in the same processes', async () => {
  const [rome, berlin] = [here.named('rome-1'), there.named('berlin-1')]
  await berlin.control.remove(SERVICE)
  await until('its own is gone there', async () => (await runningIn(berlin)).length === 0, PATIENCE_MS)
  const ids = await Promise.all(here.nodes.map(async ({ control }) => (await control.status()).node))
  const processes = await processesOf(here)
  assert.equal(processes.length, 2)
  const { federation } = await berlin.control.status()

  const view = await rome.control.federate({ invite: await invited(), isCheck: false, isAllowed: false })
  assert.deepEqual(view.devices.map(({ name, isBegun }) => [name, isBegun]).sort(), [
    ['oslo-1', true],
    ['rome-1', true],
    ['rome-2', true],
  ])
  const isOver = async (): Promise<boolean> => {
    const all = await Promise.all(here.nodes.map(({ control }) => control.status()))
    return all.every((one, index) => one.federation === federation && one.ready && one.node === ids[index])
  }
  await until('all are members there', isOver, PATIENCE_MS)
  const clusters = async (): Promise<boolean> => {
    const root = (await berlin.control.status()).domains.find(({ path }) => path === '/')
    return root?.quorum === true && root.electors.includes('/rome') && root.electors.includes('/oslo')
  }
  await until('their clusters have a say in the root', clusters, PATIENCE_MS)
  const isKnown = async (): Promise<boolean> => (await runningIn(berlin)).length === 2
  await until('what they run is known there', isKnown, PATIENCE_MS)
  assert.deepEqual(await processesOf(here), processes)
})

test('orders of the new federation are obeyed: the service is scaled and removed from over there', async () => {
  const berlin = there.named('berlin-1')
  const before = await processesOf(here)
  await berlin.control.scale(SERVICE, 3)
  await until('a third one runs', async () => (await runningIn(berlin)).length === 3, PATIENCE_MS)
  const now = [...(await processesOf(here)), ...(await processesOf(there))]
  assert.ok(before.every((one) => now.includes(one)))
  await berlin.control.remove(SERVICE)
  await until('nothing runs any more', async () => (await processesOf(here)).length === 0, PATIENCE_MS)
})

test('a device that went over is that federation’s after a restart, too', async () => {
  const rome = here.named('rome-2')
  const { federation } = await there.named('berlin-1').control.status()
  await here.terminate(rome)
  const again = here.restart(rome)
  await until('it is back', async () => (await again.control.status()).ready, PATIENCE_MS, [again])
  assert.equal((await again.control.status()).federation, federation)
})

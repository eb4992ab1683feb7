// Two operators in one federation, with real processes: the second asks, is admitted, runs its own cluster, serves and
// is served across the border, changes its key, and is made to leave. The tests are chapters of one story.

import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Fleet, PATIENCE_MS, readyFleet, removeFolder, until } from './fleet.ts'

const CLUSTERS = [
  { path: '/berlin', names: ['berlin-1', 'berlin-2'] },
  { path: '/rome', names: ['rome-1'], operator: 'Tiber Farms' },
  { path: '/hamburg', names: ['hamburg-1'] },
]

const NAMES = ['berlin-1', 'Tiber Farms']

let baseDir = ''
let fleet: Fleet

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'operators-'))
  fleet = await readyFleet({ baseDir, clusters: CLUSTERS })
})

after(async () => {
  await fleet?.stop()
  await removeFolder(baseDir)
})

test('every node holds the same charter, which names both operators', async () => {
  const areSame = async (): Promise<boolean> => {
    const logs = await Promise.all(fleet.nodes.map(({ control }) => control.charterLog()))
    const [head] = logs.map((log) => log.head)
    return logs.every((log) => log.head === head && log.operators.map(({ name }) => name).join() === NAMES.join())
  }
  await until('all charters name both', areSame, PATIENCE_MS)
})

test('an operator’s people see the names of its devices in other clusters, and another’s people do not', async () => {
  const { node } = await fleet.named('hamburg-1').control.status()
  const nameAt = async (name: string): Promise<string | undefined> =>
    (await fleet.named(name).control.status()).peers.find((peer) => peer.node === node)?.name
  await until('its name is known', async () => (await nameAt('berlin-1')) === 'hamburg-1', PATIENCE_MS)
  const pinged = async (): Promise<boolean> => (await fleet.named('berlin-2').control.ping('hamburg-1')).node === node
  await until('who is not connected to it finds it by its name, too', pinged, PATIENCE_MS)
  const isMet = async (): Promise<boolean> => (await nameAt('rome-1')) !== undefined
  await until('the other operator’s device has met it', isMet, PATIENCE_MS)
  assert.equal(await nameAt('rome-1'), '')
})

test('a draft of one operator reaches the other by gossip, and is in force everywhere once it signed', async () => {
  const [berlin, rome] = [fleet.named('berlin-1'), fleet.named('rome-1')]
  const proposed = await rome.control.setThreshold('all')
  assert.deepEqual([proposed.state, proposed.missing], ['waiting', 1])
  const isHere = async (): Promise<boolean> =>
    (await berlin.control.charterLog()).entries.some(
      ({ hash, state }) => hash === proposed.entry && state === 'waiting',
    )
  await until('the draft came', isHere, PATIENCE_MS)
  const [signed] = await berlin.control.signCharter('')
  assert.equal(signed?.state, 'in-force')
  for (const { control } of fleet.nodes) {
    await until('all know', async () => (await control.charterLog()).threshold === 'all', PATIENCE_MS)
  }
})

test('an operator changes its key while its nodes run, and goes on inviting with the new one', async () => {
  const rome = fleet.named('rome-1')
  assert.equal((await rome.control.rotateOperator(false)).state, 'in-force')
  const invite = await rome.control.invite({ domain: null, uses: 1, ttlMs: 3_600_000 })
  assert.match(invite, /^coppice1:/)
  const head = (await rome.control.charterLog()).head
  for (const { control } of fleet.nodes) {
    await until('all know', async () => (await control.charterLog()).head === head, PATIENCE_MS)
  }
  const isConnected = async (): Promise<boolean> => {
    const { node } = await rome.control.status()
    const { peers } = await fleet.named('berlin-1').control.status()
    return peers.some((peer) => peer.node === node && peer.path !== null)
  }
  await until('the other operator’s node is connected to it', isConnected, PATIENCE_MS)
})

test('an operator that is made to leave is cut off everywhere, and its node runs on', async () => {
  const { node } = await fleet.named('rome-1').control.status()
  assert.equal(
    (await fleet.named('berlin-1').control.removeOperator('Tiber Farms', 'the season is over')).state,
    'in-force',
  )
  const isCut = async (): Promise<boolean> => {
    const all = await Promise.all(
      ['berlin-1', 'berlin-2'].map(async (name) => (await fleet.named(name).control.status()).peers),
    )
    return all.every((peers) => peers.every((peer) => peer.node !== node || peer.path === null))
  }
  await until('nobody is connected to it', isCut, PATIENCE_MS)
  assert.equal((await fleet.named('rome-1').control.status()).domain, '/rome')
})

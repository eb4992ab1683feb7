// A hundred services are submitted at once, at all devices of a small fleet and far more than it can hold: no device is
// promised more than it has, at any moment, and what finds no place says why.

import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { MEMORY_SHARE } from '../../placement/constants.ts'
import { type Fleet, type FleetNode, PATIENCE_MS, readyFleet, removeFolder, until } from './fleet.ts'
import { serviceDescriptor } from './service-fixture.ts'

const SUBMISSIONS = 100
/** Each wants so much of a device's memory that three fit, and a tenth is left over. */
const SHARE = 0.3
const LOOK_MS = 200
/** After the last one has its place or its reason: what would still be moved shows in this time. */
const AFTERWARDS_MS = 5_000

let baseDir = ''
let fleet: Fleet

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'submissions-'))
  fleet = await readyFleet({
    baseDir,
    clusters: [
      { path: '/a', names: ['a1', 'a2'] },
      { path: '/b', names: ['b1'] },
    ],
  })
})

after(async () => {
  await fleet?.stop()
  await removeFolder(baseDir)
})

const isOurs = (service: string): boolean => service.startsWith('shop.many.')

const descriptor = (index: number, memory: number): string =>
  serviceDescriptor(`shop.many.s${index}.web`, { cmd: ['sleep', '3600'], memory, vcpus: 0, stop_grace: 0 })

/** What each node says that it runs or will, counted by node. */
async function promised(node: FleetNode): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>()
  for (const { service, name, state } of await node.control.instances()) {
    const holdsRoom = name !== null && ['reserved', 'starting', 'running', 'unhealthy', 'stopping'].includes(state)
    if (isOurs(service) && holdsRoom) counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return counts
}

test('a hundred services that are submitted at once take of each device what it has and no more', async () => {
  const [first] = fleet.nodes as [FleetNode]
  const summary = await until(
    'the devices say what they have',
    async () => (await first.control.nodes()).find(({ name }) => name === first.name)?.summary ?? null,
    PATIENCE_MS,
  )
  const memory = Math.floor((summary.memoryMb as { readonly total: number }).total * MEMORY_SHARE * SHARE)
  const fits = Math.floor(1 / SHARE)
  const submitted = Array.from({ length: SUBMISSIONS }, (_, index) => {
    const node = fleet.nodes[index % fleet.nodes.length] as FleetNode
    return node.control.deploy(descriptor(index, memory), { domain: null })
  })
  const most = new Map<string, number>()
  const look = async (): Promise<void> => {
    for (const node of fleet.nodes) {
      for (const [name, count] of await promised(node)) most.set(name, Math.max(count, most.get(name) ?? 0))
    }
  }
  const isSettled = async (): Promise<boolean> => {
    await look()
    const all = (await first.control.instances()).filter(({ service }) => isOurs(service))
    const running = all.filter(({ state }) => state === 'running')
    const explained = all.filter(({ state, reason }) => state === 'pending' && /lacks? memory/.test(reason))
    return running.length === fits * fleet.nodes.length && running.length + explained.length === SUBMISSIONS
  }
  await Promise.all(submitted)
  await until('each runs or says that memory is lacking', isSettled, PATIENCE_MS, fleet.nodes, LOOK_MS)
  for (let passed = 0; passed < AFTERWARDS_MS; passed += LOOK_MS) {
    await look()
    await delay(LOOK_MS)
  }
  assert.deepEqual(
    fleet.nodes.map(({ name }) => [name, most.get(name)]),
    fleet.nodes.map(({ name }) => [name, fits]),
  )
})

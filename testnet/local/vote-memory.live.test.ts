// An elector whose memory of its votes is lost or damaged could vote twice in a term. A real node is stopped, its
// election state is taken away, and it is started again: it has to come back as a learner, and be promoted anew.

import assert from 'node:assert/strict'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { DomainView, StatusView } from '../../node/control.ts'
import { openDisk } from '../../node/io/disk.ts'
import { type Fleet, type FleetNode, startFleet, until } from './fleet.ts'
import { createWatch, type Watch } from './watch.ts'

const CLUSTER = '/v'
const NAMES = ['v1', 'v2', 'v3']
const KEY = `election/${CLUSTER}`
/** A learner is promoted after ten steady seconds; the rest is for a loaded machine. */
const PATIENCE_MS = 60_000

let baseDir = ''
let fleet: Fleet
let watch: Watch

const clusterOf = ({ domains }: StatusView): DomainView => {
  const found = domains.find(({ path }) => path === CLUSTER)
  assert.ok(found)
  return found
}
const statusOf = (node: FleetNode): Promise<StatusView> => node.control.status()

/** Resolves with the cluster as all see it, once every node has a vote in it and follows the same leader. */
async function whole(): Promise<DomainView> {
  return await until(
    'all have a vote',
    async () => {
      const views = (await Promise.all(fleet.nodes.map(statusOf))).map(clusterOf)
      const [view] = views
      const isAgreed = views.every(({ leader, term }) => leader === view?.leader && term === view?.term)
      const isFull = views.every(({ electors, role }) => electors.length === NAMES.length && role !== 'learner')
      return isAgreed && isFull && view?.leader ? view : null
    },
    PATIENCE_MS,
  )
}

/** Changes what a stopped node finds on its disk. */
async function onDisk(
  node: FleetNode,
  change: (disk: Awaited<ReturnType<typeof openDisk>>) => Promise<void>,
): Promise<void> {
  const disk = await openDisk(join(node.dataDir, 'store'), (problem) => assert.fail(problem))
  try {
    await change(disk)
  } finally {
    await disk.close()
  }
}

const LOSSES: Readonly<Record<string, (node: FleetNode) => Promise<void>>> = {
  'is gone': (node) => onDisk(node, (disk) => disk.del(KEY)),
  'is damaged': (node) =>
    onDisk(node, async (disk) => {
      const kept = await disk.get(KEY)
      assert.ok(kept !== null && kept.length > 64)
      // A torn write: its end is missing.
      await disk.put(KEY, kept.subarray(0, kept.length / 2), { sync: true })
    }),
  'went with its whole store': (node) => rename(join(node.dataDir, 'store'), join(node.dataDir, 'store-moved-away')),
}

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'vote-memory-'))
  watch = createWatch()
  fleet = await startFleet({ baseDir, clusters: [{ path: CLUSTER, names: NAMES }] })
  await Promise.all(fleet.nodes.map(watch.follow))
})

after(async () => {
  watch?.close()
  await fleet?.stop()
  await rm(baseDir, { recursive: true, force: true })
})

for (const [what, lose] of Object.entries(LOSSES)) {
  test(`an elector whose vote memory ${what} is a learner until it is promoted anew, and disturbs nobody`, async () => {
    const was = await whole()
    const startedMs = Date.now()
    const statuses = await Promise.all(fleet.nodes.map(statusOf))
    const index = statuses.findIndex(({ node }) => node !== was.leader)
    const [forgetful, before] = [fleet.nodes[index], statuses[index]]
    assert.ok(forgetful !== undefined && before !== undefined)
    assert.equal(clusterOf(before).role, 'follower')
    await fleet.cutDown(forgetful)
    await lose(forgetful)
    const again = fleet.restart(forgetful)
    const roles: string[] = []
    const isPromoted = async (): Promise<boolean> => {
      const status = await statusOf(again)
      assert.ok(status.incarnation > before.incarnation, 'it is a new life')
      const { role } = clusterOf(status)
      if (roles.at(-1) !== role) roles.push(role)
      return role === 'follower'
    }
    await until('it has a vote again', isPromoted, PATIENCE_MS, [again])
    assert.deepEqual(
      roles.filter((role) => role !== 'observer'),
      ['learner', 'follower'],
    )
    const now = await whole()
    assert.deepEqual([now.leader, now.epoch, now.term], [was.leader, was.epoch, was.term])
    assert.deepEqual(
      watch.since(startedMs).filter(({ name }) => name === 'leader-elected'),
      [],
    )
  })
}

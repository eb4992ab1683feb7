// An elector whose memory of its votes is lost or damaged could vote twice in a term. A real node is stopped, its
// election state is taken away, and it is started again: it has to come back as a learner, and be promoted anew.

import assert from 'node:assert/strict'
import { mkdtemp, rename } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { DomainView, StatusView } from '../../node/control.ts'
import { openDisk } from '../../node/io/disk.ts'
import { type Fleet, type FleetNode, PATIENCE_MS, removeFolder, startFleet, until } from './fleet.ts'
import { createWatch, type Watch } from './watch.ts'

const CLUSTER = '/v'
const NAMES = ['v1', 'v2', 'v3']
/**
 * With one of three down, a leader whose process is starved has nobody to spare and is elected anew, on the preset
 * `wan` once that takes seconds. What a forgetful one were the cause of would happen each time.
 */
const PLAYS_MAX = 3
const KEY = `election/${CLUSTER}`

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
  'went with its whole store': (node) =>
    rename(join(node.dataDir, 'store'), join(node.dataDir, `store-of-${Date.now()}`)),
}

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'vote-memory-'))
  watch = createWatch()
  fleet = await startFleet({ baseDir, clusters: [{ path: CLUSTER, names: NAMES }], flags: ['--preset', 'wan'] })
  await Promise.all(fleet.nodes.map(watch.follow))
})

after(async () => {
  watch?.close()
  await fleet?.stop()
  await removeFolder(baseDir)
})

/** Takes a follower's memory away. Resolves to the elections that were told of until all was as before. */
async function play(lose: (node: FleetNode) => Promise<void>): Promise<number> {
  const was = await whole()
  const startedMs = Date.now()
  const statuses = await Promise.all(fleet.nodes.map(statusOf))
  const index = statuses.findIndex(({ node }) => node !== was.leader)
  const [forgetful, before] = [fleet.nodes[index], statuses[index]]
  assert.ok(forgetful !== undefined && before !== undefined)
  await fleet.cutDown(forgetful)
  await lose(forgetful)
  const again = fleet.restart(forgetful)
  void watch.follow(again)
  const roles: string[] = []
  const isPromoted = async (): Promise<boolean> => {
    const status = await statusOf(again)
    assert.ok(status.incarnation > before.incarnation, 'it is a new life')
    const { role } = clusterOf(status)
    if (roles.at(-1) !== role) roles.push(role)
    return role === 'follower'
  }
  await until('it has a vote again', isPromoted, PATIENCE_MS, [again])
  const promotedMs = Date.now()
  assert.deepEqual(
    roles.filter((role) => role !== 'observer'),
    ['learner', 'follower'],
  )
  const now = await whole()
  const elected = watch.since(startedMs).filter(({ name }) => name === 'leader-elected')
  assert.deepEqual(
    elected.filter(({ teller, atMs }) => teller === again.name && atMs < promotedMs),
    [],
    'nobody votes for who has forgotten',
  )
  if (elected.length === 0) assert.deepEqual([now.leader, now.epoch, now.term], [was.leader, was.epoch, was.term])
  return elected.length
}

for (const [what, lose] of Object.entries(LOSSES)) {
  const name = `an elector whose vote memory ${what} is a learner until it is promoted anew, and disturbs nobody`
  test(name, async (t) => {
    for (let plays = 1; ; plays++) {
      const elections = await play(lose)
      if (elections === 0) return
      t.diagnostic(`${elections} elections in play ${plays}`)
      assert.ok(plays < PLAYS_MAX, 'there is an election each time')
    }
  })
}

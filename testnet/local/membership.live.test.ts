// Who is here, with real processes and a kernel that schedules them as it likes: a device that pauses or is starved
// is not dead, one that is gone is. All are told of by the event streams of the nodes, so that nothing between two
// looks is missed. The tests are chapters of one story and run in order.

import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { keepBusy } from './busy.ts'
import { type Fleet, type FleetNode, PATIENCE_MS, removeFolder, startFleet, until } from './fleet.ts'
import { createWatch, type Seen, type Watch } from './watch.ts'

/** With five nodes each is watched by the four others. */
const NAMES = ['m1', 'm2', 'm3', 'm4', 'm5']
/**
 * Ten times the longest that a watcher waits who saw a connection close and hears no second opinion (`closed.msMax`,
 * lan), as nobody knows what else this machine has to do; what it took is shown.
 */
const CLOSED_MS_MAX = 30_000

let baseDir = ''
let fleet: Fleet
let watch: Watch

const node = (index: number): FleetNode => {
  const found = fleet.nodes[index]
  assert.ok(found)
  return found
}

/** What was told of a member's state since a moment: `suspect`, `dead` or `alive`. */
const told = (state: string, sinceMs: number): readonly Seen[] =>
  watch.since(sinceMs).filter((one) => one.name === `node-${state}`)

const inWords = (seen: readonly Seen[]): string =>
  seen.map(({ teller, name, fields }) => `${teller}: ${fields.name} ${name}, ${fields.why}`).join('\n')

/** Every node that runs knows every other one as alive. */
async function allAlive(): Promise<void> {
  await until(
    'all know all as alive',
    async () => {
      const rosters = await Promise.all(fleet.living().map(({ control }) => control.nodes()))
      return rosters.every((roster) => roster.filter(({ state }) => state === 'alive').length === NAMES.length)
    },
    PATIENCE_MS,
  )
}

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'membership-'))
  watch = createWatch()
  fleet = await startFleet({ baseDir, clusters: [{ path: '/m', names: NAMES }] })
  await Promise.all(fleet.nodes.map(watch.follow))
  await allAlive()
})

after(async () => {
  watch?.close()
  await fleet?.stop()
  await removeFolder(baseDir)
})

test('a node that is paused for three seconds while every core is busy is dead for nobody', async () => {
  const startedMs = Date.now()
  const rest = keepBusy()
  try {
    for (const index of [1, 4]) await fleet.pause(node(index), 3_000)
    await allAlive()
  } finally {
    rest()
  }
  assert.equal(inWords(told('dead', startedMs)), '')
})

test('a watcher that is starved of its processor takes nobody for dead, and nobody takes it for dead', async () => {
  const startedMs = Date.now()
  const starved = node(2)
  for (let burst = 0; burst < 12; burst++) {
    await fleet.pause(starved, 700)
    // It runs for about as long as it takes to answer a question, and is stopped again.
    await starved.control.status()
  }
  await allAlive()
  assert.equal(inWords(told('dead', startedMs)), '')
})

test('a node that says nothing for long is dead for all others, and alive again once it speaks', async () => {
  const startedMs = Date.now()
  const frozen = node(3)
  frozen.process.kill('SIGSTOP')
  try {
    const others = fleet.nodes.filter((one) => one !== frozen)
    const isDeadForAll = (): true | null =>
      others.every(({ name }) => told('dead', startedMs).some((one) => one.teller === name)) ? true : null
    assert.ok(await watch.find(startedMs, PATIENCE_MS, isDeadForAll), inWords(told('suspect', startedMs)))
    assert.ok(told('dead', startedMs).every(({ fields }) => fields.name === frozen.name))
    const first = Math.min(...told('dead', startedMs).map(({ atMs }) => atMs))
    assert.ok(first - startedMs > 3_000, 'and not before three seconds have passed')
  } finally {
    frozen.process.kill('SIGCONT')
  }
  await allAlive()
})

test('a node that was killed is dead for all others within the time of a lone witness', async (t) => {
  const startedMs = Date.now()
  const killed = node(4)
  await fleet.cutDown(killed)
  const isDeadForAll = (): number | null => {
    const dead = told('dead', startedMs).filter(({ fields }) => fields.name === killed.name)
    const tellers = new Set(dead.map(({ teller }) => teller))
    return tellers.size === NAMES.length - 1 ? Math.max(...dead.map(({ atMs }) => atMs)) : null
  }
  const lastMs = await watch.find(startedMs, PATIENCE_MS, isDeadForAll)
  assert.ok(lastMs !== null, inWords(told('suspect', startedMs)))
  t.diagnostic(`dead for all after ${lastMs - startedMs} ms`)
  assert.ok(lastMs - startedMs <= CLOSED_MS_MAX, `${lastMs - startedMs} ms`)
})

// A device whose credential was revoked, and not the device: it is cut off like any other, and a new invite lets it in
// again as itself. The tests are chapters of one story.

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { joinNode, type RunningNode } from '../../node/index.ts'
import { coppice } from './command-fixture.ts'
import { type Fleet, type FleetNode, readyFleet, until } from './fleet.ts'

/** What a loaded machine may take for what takes a second or two on a free one. */
const PATIENCE_MS = 120_000

let baseDir = ''
let fleet: Fleet
let back: RunningNode | null = null

/** How a node is connected to another one; null where it is not. */
const pathTo = async (from: FleetNode, node: string): Promise<string | null> =>
  (await from.control.status()).peers.find((peer) => peer.node === node)?.path ?? null

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'credential-'))
  fleet = await readyFleet({ baseDir, clusters: [{ path: '/a', names: ['a1', 'a2', 'a3'] }] })
})

after(async () => {
  await back?.stop()
  await fleet?.stop()
  await rm(baseDir, { recursive: true, force: true })
})

test('the device is cut off by all, and hears why', async () => {
  const { node } = await fleet.named('a2').control.status()
  const done = await coppice('revoke', 'a2', '--credential', '--data', fleet.named('a1').dataDir)
  assert.equal(done.exitCode, 0, done.stderr)
  assert.match(done.stdout, /A new invite lets it in again/)
  for (const name of ['a1', 'a3']) {
    await until(`${name} has cut it`, async () => (await pathTo(fleet.named(name), node)) === null, PATIENCE_MS)
  }
  const { head } = await fleet.named('a1').control.charterLog()
  const hasHeard = async (): Promise<boolean> => (await fleet.named('a2').control.charterLog()).head === head
  await until('it has heard', hasHeard, PATIENCE_MS)
})

test('a new invite lets it in again, as the same device, for those too who did not invite it', async () => {
  const old = fleet.named('a2')
  const { node } = await old.control.status()
  await fleet.terminate(old)
  const invite = await fleet.named('a1').control.invite({ domain: null, uses: 1, ttlMs: 3_600_000 })
  const running = await joinNode({ dataDir: old.dataDir, name: 'a2', invite, mdns: false, pressure: null })
  back = running
  await until('it can take work', async () => (await running.control.status()).ready, PATIENCE_MS)
  assert.equal((await running.control.status()).node, node)
  for (const name of ['a1', 'a3']) {
    const isBack = async (): Promise<boolean> => {
      const all = await fleet.named(name).control.nodes()
      return all.some((one) => one.node === node && one.state === 'alive')
    }
    await until(`${name} counts it in again`, isBack, PATIENCE_MS)
  }
})

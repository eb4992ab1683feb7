// Secrets in containers, and what a container uses, with a real engine:
//   testnet/lab/with-docker.sh node --test placement/io/docker-secrets.live.test.ts

import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Docker from 'dockerode'
import { containerName } from '../instance-name.ts'
import { bench, container, shell } from './docker-bench.ts'
import { awaitOutput } from './driver-bench.ts'

test('a container reads its secrets, whoever it runs as, and cannot change them', async (t) => {
  const values = new Map([['db', Buffer.from('pass')]])
  const dataDir = await mkdtemp(join(tmpdir(), 'coppice-'))
  t.after(() => rm(dataDir, { recursive: true, force: true }))
  const { driver, next, nodeId } = await bench(t, { dataDir, secrets: { of: async () => values } })
  const script = 'cat /run/secrets/db; echo; echo x >/run/secrets/db || echo kept; sleep 60'
  const uses = { secrets: [{ name: 'db', environment: null }], user: '1234:1234', stopGraceMs: 0 }
  const launch = container({ ...shell(script), ...uses })
  driver.start(launch)
  await next('running')
  // The engine keeps the two outputs of a container in no order of their own.
  assert.match(await awaitOutput(driver, launch.key, 'kept\n'), /^pass$/m)
  const found = await new Docker().getContainer(containerName(nodeId, launch.key)).inspect()
  assert.ok(!JSON.stringify(found).includes('pass'))
  driver.stop(launch.key, 0)
  await next('exited')
  assert.deepEqual(await readdir(join(dataDir, 'secrets')), [])
})

test('what a container used is what its engine counted', async (t) => {
  const { driver, next } = await bench(t)
  const loop = 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'
  const launch = container({ ...shell(`${loop}; echo worked; sleep 60`), stopGraceMs: 0 })
  driver.start(launch)
  await next('running')
  await awaitOutput(driver, launch.key, 'worked\n')
  const stats = await driver.stats(launch.key)
  assert.ok(stats !== null && stats.cpuSeconds > 0.01 && stats.cpuSeconds < 60, `${stats?.cpuSeconds} s`)
  assert.ok(stats.memoryMb > 0.05 && stats.memoryMb < 500, `${stats.memoryMb} MB`)
  driver.stop(launch.key, 0)
  await next('exited')
})

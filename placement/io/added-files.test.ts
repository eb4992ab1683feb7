// Files that stand in a process instance before its start, from a real server on loopback.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { launchOf } from '../launch-fixture.ts'
import { awaitOutput } from './driver-bench.ts'
import { serveFiles } from './file-server.ts'
import { bench, shell } from './process-bench.ts'

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')

async function setUp(t: TestContext) {
  const files: Record<string, string> = { '/note': 'good day\n' }
  const base = await serveFiles(t, files)
  return { files, base, ...(await bench(t)) }
}

test('a file is there before the start, below the working folder, and an absolute path means the same', async (t) => {
  const { base, driver, next } = await setUp(t)
  const url = `${base}/note#sha256=${digestOf('good day\n')}`
  const addedFiles = [
    { url, path: 'etc/note' },
    { url: `${base}/note`, path: '/etc/second' },
  ]
  const launch = launchOf({ ...shell('cat etc/note etc/second; sleep 60'), addedFiles })
  driver.start(launch)
  await next('running')
  assert.equal(await awaitOutput(driver, launch.key, 'good day\ngood day\n'), 'good day\ngood day\n')
})

test('a file that cannot be had, has another digest, or leads out keeps the instance from starting', async (t) => {
  const { base, driver, next } = await setUp(t)
  const problemWith = async (url: string, path: string, number: number): Promise<string> => {
    driver.start(launchOf({ command: ['true'], addedFiles: [{ url, path }] }, number))
    return (await next('failed')).detail
  }
  assert.match(await problemWith(`${base}/none`, 'a', 0), /cannot be had: the server answered 404/)
  const other = `${base}/note#sha256=${'0'.repeat(64)}`
  assert.match(await problemWith(other, 'a', 1), /its sha256 is [0-9a-f]{64} and not 0{64}/)
  assert.match(await problemWith(`${base}/note`, '../../a', 2), /cannot be added at "\.\.\/\.\.\/a"/)
})

test('without a network the file of the last time is used, and with one a new one is', async (t) => {
  const { base, files, driver, next, warnings } = await setUp(t)
  const addedFiles = [{ url: `${base}/note`, path: 'note' }]
  const run = async (end: string): Promise<void> => {
    const launch = launchOf({ ...shell('cat note'), addedFiles })
    driver.start(launch)
    await next('running')
    await next('exited')
    await awaitOutput(driver, launch.key, end)
  }
  await run('good day\n')
  files['/note'] = 'good night\n'
  await run('good night\n')
  delete files['/note']
  await run('good night\ngood night\n')
  assert.match(warnings.at(-1) ?? '', /cannot be had: .*; the one of the last time is used/)
})

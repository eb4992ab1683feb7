// The file with the logins of registries.

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openRegistryFile, REGISTRIES_FILE } from './registry-file.ts'

async function folder(t: TestContext): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'registries-'))
  t.after(() => rm(dataDir, { recursive: true, force: true }))
  return dataDir
}
const login = (registry: string, password = 'secret') => ({ registry, username: 'shop', password })

test('logins outlive the node, one for each registry, in a file for its owner alone', async (t) => {
  const dataDir = await folder(t)
  const file = await openRegistryFile(dataDir)
  await Promise.all([file.put(login('ghcr.io')), file.put(login('a.example')), file.put(login('gone.example'))])
  await file.put(login('ghcr.io', 'newer'))
  assert.equal(await file.remove('gone.example'), true)
  assert.equal(await file.remove('gone.example'), false)
  assert.equal((await stat(join(dataDir, REGISTRIES_FILE))).mode & 0o777, 0o600)
  const again = await openRegistryFile(dataDir)
  assert.deepEqual(again.all(), [login('a.example'), login('ghcr.io', 'newer')])
  assert.deepEqual(again.of('ghcr.io'), login('ghcr.io', 'newer'))
  assert.equal(again.of('gone.example'), null)
})

test('a damaged file is an error that does not quote it, and is left as it is', async (t) => {
  const dataDir = await folder(t)
  await writeFile(join(dataDir, REGISTRIES_FILE), '[{"password":"secret"')
  await assert.rejects(openRegistryFile(dataDir), (problem: Error) => !/secret/.test(problem.message))
  assert.equal(await readFile(join(dataDir, REGISTRIES_FILE), 'utf8'), '[{"password":"secret"')
})

// The store on a real disk, in folders of the test's own: what was written is there after a reopen, and what is wrong
// is said.

import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { CHARTER_KEY, OWN_CREDENTIAL_KEY } from '../../bootstrap/io/store.ts'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { decodeIncarnation, encodeIncarnation, incarnationKey } from '../../overlay/membership/index.ts'
import type { CoppiceError } from '../errors.ts'
import { type Disk, openDisk } from './disk.ts'
import { copyMembership, restoreMembership } from './membership-copy.ts'

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'disk-'))
  t.after(() => rm(made, { recursive: true, force: true }))
  return made
}

const DOMAIN = '/berlin' as DomainPath
const unexpected = (problem: CoppiceError): void => assert.fail(problem.message)
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (value: Uint8Array | null): string | null => (value === null ? null : new TextDecoder().decode(value))
const written = (disk: Disk, key: string, value: string | null, sync: boolean): Promise<void> =>
  new Promise((done) => disk.write(key, value === null ? null : bytes(value), sync, done))

test('what was written, with sync or without, is there when the store is opened again', async (t) => {
  const path = await folder(t)
  const disk = await openDisk(path, unexpected)
  await Promise.all([
    written(disk, 'a/1', 'one', true),
    written(disk, 'a/2', 'two', false),
    disk.put('b', bytes('x'), { sync: false }),
  ])
  await written(disk, 'a/1', null, false)
  await disk.close()
  const again = await openDisk(path, unexpected)
  assert.deepEqual([...(await again.scan('a/')).keys()], ['a/2'])
  assert.equal(text(await again.get('a/2')), 'two')
  assert.equal(await again.get('a/1'), null)
  assert.equal(text(await again.get('b')), 'x')
  await again.close()
})

test('writes are told done in the order in which they were made', async (t) => {
  const disk = await openDisk(await folder(t), unexpected)
  const done: string[] = []
  for (const key of ['one', 'two', 'three']) disk.write(key, bytes(key), key === 'two', () => done.push(key))
  await written(disk, 'last', 'x', true)
  assert.deepEqual(done, ['one', 'two', 'three'])
  await disk.close()
})

test('closing waits for the writes that are under way', async (t) => {
  const path = await folder(t)
  const disk = await openDisk(path, unexpected)
  disk.write('late', bytes('x'), true, () => undefined)
  await disk.close()
  const again = await openDisk(path, unexpected)
  assert.equal(text(await again.get('late')), 'x')
  await again.close()
})

test('a folder that another node has open is refused', async (t) => {
  const path = await folder(t)
  const disk = await openDisk(path, unexpected)
  await assert.rejects(openDisk(path, unexpected), { code: 'folder-in-use' })
  await disk.close()
})

test('a store whose index is damaged is refused, and left as it is', async (t) => {
  const path = await folder(t)
  await (await openDisk(path, unexpected)).close()
  await writeFile(join(path, 'CURRENT'), 'nonsense')
  const before = await readdir(path)
  await assert.rejects(openDisk(path, unexpected), { code: 'store-damaged' })
  const after = await readdir(path)
  assert.deepEqual(
    before.filter((name) => !after.includes(name)),
    [],
  )
})

test('damage that shows only when it is read is told as damage', async (t) => {
  const path = await folder(t)
  const disk = await openDisk(path, unexpected)
  for (let i = 0; i < 200; i++) disk.write(`key/${i}`, new Uint8Array(200).fill(i), false, () => undefined)
  await disk.close()
  // Opening moves the log into a table, which a second opening reads.
  await (await openDisk(path, unexpected)).close()
  const [table] = (await readdir(path)).filter((name) => name.endsWith('.ldb'))
  assert.ok(table)
  const content = await readFile(join(path, table))
  content.fill(0x5a, content.length >> 2, content.length >> 1)
  await writeFile(join(path, table), content)
  const damaged = await openDisk(path, unexpected)
  await assert.rejects(damaged.scan('key/'), { code: 'store-damaged' })
  await damaged.close()
})

test('a membership whose store was moved away comes back from its copy', async (t) => {
  const dataDir = await folder(t)
  const disk = await openDisk(join(dataDir, 'store'), unexpected)
  await disk.put(CHARTER_KEY, bytes('charter'), { sync: true })
  await disk.put(OWN_CREDENTIAL_KEY, bytes('credential'), { sync: true })
  await disk.put(incarnationKey(DOMAIN), encodeIncarnation(7), { sync: true })
  await copyMembership(dataDir, disk, DOMAIN)
  await disk.close()
  await rename(join(dataDir, 'store'), join(dataDir, 'damaged'))
  const fresh = await openDisk(join(dataDir, 'store'), unexpected)
  await restoreMembership(dataDir, fresh)
  assert.deepEqual(
    [text(await fresh.get(CHARTER_KEY)), text(await fresh.get(OWN_CREDENTIAL_KEY))],
    ['charter', 'credential'],
  )
  const incarnation = await fresh.get(incarnationKey(DOMAIN))
  assert.equal(incarnation && decodeIncarnation(incarnation), 7, 'its next life is a later one')
  await fresh.close()
})

test('a copy never replaces what the store says itself, and nonsense in it is no membership', async (t) => {
  const dataDir = await folder(t)
  const disk = await openDisk(join(dataDir, 'store'), unexpected)
  await writeFile(join(dataDir, 'membership'), 'nonsense')
  await restoreMembership(dataDir, disk)
  assert.equal(await disk.get(OWN_CREDENTIAL_KEY), null)
  await disk.put(OWN_CREDENTIAL_KEY, bytes('old'), { sync: true })
  await copyMembership(dataDir, disk, DOMAIN)
  await disk.put(OWN_CREDENTIAL_KEY, bytes('renewed'), { sync: true })
  await restoreMembership(dataDir, disk)
  assert.equal(text(await disk.get(OWN_CREDENTIAL_KEY)), 'renewed')
  await disk.close()
})

// From a folder to a member, on a real store in a folder of the test's own, without a network.

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { JoinUnreachableError } from '../overlay/io/join.ts'
import type { DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import {
  type Admission,
  asCoppiceError,
  loadMemory,
  loadSeeds,
  memberByInvite,
  memberOrFounder,
  openFolder,
} from './boot.ts'
import { factsOf, statementBy, trustingSealer } from './core/world.test-kit.ts'
import { CoppiceError } from './errors.ts'
import type { NodeOptions } from './options.ts'

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'boot-'))
  t.after(() => rm(made, { recursive: true, force: true }))
  return made
}

const unexpected = (problem: Error): void => assert.fail(problem.message)

/** Opens the folder, does the work with what it is a member of, and closes it again. */
async function admitted<T>(options: NodeOptions, work: (admission: Admission) => Promise<T>): Promise<T> {
  const opened = await openFolder(options.dataDir, unexpected)
  try {
    return await work(await memberOrFounder(opened, options))
  } finally {
    await opened.disk.close()
  }
}

test('an empty folder founds a federation; the second start is a member of it, as the same node', async (t) => {
  const options = { dataDir: await folder(t), domain: '/berlin' as DomainPath, name: 'one' }
  const shown = async ({ folder: { nodeKey }, membership, isFounding }: Admission) =>
    [nodeKey.node, membership.federation, membership.domain, isFounding] as const
  const [node, federation, domain, isFounding] = await admitted(options, shown)
  assert.deepEqual([domain, isFounding], ['/berlin', true])
  assert.deepEqual(await admitted({ dataDir: options.dataDir }, shown), [node, federation, '/berlin', false])
})

test('a folder is not moved to another cluster by a flag', async (t) => {
  const dataDir = await folder(t)
  await admitted({ dataDir, domain: '/berlin' as DomainPath }, async () => undefined)
  await assert.rejects(
    admitted({ dataDir, domain: '/paris' as DomainPath }, async () => undefined),
    { code: 'other-domain' },
  )
})

test('an invite that does not read is refused before anything is asked of anybody', async (t) => {
  const opened = await openFolder(await folder(t), unexpected)
  const options = { dataDir: opened.dataDir, invite: 'coppice1:abc' }
  await assert.rejects(memberByInvite(opened, options), { code: 'bad-invite' })
  await opened.disk.close()
})

test('each start has a higher incarnation, and it is on the disk before the node can say it', async (t) => {
  const dataDir = await folder(t)
  const facts = factsOf('n1', '/home')
  const sealer = trustingSealer(facts, [facts])
  const started = (): Promise<number> =>
    admitted({ dataDir }, async ({ folder: { disk } }) => (await loadMemory(disk, facts.domain, sealer)).incarnation)
  assert.deepEqual([await started(), await started(), await started()], [1, 2, 3])
})

test('a founder remembers where those are who joined, so that a lost memory is no reason to begin anew', async (t) => {
  const dataDir = await folder(t)
  const facts = factsOf('n2', '/home')
  const address = `/ip4/192.0.2.7/tcp/7/p2p/${facts.node}`
  const statement = statementBy(facts, 'n2', [address])
  await admitted({ dataDir }, async ({ folder: { disk, nodeKey } }) => {
    assert.deepEqual(await loadSeeds(disk, nodeKey.node, []), [])
    assert.deepEqual(await loadSeeds(disk, facts.node as NodeId, [statement]), [], 'not where it is itself')
    assert.deepEqual(await loadSeeds(disk, nodeKey.node, [statement]), [address])
    assert.deepEqual(await loadSeeds(disk, nodeKey.node, []), [address])
  })
})

test('a key that is damaged is refused, and the folder is free for others afterwards', async (t) => {
  const dataDir = await folder(t)
  await writeFile(join(dataDir, 'node.key'), 'nonsense')
  for (let attempt = 0; attempt < 2; attempt++) {
    await assert.rejects(openFolder(dataDir, unexpected), { code: 'damaged-key' })
  }
})

test('a join that comes to nothing says of each address why', () => {
  const attempts = [{ address: '/ip4/192.0.2.1/tcp/1', reason: 'it did not answer in time', isBusy: false }]
  const problem = asCoppiceError(new JoinUnreachableError(attempts))
  assert.ok(problem instanceof CoppiceError)
  assert.equal(problem.code, 'unreachable')
  assert.match(problem.message, /192\.0\.2\.1.*did not answer in time/)
  const other = new Error('a bug')
  assert.equal(asCoppiceError(other), other)
})

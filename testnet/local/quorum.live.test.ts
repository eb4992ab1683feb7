// Majorities that are gone for good, with real processes: a site of two goes on because its parent saw which device was
// left, and a root under manual autonomy waits for its operator. The tests are chapters of one story and run in order.

import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { DomainView, RecoveryView } from '../../node/control.ts'
import { coppice } from './command-fixture.ts'
import { type Fleet, PATIENCE_MS, removeFolder, startFleet, until } from './fleet.ts'

let baseDir = ''
let fleet: Fleet

const at = (name: string): readonly string[] => ['--data', fleet.named(name).dataDir]
const domainAt = async (name: string, path: string): Promise<DomainView> =>
  (await fleet.named(name).control.status()).domains.find((domain) => domain.path === path) ?? assert.fail(path)

/** A busy machine may cost a leader its lease; meanwhile it is refused all the same, for another reason. */
async function refusedAsLed(path: string): Promise<void> {
  const isRefused = async (): Promise<boolean> => {
    const { exitCode, stderr } = await coppice('domain', 'recover', path, '--json', ...at('a1'))
    assert.equal(exitCode, 1)
    return stderr.includes('"code":"leader-heard"')
  }
  await until(`a leader of ${path} is heard`, isRefused, PATIENCE_MS)
}

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'coppice-quorum-'))
  fleet = await startFleet({
    baseDir,
    clusters: [
      { path: '/a', names: ['a1', 'a2'] },
      { path: '/b', names: ['b1'] },
      { path: '/c', names: ['c1'] },
    ],
    flags: ['--autonomy', 'manual'],
  })
  const isWhole = async (): Promise<boolean> => {
    const [site, root] = await Promise.all([domainAt('a1', '/a'), domainAt('a1', '/')])
    return site.electors.length === 2 && root.electors.length === 3
  }
  await until('/a and the root can vote', isWhole, PATIENCE_MS)
})

after(async () => {
  await fleet?.stop()
  await removeFolder(baseDir)
})

test('a domain that has a leader is not recovered', async () => {
  await refusedAsLed('/a')
})

test('a site of two that loses one goes on by the grant of its parent, though nothing else may', async () => {
  await fleet.cutDown(fleet.named('a2'))
  const leads = async (): Promise<boolean> => {
    const { role, lineBegan } = await domainAt('a1', '/a')
    return role === 'leader' && lineBegan === 'grant'
  }
  await until('a1 leads /a by a grant', leads, PATIENCE_MS)
  await until('and /a speaks in the root', async () => (await domainAt('b1', '/')).electors.includes('/a'), PATIENCE_MS)
})

test('a root that lost its majority waits for its operator, and goes on by a signed order', async () => {
  await until('the root has three electors', async () => (await domainAt('a1', '/')).electors.length === 3, PATIENCE_MS)
  await fleet.cutDown(fleet.named('b1'))
  await fleet.cutDown(fleet.named('c1'))
  const wrong = await coppice('domain', 'recover', '/', '--order', 'nonsense', '--json', ...at('a1'))
  assert.match(wrong.stderr, /"code":"order-refused"/)
  const order = (await coppice('domain', 'recover', '/', '--sign', ...at('a1'))).stdout.trim()
  const recover = (): ReturnType<typeof coppice> =>
    coppice('domain', 'recover', '/', '--order', order, '--json', ...at('a1'))
  const recovered = await until(
    'the lease of the lost leader is over',
    async () => {
      const { exitCode, stdout } = await recover()
      return exitCode === 0 ? (JSON.parse(stdout) as RecoveryView) : null
    },
    PATIENCE_MS,
  )
  assert.equal(recovered.domain, '/')
  const root = await domainAt('a1', '/')
  assert.deepEqual([root.role, root.lineBegan, root.epoch], ['leader', 'order', recovered.epoch])
  await refusedAsLed('/')
})

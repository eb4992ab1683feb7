// A device that was away while its operator's others went over into another federation comes after them with its old
// folder: as the same device, without what it ran. The tests are chapters of one story.

import assert from 'node:assert/strict'
import { copyFile, mkdir, mkdtemp, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { OPERATOR_KEY_FILE } from '../../bootstrap/io/key-file.ts'
import { joinNode, type RunningNode } from '../../node/index.ts'
import { type Fleet, PATIENCE_MS, removeFolder, startFleet, until } from './fleet.ts'

const SERVICE = 'shop.demo.hello.web'

let baseDir = ''
let here: Fleet
let there: Fleet
let late: RunningNode | null = null

const invited = (domain: string | null): Promise<string> =>
  there.named('berlin-1').control.invite({ domain, uses: 1, ttlMs: 3_600_000 })

/** The device, started in this process; what it waits for goes nowhere. */
const come = (invite: string, leave: boolean): Promise<RunningNode> =>
  joinNode({ dataDir: here.named('rome-2').dataDir, name: 'rome-2', invite, leave, mdns: false, pressure: null })

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'left-behind-'))
  there = await startFleet({ baseDir: join(baseDir, 'there'), clusters: [{ path: '/berlin', names: ['berlin-1'] }] })
  const folder = join(baseDir, 'here', 'rome-1')
  await mkdir(folder, { recursive: true })
  await copyFile(join(baseDir, 'there', 'berlin-1', OPERATOR_KEY_FILE), join(folder, OPERATOR_KEY_FILE))
  const clusters = [{ path: '/rome', names: ['rome-1', 'rome-2'] }]
  here = await startFleet({ baseDir: join(baseDir, 'here'), clusters })
  const isReady = async (): Promise<boolean> => {
    const all = await Promise.all([...here.nodes, ...there.nodes].map(({ control }) => control.status()))
    return all.every(({ ready }) => ready)
  }
  await until('all are ready', isReady, PATIENCE_MS)
})

after(async () => {
  await late?.stop()
  await here?.stop()
  await there?.stop()
  await removeFolder(baseDir)
})

test('without being told to leave, a folder of another federation is refused, with what to do', async () => {
  const [rome, away] = [here.named('rome-1'), here.named('rome-2')]
  await rome.control.deploy(await readFile(join(import.meta.dirname, 'hello.json'), 'utf8'), { domain: null })
  const runsThere = async (): Promise<boolean> => {
    const all = await rome.control.instances()
    return all.filter(({ service, state }) => service === SERVICE && state === 'running').length === 2
  }
  await until('it runs', runsThere, PATIENCE_MS)
  await here.terminate(away)
  const isAway = async (): Promise<boolean> =>
    (await rome.control.nodes()).every(({ name, state }) => name !== 'rome-2' || state === 'dead' || state === 'left')
  await until('it is known to be away', isAway, PATIENCE_MS)
  await rome.control.federate({ invite: await invited(null), isCheck: false, isAllowed: true })
  const { federation } = await there.named('berlin-1').control.status()
  const isOver = async (): Promise<boolean> => {
    const status = await rome.control.status()
    return status.ready && status.federation === federation
  }
  await until('the other device is over', isOver, PATIENCE_MS)
  const refused = come(await invited('/rome'), false)
  await assert.rejects(refused, ({ code, hint }: { readonly code?: string; readonly hint?: string }) => {
    assert.equal(code, 'other-federation')
    assert.match(hint ?? '', /coppice join INVITE --leave/)
    return true
  })
})

test('an invite for another cluster is refused before anything changes', async () => {
  await assert.rejects(come(await invited('/berlin'), true), { code: 'other-domain' })
})

test('told to leave it comes after the others as the same device, and ends what they do not want of it', async () => {
  const { federation } = await there.named('berlin-1').control.status()
  const before = await here.named('rome-1').control.nodes()
  assert.ok(before.every(({ name }) => name !== 'rome-2'))
  late = await come(await invited('/rome'), true)
  const running = late
  await until('it can take work', async () => (await running.control.status()).ready, PATIENCE_MS)
  const status = await running.control.status()
  assert.deepEqual([status.federation, status.domain], [federation, '/rome'])
  const isKnown = async (): Promise<boolean> => {
    const all = await here.named('rome-1').control.nodes()
    return all.some(({ node, state }) => node === status.node && state === 'alive')
  }
  await until('its cluster has it', isKnown, PATIENCE_MS)
  const instances = join(here.named('rome-2').dataDir, 'instances')
  const wanted = async (): Promise<number> => {
    const all = await here.named('rome-1').control.instances()
    return all.filter(({ service, state, node }) => service === SERVICE && state === 'running' && node === status.node)
      .length
  }
  const isSettled = async (): Promise<boolean> => (await readdir(instances).catch(() => [])).length === (await wanted())
  await until('it runs what is placed there, and nothing else', isSettled, PATIENCE_MS)
})

// Who gets a secret, and that nobody else can read it anywhere.

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { loadOrCreateNodeKey, type NodeKey } from '../bootstrap/index.ts'
import { instanceKey, type NodeId, type OperatorId } from '../overlay/kernel/ids.ts'
import { ok, type Result } from '../overlay/kernel/result.ts'
import type { TunnelHeader, TunnelRefusal } from '../overlay/tunnel.ts'
import type { SignerFacts } from '../overlay/wire/envelope.ts'
import type { SealedRecord } from '../services-registry/index.ts'
import { factsOf } from './core/world.test-kit.ts'
import { placement, SERVICE, specRecord } from './fixture-records.ts'
import { openSecretFile } from './io/secret-file.ts'
import { createSecrets, type SecretHeader, type Secrets, type SecretsOptions } from './secrets.ts'

const [OURS, THEIRS] = ['ours', 'theirs'] as [OperatorId, OperatorId]
const VALUE = Buffer.from('correct horse battery staple')
const KEY = instanceKey(SERVICE, 0)
const never = new AbortController().signal

interface Device {
  readonly facts: SignerFacts
  readonly secrets: Secrets
  readonly dataDir: string
  readonly carried: Buffer[]
}

interface Setting {
  readonly placements?: readonly SealedRecord[]
  readonly uses?: readonly string[]
}

/** Devices by name, domain and operator, in reach of each other; the first submitted the service. */
async function devices(
  t: TestContext,
  plan: readonly (readonly [string, string, OperatorId])[],
  { placements = [], uses = ['db'] }: Setting = {},
): Promise<{ readonly all: readonly Device[]; readonly gone: Set<NodeId> }> {
  const all: Device[] = []
  const gone = new Set<NodeId>()
  const keys: { readonly dataDir: string; readonly nodeKey: NodeKey }[] = []
  for (const _ of plan) {
    const dataDir = await mkdtemp(join(tmpdir(), 'coppice-secret-'))
    t.after(() => rm(dataDir, { recursive: true }))
    keys.push({ dataDir, nodeKey: await loadOrCreateNodeKey(dataDir) })
  }
  const facts = plan.map(
    ([, domain, operator], index): SignerFacts => ({
      ...factsOf('x', domain),
      node: keys[index]?.nodeKey.node as NodeId,
      operator,
    }),
  )
  const use = { secrets: uses.map((name) => ({ name, environment: null })) }
  const record = { ...specRecord('/', 1, use), signer: facts[0] as SignerFacts }
  for (const [index, self] of facts.entries()) {
    const { dataDir, nodeKey } = keys[index] as (typeof keys)[number]
    const carried: Buffer[] = []
    const tunnelTo = async (node: NodeId, _domain: string, header: TunnelHeader) => {
      const other = all.find((one) => one.facts.node === node)
      if (other === undefined || gone.has(node)) return { ok: false, error: { code: 'unreachable', detail: '' } }
      return overheard(other.secrets.serve(self, header as SecretHeader), carried)
    }
    const roster = facts.filter(({ domain }) => domain === self.domain)
    const core = {
      self,
      stores: () => [{ placements: () => placements, spec: () => record }],
      unaccepted: () => [],
      roster: () => new Map(roster.map((one) => [one.node, { node: one.node, state: 'alive', facts: one }])),
      roundTripMs: () => null,
    } as unknown as SecretsOptions['core']
    const file = await openSecretFile(dataDir)
    const traffic = () => ({ tunnelTo }) as unknown as ReturnType<SecretsOptions['traffic']>
    const secrets = createSecrets({ core, nodeKey, file, traffic, wall: Date.now, lookUp: async () => assert.fail() })
    all.push({ facts: self, secrets, dataDir, carried })
  }
  return { all, gone }
}

/** The stream, and a copy of what goes through it both ways. */
function overheard(served: Result<Duplex, TunnelRefusal>, carried: Buffer[]): Result<Duplex, TunnelRefusal> {
  if (!served.ok) return served
  const inner = served.value
  const outer = new Duplex({
    read() {},
    write(piece: Buffer, _encoding, done) {
      carried.push(piece)
      inner.write(piece, done)
    },
    final(done) {
      inner.end(done)
    },
  })
  inner.on('data', (piece: Buffer) => {
    carried.push(piece)
    outer.push(piece)
  })
  inner.on('end', () => outer.push(null))
  return ok(outer)
}

const got = async (device: Device | undefined, name = 'db'): Promise<string | undefined> => {
  const found = (await device?.secrets.source.of(KEY, [name], never))?.get(name)
  return found === undefined ? undefined : Buffer.from(found).toString()
}

async function nowhereReadable(all: readonly Device[]): Promise<void> {
  for (const { dataDir, carried } of all) {
    const kept = await readFile(join(dataDir, 'secrets.json'), 'utf8').catch(() => '')
    const forms = [VALUE.toString(), VALUE.toString('base64'), VALUE.toString('hex')]
    for (const form of forms) assert.ok(!kept.includes(form) && !Buffer.concat(carried).includes(form))
  }
}

test('a secret is kept on the operator’s devices, each copy for one of them, and removed from all', async (t) => {
  const { all } = await devices(t, [
    ['a1', '/a', OURS],
    ['a2', '/a', OURS],
    ['a3', '/a', THEIRS],
  ])
  const [first, second, theirs] = all
  assert.equal(await first?.secrets.set('db', VALUE), 2)
  assert.deepEqual(
    second?.secrets.list().map(({ name }) => name),
    ['db'],
  )
  assert.deepEqual(theirs?.secrets.list(), [])
  assert.equal(await got(second), VALUE.toString())
  await nowhereReadable(all)
  await first?.secrets.remove('db')
  assert.deepEqual([...(first?.secrets.list() ?? []), ...(second?.secrets.list() ?? [])], [])
  assert.equal(await got(second), undefined)
  await assert.rejects(async () => first?.secrets.remove('db'), { code: 'no-such-secret' })
})

test('who was away, or in another cluster, has a secret and its removal from the first that it meets', async (t) => {
  const { all } = await devices(t, [
    ['a1', '/a', OURS],
    ['b1', '/b', OURS],
    ['b2', '/b', OURS],
    ['c1', '/c', THEIRS],
  ])
  const [first, other, beside, theirs] = all
  assert.ok(first && other && beside && theirs)
  await first.secrets.set('db', VALUE)
  assert.deepEqual(other.secrets.list(), [])
  await first.secrets.onConnected(other.facts)
  await first.secrets.onConnected(theirs.facts)
  assert.equal(other.secrets.list().length, 1)
  assert.deepEqual(theirs.secrets.list(), [])
  await other.secrets.onConnected(beside.facts)
  assert.equal(await got(beside), VALUE.toString())
  const before = first.carried.length + other.carried.length
  await first.secrets.onConnected(other.facts)
  assert.equal(first.carried.length + other.carried.length, before, 'what it has taken is not handed over again')
  await first.secrets.remove('db')
  await first.secrets.onConnected(other.facts)
  assert.deepEqual(other.secrets.list(), [])
  await nowhereReadable(all)
})

test('another operator’s device gets what a service names that runs there, anew where it moves', async (t) => {
  const placements: SealedRecord[] = [placement('/', '/b')]
  const plan = [
    ['a1', '/a', OURS],
    ['b1', '/b', THEIRS],
    ['c1', '/c', THEIRS],
  ] as const
  const { all, gone } = await devices(t, plan, { placements })
  const [holder, there, elsewhere] = all
  await holder?.secrets.set('db', VALUE)
  await holder?.secrets.set('other', VALUE)
  assert.equal(await got(there), VALUE.toString())
  assert.equal(await got(there, 'other'), undefined, 'the service does not name it')
  assert.equal(await got(elsewhere), undefined, 'it is not placed there')
  placements[0] = placement('/', '/c')
  assert.equal(await got(elsewhere), VALUE.toString())
  await nowhereReadable(all)
  gone.add(holder?.facts.node as NodeId)
  assert.equal(await got(elsewhere), VALUE.toString(), 'what runs starts again without a network')
})

test('nobody learns which secrets there are, and no stranger puts one in', async (t) => {
  const { all } = await devices(t, [
    ['a1', '/a', OURS],
    ['b1', '/b', THEIRS],
  ])
  const [holder, stranger] = all
  await holder?.secrets.set('db', VALUE)
  const ask = (name: string) =>
    holder?.secrets.serve(stranger?.facts as SignerFacts, { kind: 'secret', name, service: SERVICE, number: 0 })
  assert.deepEqual(ask('db'), ask('nonsense'))
  const put = { kind: 'keep-secret', name: 'db', at: '2099-01-01T00:00:00.000Z' } as const
  assert.equal(holder?.secrets.serve(stranger?.facts as SignerFacts, put).ok, false)
  for (const name of ['', '../x', 'a b', 'x'.repeat(64)])
    await assert.rejects(async () => holder?.secrets.set(name, VALUE), { code: 'bad-name' })
  await assert.rejects(async () => holder?.secrets.set('big', Buffer.alloc(64_001)), { code: 'bad-secret' })
})

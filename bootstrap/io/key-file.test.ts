// Keys on a real file system: made once, found again, and never replaced.

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { operatorPublicKey } from '../charter-entry.ts'
import { BootstrapError } from '../errors.ts'
import { rawKeyOfNode, verifyNodeSignature, verifySignature } from './crypto.ts'
import { createOperatorKey, loadOperatorKey, loadOrCreateNodeKey } from './key-file.ts'

const root = await mkdtemp(join(tmpdir(), 'coppice-keys-'))
after(() => rm(root, { recursive: true }))
const payload = new TextEncoder().encode('said by me')

const failsWith = (code: string, task: Promise<unknown>): Promise<void> =>
  assert.rejects(task, (problem) => {
    assert.ok(problem instanceof BootstrapError)
    assert.equal(problem.code, code)
    assert.ok(problem.message.length > 0 && problem.hint.length > 0)
    return true
  })

test('a node that starts again with its folder is the same node', async () => {
  const folder = join(root, 'new', 'node')
  const first = await loadOrCreateNodeKey(folder)
  const second = await loadOrCreateNodeKey(folder)
  assert.equal(second.node, first.node)
  assert.ok(verifyNodeSignature(first.node, payload, second.sign(payload)))
  assert.deepEqual(await readdir(folder), ['node.key'])
  assert.equal((await stat(join(folder, 'node.key'))).mode & 0o777, 0o600)
})

test('a damaged node key is an error that says what to do, and is left as it is', async () => {
  const folder = join(root, 'damaged')
  await loadOrCreateNodeKey(folder)
  const path = join(folder, 'node.key')
  const good = await readFile(path)
  const flipped = Buffer.from(good)
  flipped[20] = (flipped[20] ?? 0) ^ 1
  for (const content of [Buffer.alloc(0), good.subarray(0, 30), flipped, Buffer.alloc(100_000, 65)]) {
    await writeFile(path, content)
    await failsWith('damaged-key', loadOrCreateNodeKey(folder))
    assert.deepEqual(await readFile(path), content)
  }
  await rm(path)
  await mkdir(path)
  await failsWith('unreadable-key', loadOrCreateNodeKey(folder))
})

test('an operator key is readable by its owner only, and is never replaced', async () => {
  const path = join(root, 'operator.key')
  assert.equal(await loadOperatorKey(path), null)
  const made = await createOperatorKey(path, 'Green Fields')
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  const loaded = await loadOperatorKey(path)
  assert.equal(loaded?.operator, made.operator)
  assert.equal(loaded?.name, 'Green Fields')
  const raw = operatorPublicKey(made.operator)
  assert.ok(raw && loaded && verifySignature(raw, payload, loaded.sign(payload)))
  await failsWith('key-exists', createOperatorKey(path, 'Another'))
  assert.equal((await loadOperatorKey(path))?.operator, made.operator)
  assert.deepEqual(
    (await readdir(root)).filter((name) => name.endsWith('.new')),
    [],
  )
})

test('a damaged operator key is an error, whichever of its parts is wrong', async () => {
  const path = join(root, 'damaged-operator.key')
  await createOperatorKey(path, 'acme')
  const good = JSON.parse(await readFile(path, 'utf8'))
  const contents = ['', '{', 'null', { ...good, seed: 'AAAA' }, { ...good, seed: 7 }, { ...good, operator: 'uAAAA' }]
  for (const content of [...contents, { ...good, name: null }]) {
    await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
    await failsWith('damaged-key', loadOperatorKey(path))
  }
})

test('a key that cannot be written is an error that says why', async () => {
  const blocked = join(root, 'a-file')
  await writeFile(blocked, '')
  await failsWith('unwritable-key', createOperatorKey(join(blocked, 'operator.key'), 'acme'))
  await failsWith('bad-option', createOperatorKey(join(root, 'unnamed.key'), ' '))
})

test('only the id of an Ed25519 key, spelled as libp2p spells it, is a node id', async () => {
  const { node } = await loadOrCreateNodeKey(join(root, 'ids'))
  assert.equal(rawKeyOfNode(node)?.length, 32)
  const rsa = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'
  const secp256k1 = '16Uiu2HAm6F3i1rDZNPTmUAoo8nWvkUFYCwHVjqYSpTdVqTqJzBSZ'
  for (const other of ['', 'x', rsa, secp256k1, `${node}1`, node.slice(1), ` ${node}`]) {
    assert.equal(rawKeyOfNode(other as typeof node), null, other)
    assert.equal(verifyNodeSignature(other as typeof node, payload, new Uint8Array(64)), false)
  }
  assert.equal(verifyNodeSignature(node, payload, new Uint8Array(63)), false)
})

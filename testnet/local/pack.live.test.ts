// The package as a user gets it: packed, installed globally into an empty prefix, started. Needs the registry for the
// one runtime dependency, and some seconds.

import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'

const ROOT = join(import.meta.dirname, '../..')
const run = promisify(execFile)

let folder = ''
let prefix = ''
let node: ChildProcess | null = null

/** The launcher's `#!/usr/bin/env node` finds the Node that runs this test, not the one of the shell. */
const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}` }
const coppice = (...words: readonly string[]) => run(join(prefix, 'bin/coppice'), [...words], { env, cwd: folder })

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pack-'))
  prefix = join(folder, 'prefix')
  await run('npm', ['pack', '--pack-destination', folder], { cwd: ROOT })
  const [file] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'))
  assert.ok(file)
  await run('npm', ['install', '--global', '--prefix', prefix, join(folder, file)], { cwd: folder })
})

after(async () => {
  node?.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

test('the installed command says its version', async () => {
  const { stdout } = await coppice('version', '--json')
  const wanted = JSON.parse((await run('npm', ['pkg', 'get', 'version'], { cwd: ROOT })).stdout)
  assert.equal(JSON.parse(stdout).version, wanted)
})

test('the package carries no sources and no tests, but types and licences', async () => {
  const installed = join(prefix, 'lib/node_modules/coppice')
  const files = (await readdir(installed, { recursive: true })).filter((file) => !file.startsWith('node_modules'))
  assert.deepEqual(
    files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts')),
    [],
  )
  assert.deepEqual(
    files.filter((file) => file.includes('.test.')),
    [],
  )
  for (const file of ['LICENSE', 'README.md', 'dist/THIRD-PARTY-LICENSES', 'dist/types/node/index.d.ts']) {
    assert.ok(files.includes(file), file)
  }
})

test('the installed command checks a descriptor without a node', async () => {
  await assert.rejects(coppice('validate', join(ROOT, 'package.json'), '--json'), ({ code, stdout }) => {
    assert.equal(code, 1)
    assert.equal(JSON.parse(stdout).valid, false)
    return true
  })
})

test('the installed command runs a node that comes up, answers and stops in order', async () => {
  const dataDir = join(folder, 'data')
  const words = ['up', '--data', dataDir, '--listen', '/ip4/127.0.0.1/tcp/0', '--no-mdns', '--name', 'packed']
  node = spawn(join(prefix, 'bin/coppice'), words, { env, cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  assert.ok(node.stdout)
  const [line] = await once(createInterface(node.stdout), 'line')
  assert.equal(line, 'ready')
  const status = JSON.parse((await coppice('status', '--data', dataDir, '--json')).stdout)
  assert.deepEqual([status.name, status.ready], ['packed', true])
  node.kill('SIGTERM')
  const [exitCode] = await once(node, 'exit')
  assert.equal(exitCode, 0)
})

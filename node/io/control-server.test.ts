// The control socket from end to end: the real server and the real client on a socket in a folder of the test's own.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import { serveExec } from '../../placement/io/exec-serving.ts'
import type { ExecRequest, ExecSession } from '../../placement/runtime.ts'
import type { NodeControl } from '../control.ts'
import { CoppiceError } from '../errors.ts'
import { createControlClient } from './control-client.ts'
import { serveControl } from './control-server.ts'
import { bytes, EVENT, fixtureControl, inspected, SERVICE, status } from './fixture-control.ts'

const never = new AbortController().signal

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'control-'))
  t.after(() => rm(made, { recursive: true, force: true }))
  return made
}

async function serve(t: TestContext, overrides: Partial<NodeControl> = {}) {
  const dataDir = await folder(t)
  const control = fixtureControl(overrides)
  const bugs: unknown[] = []
  const server = await serveControl(control, dataDir, { onBug: (problem) => bugs.push(problem) })
  t.after(() => server.close())
  return { bugs, control, server, dataDir, client: createControlClient(dataDir) }
}

/** Sends what our own client never would. */
async function raw(path: string, method: string, url: string, body: string) {
  const asked = request({
    socketPath: path,
    method,
    path: url,
    headers: { 'content-type': 'application/json' },
    agent: false,
  })
  asked.end(body)
  const [response] = await once(asked, 'response')
  return { status: response.statusCode, error: JSON.parse(await text(response)).error }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

test('a client gets what the node answers, field by field', async (t) => {
  const { client } = await serve(t)
  assert.deepEqual(await client.status(), status)
  assert.equal((await client.nodes())[0]?.name, 'berlin-1')
  assert.equal((await client.instances())[0]?.state, 'running')
  assert.deepEqual(await client.inspect(SERVICE), inspected)
  assert.equal(await client.metrics(), 'coppice_up 1\n')
})

test('what a client asks reaches the node unchanged', async (t) => {
  const { client, control } = await serve(t)
  await client.deploy('{"x": "ü"}', { domain: '/berlin' })
  await client.services(['a.b.c.d', 'e.f.g.h'])
  await client.services(['a.b.c.d'])
  await client.services([])
  await client.remove('a.b.c.d')
  await client.scale('a b/c', 3)
  await client.migrate('a b/c', 1, '/berlin')
  await client.intake('berlin-1', 'draining')
  await client.intake('berlin-1', null)
  await client.rollback('a.b.c.d')
  await client.resolve('x.local:80')
  await client.ping('berlin-2')
  await client.revoke('berlin-2')
  assert.equal(await client.signRecovery('/berlin'), 'eyJ.order')
  assert.equal((await client.recover('/berlin', 'eyJ.order')).epoch, 2)
  await client.recover('/berlin', null)
  assert.equal(await client.invite({ domain: null, uses: 2, ttlMs: 60_000 }), 'coppice1:abc')
  await client.invite({ domain: '/berlin', uses: 1, ttlMs: 1_000, node: '12D3', isEnrolling: true })
  assert.deepEqual(control.asked, [
    ['deploy', '{"x": "ü"}', '/berlin'],
    ['services', ['a.b.c.d', 'e.f.g.h']],
    ['services', ['a.b.c.d']],
    ['services', []],
    ['remove', 'a.b.c.d'],
    ['scale', 'a b/c', 3],
    ['migrate', 'a b/c', 1, '/berlin'],
    ['intake', 'berlin-1', 'draining'],
    ['intake', 'berlin-1', null],
    ['rollback', 'a.b.c.d'],
    ['resolve', 'x.local:80'],
    ['ping', 'berlin-2'],
    ['revoke', 'berlin-2'],
    ['signRecovery', '/berlin'],
    ['recover', '/berlin', 'eyJ.order'],
    ['recover', '/berlin', null],
    ['invite', { domain: null, uses: 2, ttlMs: 60_000, node: null, isEnrolling: false }],
    ['invite', { domain: '/berlin', uses: 1, ttlMs: 1_000, node: '12D3', isEnrolling: true }],
  ])
})

test('what operators ask of their node reaches it unchanged', async (t) => {
  const { client, control } = await serve(t)
  assert.equal((await client.invites())[0]?.state, 'open')
  assert.equal((await client.takeBackInvite('0a')).state, 'revoked')
  assert.equal((await client.charterLog()).name, 'Green Fields')
  assert.equal(await client.charterFile(), 'coppice charter 2\n')
  await client.takeCharter('coppice charter 2\n')
  assert.equal((await client.admitOperator('coppice-operator1:abc')).missing, 1)
  await client.removeOperator('birch', 'moved away')
  await client.signCharter('')
  await client.setThreshold('two-thirds')
  await client.rotateOperator(true)
  assert.equal(await client.prepare({ name: 'shed', domain: null }), '{}')
  assert.deepEqual(control.asked, [
    ['takeBackInvite', '0a'],
    ['takeCharter', 'coppice charter 2\n'],
    ['admitOperator', 'coppice-operator1:abc'],
    ['removeOperator', 'birch', 'moved away'],
    ['signCharter', ''],
    ['setThreshold', 'two-thirds'],
    ['rotateOperator', true],
    ['prepare', { name: 'shed', domain: null }],
  ])
})

test('a refusal arrives with its code, its reason and what to do', async (t) => {
  const { client, server } = await serve(t)
  await assert.rejects(client.inspect('no.such.service.here'), {
    name: 'CoppiceError',
    code: 'no-such-service',
    message: 'there is no service no.such.service.here',
    hint: 'See `coppice ps`.',
  })
  assert.equal((await raw(server.path, 'GET', '/v1/services/x', '')).status, 404)
})

test('a bug in the node arrives as an internal error and leaves the socket serving', async (t) => {
  const bug = new TypeError('x is undefined')
  const { bugs, client } = await serve(t, {
    nodes: () => {
      throw bug
    },
  })
  await assert.rejects(client.nodes(), { code: 'internal', message: 'x is undefined' })
  assert.deepEqual(bugs, [bug])
  assert.equal((await client.status()).ready, true)
})

test('a request that is wrong is refused with the name of the field', async (t) => {
  const { server } = await serve(t)
  const cases: readonly (readonly [method: string, url: string, body: string, problem: RegExp])[] = [
    ['POST', '/v1/services/x/scale', '{"replicas": -1}', /^replicas: /],
    ['POST', '/v1/services/x/scale', '{"replicas": 1, "force": true}', /"force"/],
    ['POST', '/v1/deploy', '{}', /^descriptor: /],
    ['POST', '/v1/deploy', '{"descriptor": ', /JSON/],
    ['POST', '/v1/invites', '{"ttlMs": "1h"}', /^ttlMs: /],
    ['POST', '/v1/forward', '{"address": "x", "localPort": 70000}', /^localPort: /],
    ['GET', '/v1/logs?service=x&tail=many', '', /^tail: /],
    ['GET', '/v1/resolve', '', /^address: /],
  ]
  for (const [method, url, body, problem] of cases) {
    const { status, error } = await raw(server.path, method, url, body)
    assert.equal(status, 400, url)
    assert.equal(error.code, 'bad-request', url)
    assert.match(error.message, problem)
  }
  const unknown = await raw(server.path, 'GET', '/v1/elsewhere', '')
  assert.equal(unknown.status, 404)
  assert.equal(unknown.error.code, 'no-such-route')
})

test('events stream until the client goes, and the node is told that it went', async (t) => {
  const { client, control } = await serve(t)
  const gone = new AbortController()
  for await (const event of client.events(gone.signal)) {
    assert.deepEqual(event, EVENT)
    gone.abort()
  }
  await until(() => control.asked.includes('events ended'))
})

test('a log arrives byte for byte', async (t) => {
  const { client, control } = await serve(t)
  const pieces: Uint8Array[] = []
  for await (const piece of client.logs({ service: SERVICE, number: 1, follow: true, tail: 5, sinceMs: 5_000 }, never))
    pieces.push(piece)
  assert.equal(Buffer.concat(pieces).toString(), 'hello\nworld\n')
  assert.deepEqual(control.asked, [['logs', { service: SERVICE, number: 1, follow: true, tail: 5, sinceMs: 5_000 }]])
})

test('a log that breaks off says why, after what it had to say', async (t) => {
  const { client } = await serve(t, {
    logs: async () =>
      (async function* () {
        yield* bytes('hello\n')
        throw new CoppiceError('unreachable', 'the path to größe was lost', 'Try again.')
      })(),
  })
  const pieces: Uint8Array[] = []
  const read = async () => {
    for await (const piece of client.logs(
      { service: SERVICE, number: null, follow: false, tail: null, sinceMs: null },
      never,
    ))
      pieces.push(piece)
  }
  await assert.rejects(read(), { code: 'unreachable', message: 'the path to größe was lost' })
  assert.equal(Buffer.concat(pieces).toString(), 'hello\n')
})

test('a forwarded port stands until the client goes', async (t) => {
  const { client, control } = await serve(t)
  const gone = new AbortController()
  const forwarded = await client.forward({ address: 'x.local:80', localPort: 0, protocol: 'udp' }, gone.signal)
  assert.deepEqual([forwarded.host, forwarded.port], ['127.0.0.1', 4711])
  assert.equal(control.asked.includes('forward ended'), false)
  gone.abort()
  await forwarded.ended
  await until(() => control.asked.includes('forward ended'))
})

test('a node that stops ends its streams and takes its socket away', async (t) => {
  const { client, server, dataDir } = await serve(t)
  const events = client.events(never)[Symbol.asyncIterator]()
  await events.next()
  const rest = assert.rejects(events.next(), { code: 'broken-off' })
  await server.close()
  await rest
  assert.equal(existsSync(server.path), false)
  await assert.rejects(client.status(), { code: 'no-node', message: `no node answers in ${dataDir}` })
})

test('what a node has to say of its own end is still told', async (t) => {
  const farewell = { ...EVENT, name: 'leadership-ended' }
  const { client, server } = await serve(t, {
    events: async function* (signal) {
      yield EVENT
      await once(signal, 'abort')
      yield farewell
    },
  })
  const events = client.events(never)[Symbol.asyncIterator]()
  await events.next()
  const last = events.next()
  await server.close()
  assert.deepEqual(await last, { done: false, value: farewell })
  await assert.rejects(events.next(), { code: 'broken-off' })
})

test('only the owner may open the socket', async (t) => {
  const { server } = await serve(t)
  assert.equal(statSync(server.path).mode & 0o777, 0o600)
})

test('a second node in the same folder is refused and does not disturb the first', async (t) => {
  const { client, dataDir } = await serve(t)
  await assert.rejects(serveControl(fixtureControl(), dataDir), { code: 'node-running' })
  assert.equal((await client.status()).ready, true)
})

test('a socket that a killed node left behind is replaced', async (t) => {
  const dataDir = await folder(t)
  const killed = "require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))"
  spawnSync(process.execPath, ['-e', killed, join(dataDir, 'control.sock')])
  assert.equal(existsSync(join(dataDir, 'control.sock')), true)
  await assert.rejects(createControlClient(dataDir).status(), { code: 'no-node' })
  const server = await serveControl(fixtureControl(), dataDir)
  t.after(() => server.close())
  assert.equal((await createControlClient(dataDir).status()).ready, true)
})

test('a folder whose path is too long for a socket serves all the same', async (t) => {
  const dataDir = join(await folder(t), 'deep'.repeat(20), 'deeper'.repeat(20))
  await mkdir(dataDir, { recursive: true })
  const server = await serveControl(fixtureControl(), dataDir)
  t.after(() => server.close())
  assert.equal(existsSync(join(dataDir, 'control.sock')), true)
  assert.equal((await createControlClient(dataDir).status()).ready, true)
  await assert.rejects(serveControl(fixtureControl(), dataDir), { code: 'node-running' })
  await server.close()
  assert.equal(existsSync(join(dataDir, 'control.sock')), false)
})

test('a program in an instance is run over the socket, and a refusal of each kind says its own', async (t) => {
  const request = { command: ['cat'], terminal: null, input: true }
  const seen: unknown[] = []
  const cat = async (asked: ExecRequest): Promise<Result<ExecSession, string>> => {
    seen.push(asked)
    const said = new PassThrough()
    return ok({
      output: (async function* () {
        for await (const piece of said) yield { stream: 'out' as const, bytes: piece as Uint8Array }
      })(),
      write: async (bytes) => void said.write(bytes),
      end: () => void said.end(),
      resize: () => undefined,
      exit: once(said, 'close').then(() => 7),
      close: () => void said.destroy(),
    })
  }
  const { client } = await serve(t, {
    exec: async ({ number }) => {
      if (number === null) return serveExec(cat)
      if (number === 1) return serveExec(async () => err('no such program'))
      throw new CoppiceError('not-allowed', 'it is not yours', 'Ask its owner.')
    },
  })
  const session = await client.exec({ service: SERVICE, number: null }, request, never)
  await session.write(Buffer.from('good day'))
  session.end()
  const pieces: Uint8Array[] = []
  for await (const { bytes: piece } of session.output) pieces.push(piece)
  assert.equal(String(Buffer.concat(pieces)), 'good day')
  assert.equal(await session.exit, 7)
  assert.deepEqual(seen, [request])
  const refused = (number: number) => client.exec({ service: SERVICE, number }, request, never)
  await assert.rejects(refused(1), { code: 'not-started', message: 'no such program' })
  await assert.rejects(refused(2), { code: 'not-allowed', message: 'it is not yours', hint: 'Ask its owner.' })
})

test('a program that is run over the socket ends when the node stops', async (t) => {
  const closed = Promise.withResolvers<void>()
  const hang: ExecSession = {
    output: (async function* () {
      await closed.promise
      yield { stream: 'out' as const, bytes: Buffer.from('too late') }
    })(),
    write: async () => undefined,
    end: () => undefined,
    resize: () => undefined,
    exit: closed.promise.then(() => null),
    close: () => closed.resolve(),
  }
  const { client, server } = await serve(t, { exec: async () => serveExec(async () => ok(hang)) })
  const asked = { command: ['sleep'], terminal: null, input: false }
  const session = await client.exec({ service: SERVICE, number: null }, asked, never)
  await server.close()
  await closed.promise
  assert.equal(
    await session.output[Symbol.asyncIterator]()
      .next()
      .catch(() => 'broken'),
    'broken',
  )
})

// Programs inside containers, with a real engine:
//   testnet/lab/with-docker.sh node --test placement/io/docker-exec.live.test.ts

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import Docker from 'dockerode'
import { containerName } from '../instance-name.ts'
import type { ExecRequest, ExecSession } from '../runtime.ts'
import { type Bench, bench, container, shell } from './docker-bench.ts'

async function running(t: TestContext): Promise<
  Bench & {
    readonly exec: (parts: Partial<ExecRequest>) => Promise<ExecSession>
    readonly processes: () => Promise<string[]>
  }
> {
  const made = await bench(t)
  const launch = container({ ...shell('sleep 60'), environment: { GREETING: 'good day' }, workingFolder: '/tmp' })
  made.driver.start(launch)
  await made.next('running')
  const found = new Docker().getContainer(containerName(made.nodeId, launch.key))
  return {
    ...made,
    exec: async (parts) => {
      const started = await made.driver.exec(launch.key, { command: ['true'], terminal: null, input: false, ...parts })
      assert.ok(started.ok, started.ok ? '' : started.error)
      return started.value
    },
    processes: async () => (await found.top()).Processes.map((row: string[]) => row.at(-1) ?? ''),
  }
}

test('a program in a container has its folder and environment, and its exit code is passed on', async (t) => {
  const { exec } = await running(t)
  const session = await exec({
    command: ['sh', '-c', 'read line; echo "$line, $GREETING from $PWD"; echo no >&2; exit 7'],
    input: true,
  })
  await session.write(Buffer.from('hello\n'))
  session.end()
  const said = { out: '', err: '' }
  for await (const { stream, bytes } of session.output) said[stream] += Buffer.from(bytes).toString('utf8')
  assert.deepEqual(said, { out: 'hello, good day from /tmp\n', err: 'no\n' })
  assert.equal(await session.exit, 7)
})

test('a program in a container gets a terminal, hears of its size, and of Ctrl-C', async (t) => {
  const { exec } = await running(t)
  const script = `trap 'busybox stty size; echo resized' WINCH; trap 'echo interrupted; exit 9' INT
    busybox stty -echo; [ -t 0 ] && echo terminal; while :; do sleep 0.05; done`
  const session = await exec({ command: ['sh', '-c', script], terminal: { columns: 91, rows: 31 }, input: true })
  let said = ''
  for await (const { bytes } of session.output) {
    const before = said
    said += Buffer.from(bytes).toString('utf8')
    const comes = (text: string): boolean => said.includes(text) && !before.includes(text)
    if (comes('terminal')) session.resize({ columns: 101, rows: 41 })
    if (comes('41 101')) await session.write(Buffer.from([3]))
  }
  assert.match(said, /interrupted\r\n$/)
  assert.equal(await session.exit, 9)
})

test('a program in a container ends when its caller goes', async (t) => {
  const { exec, processes } = await running(t)
  const session = await exec({ command: ['sh', '-c', 'echo up; exec sleep 4242'] })
  const reading = session.output[Symbol.asyncIterator]()
  await reading.next()
  assert.ok((await processes()).some((line) => line.includes('4242')))
  session.close()
  // What is not read to its end has none.
  assert.equal((await reading.next()).done, true)
  assert.equal(await session.exit, 129)
  assert.equal(
    (await processes()).some((line) => line.includes('4242')),
    false,
  )
})

test('a lot of input and output goes through whole', async (t) => {
  const { exec } = await running(t)
  const session = await exec({ command: ['cat'], input: true })
  const piece = Buffer.alloc(65_536, 'x')
  const pieces = 64
  const reading = (async () => {
    let bytesRead = 0
    for await (const { bytes } of session.output) bytesRead += bytes.length
    return bytesRead
  })()
  for (let sent = 0; sent < pieces; sent++) await session.write(piece)
  session.end()
  assert.equal(await reading, pieces * piece.length)
  assert.equal(await session.exit, 0)
})

test('a program that is not in the image is told as the engine tells it', async (t) => {
  const { exec } = await running(t)
  const session = await exec({ command: ['no-such-program'] })
  let said = ''
  for await (const { bytes } of session.output) said += Buffer.from(bytes).toString('utf8')
  assert.match(said, /no-such-program/)
  // The engine's own code for a program that cannot be started; newer engines say 127.
  assert.ok([126, 127].includes((await session.exit) ?? 0))
})

// Looking into instances from any device of the federation: their logs, and programs inside them, over real tunnels.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { InstanceView } from '../../node/control.ts'
import { answer, COPPICE, coppice, WAITING } from './command-fixture.ts'
import { type Fleet, PATIENCE_MS, readyFleet, removeFolder, until } from './fleet.ts'

const SERVICE = 'shop.demo.hello.web'
const DESCRIPTOR = join(import.meta.dirname, 'hello.json')

let baseDir = ''
let fleet: Fleet

const at = (name: string): readonly string[] => ['--data', join(baseDir, name)]
const instances = (name: string): Promise<readonly InstanceView[]> => answer('ps', ...at(name))

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs the CLI with input, on a terminal of its own when asked: `script` makes one and passes its keys on. */
function run(words: readonly string[], input: readonly (string | RegExp)[], isOnTerminal = false): Promise<Ended> {
  const line = [process.execPath, COPPICE, ...words]
  const quoted = line.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
  const [program = '', ...rest] = isOnTerminal
    ? ['script', '-qefc', `stty cols 91 rows 31; ${quoted}`, '/dev/null']
    : line
  const child = spawn(program, rest, { stdio: 'pipe' })
  child.stdin.on('error', () => undefined)
  const said = { out: '', err: '' }
  // What is to be typed, and in between what has to be read first.
  const waiting = [...input]
  const type = (): void => {
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      if (next instanceof RegExp && !next.test(said.out)) return
      waiting.shift()
      if (typeof next === 'string') child.stdin.write(next)
    }
    if (!isOnTerminal) child.stdin.end()
  }
  child.stdout.on('data', (piece) => {
    said.out += String(piece)
    type()
  })
  child.stderr.on('data', (piece) => {
    said.err += String(piece)
  })
  type()
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...said })))
}

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'instances-'))
  fleet = await readyFleet({
    baseDir,
    clusters: [
      { path: '/a', names: ['a1', 'a2'] },
      { path: '/b', names: ['b1'] },
    ],
  })
  const { exitCode, stderr } = await coppice('deploy', DESCRIPTOR, ...WAITING, ...at('a1'))
  assert.equal(exitCode, 0, stderr)
})

after(async () => {
  await fleet?.stop()
  await removeFolder(baseDir)
})

test('a program is run in each instance from each device, with input, both outputs and its exit code', async () => {
  const script = 'read line; echo "$line in $COPPICE_INSTANCE"; echo no >&2; exit 7'
  for (const name of ['a1', 'a2', 'b1']) {
    for (const number of [0, 1]) {
      const words = ['exec', `${SERVICE}#${number}`, '-i', ...at(name), '--', 'sh', '-c', script]
      assert.deepEqual(await run(words, ['hello\n']), { code: 7, out: `hello in ${number}\n`, err: 'no\n' })
    }
  }
})

test('a shell on another device has the terminal of the one who typed, and Ctrl-C is its own affair', async () => {
  const all = await instances('b1')
  const number = all.find(({ name }) => name !== 'b1')?.number
  assert.ok(number !== undefined, 'an instance on another device')
  const script = `trap 'echo interrupted; exit 9' INT; stty size; echo ready; while :; do sleep 0.05; done`
  const words = ['exec', `${SERVICE}#${number}`, '-i', '-t', ...at('b1'), '--', 'sh', '-c', script]
  const { code, out } = await run(words, [/ready/, '\u0003'], true)
  assert.match(out, /31 91\r+\nready\r+\n(\^C)?interrupted\r+\n$/)
  assert.equal(code, 9)
})

test('what cannot be run is refused with a code and a sentence', async () => {
  const none = await run(['exec', `${SERVICE}#7`, ...at('b1'), '--', 'ls'], [])
  assert.equal(none.code, 1)
  assert.match(none.err, /there is no instance of shop\.demo\.hello\.web#7/)
  const missing = await run(['exec', `${SERVICE}#0`, ...at('b1'), '--', 'no-such-program'], [])
  assert.equal(missing.code, 1)
  assert.match(missing.err, /there is no program "no-such-program"/)
})

test('logs are read from each device: of all instances with their numbers, of one byte for byte', async () => {
  for (const name of ['a1', 'a2', 'b1']) {
    const all = /^#0 \| listening on \d+\n#1 \| listening on \d+\n$/
    // Asked again where one of the devices was not reached in time.
    const reads = async (wanted: RegExp, ...words: readonly string[]): Promise<boolean> =>
      wanted.test((await coppice('logs', SERVICE, ...words, ...at(name))).stdout)
    await until(`${name} reads all`, () => reads(all), PATIENCE_MS)
    await until(`${name} reads one`, () => reads(/^listening on \d+\n$/, '--instance', '1'), PATIENCE_MS)
  }
  const recent = await coppice('logs', SERVICE, '--since', '1ms', ...at('a1'))
  assert.equal(recent.stdout, '')
})

test('a log that is followed goes on with the new copies of the instances', async () => {
  const reading = new AbortController()
  const request = { service: SERVICE, number: null, follow: true, tail: 1, sinceMs: null }
  const client = fleet.named('b1').control
  let said = ''
  const following = (async () => {
    for await (const piece of client.logs(request, reading.signal)) said += Buffer.from(piece).toString()
  })()
  const linesOf = (number: number, text: string): number =>
    said.split('\n').filter((line) => line.startsWith(`#${number} | ${text}`)).length
  const eventually = (what: string, isSo: () => boolean) => until(what, async () => isSo(), PATIENCE_MS)
  await eventually('both logs stand', () => linesOf(0, 'listening') === 1 && linesOf(1, 'listening') === 1)
  const changed = JSON.parse((await readFile(DESCRIPTOR, 'utf8')).replaceAll('listening', 'now listening'))
  const file = join(baseDir, 'changed.json')
  await writeFile(file, JSON.stringify(changed))
  const { exitCode, stderr } = await coppice('deploy', file, ...at('a1'))
  assert.equal(exitCode, 0, stderr)
  await eventually('the new copies are followed', () => linesOf(0, 'now') > 0 && linesOf(1, 'now') > 0)
  reading.abort()
  await following
})

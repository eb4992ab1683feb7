// The command line as scripts see it: exit codes, what is on stdout, what is on stderr. Each run is a process of its
// own, against the real control server.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parseDescriptor } from '../../placement/descriptor.ts'
import { descriptorSchema } from '../../placement/descriptor-tables.ts'
import type { InspectView, InstanceView } from '../control.ts'
import { type ControlServer, serveControl } from '../io/control-server.ts'
import { fixtureControl, inspected, SERVICE, service, status } from '../io/fixture-control.ts'

const run = promisify(execFile)
const LAUNCHER = fileURLToPath(new URL('coppice.js', import.meta.url))

interface Outcome {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

let dataDir = ''
let server: ControlServer

before(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'cli-'))
  server = await serveControl(fixtureControl(), dataDir)
})

after(async () => {
  await server.close()
  await rm(dataDir, { recursive: true, force: true })
})

function coppice(...words: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const env = { ...process.env, COPPICE_DATA: dataDir }
    const child = execFile(process.execPath, [LAUNCHER, ...words], { env }, (_problem, stdout, stderr) =>
      resolve({ exitCode: child.exitCode ?? -1, stdout, stderr }),
    )
  })
}

test('--json prints one JSON value on stdout, before or after the command', async () => {
  const [after, first] = await Promise.all([coppice('status', '--json'), coppice('--json', 'status')])
  assert.deepEqual(after, { exitCode: 0, stdout: `${JSON.stringify(status)}\n`, stderr: '' })
  assert.deepEqual(first, after)
})

test('an answer for people is on stdout, warnings and progress are on stderr', async () => {
  const descriptor = join(import.meta.dirname, '../../package.json')
  const [ps, deploy] = await Promise.all([coppice('ps'), coppice('deploy', descriptor, '--wait')])
  assert.equal(ps.exitCode, 0)
  assert.match(ps.stdout, /^SERVICE .*\nshop\.default\.web\.default /)
  assert.deepEqual([deploy.exitCode, deploy.stderr], [0, 'warning: a: b\n'])
  assert.match(deploy.stdout, /#0 running on berlin-1/)
})

test('deploy --json holds the services with their instances', async () => {
  const { exitCode, stdout, stderr } = await coppice(
    'deploy',
    join(import.meta.dirname, '../../package.json'),
    '--json',
  )
  assert.deepEqual([exitCode, stderr], [0, ''])
  assert.deepEqual(JSON.parse(stdout).services, [service])
})

test('a refusal exits with 1 and says why on stderr, as JSON when asked', async () => {
  const [people, scripts] = await Promise.all([coppice('inspect', 'a.b.c.d'), coppice('inspect', 'a.b.c.d', '--json')])
  assert.deepEqual(people, {
    exitCode: 1,
    stdout: '',
    stderr: 'coppice: there is no service a.b.c.d\nSee `coppice ps`.\n',
  })
  assert.deepEqual([scripts.exitCode, scripts.stdout], [1, ''])
  assert.deepEqual(JSON.parse(scripts.stderr), {
    error: { code: 'no-such-service', message: 'there is no service a.b.c.d', hint: 'See `coppice ps`.' },
  })
})

test('where no node runs, one sentence says so and another what to do', async () => {
  const empty = join(dataDir, 'empty')
  const { exitCode, stderr } = await coppice('--data', empty, 'ps')
  assert.equal(exitCode, 1)
  assert.equal(stderr, `coppice: no node answers in ${empty}\nStart one with \`coppice up --data ${empty}\`.\n`)
})

test('wrong usage exits with 2 and nothing on stdout', async () => {
  const [unknown, missing, wrong, none, json] = await Promise.all([
    coppice('statsu'),
    coppice('scale', SERVICE),
    coppice('up', '--preset', 'moon'),
    coppice(),
    coppice('scale', SERVICE, 'two', '--json'),
  ])
  assert.deepEqual(
    [unknown, missing, wrong, none, json].map(({ exitCode }) => exitCode),
    [2, 2, 2, 2, 2],
  )
  assert.deepEqual(
    [unknown, missing, wrong, none, json].map(({ stdout }) => stdout),
    ['', '', '', '', ''],
  )
  assert.match(unknown.stderr, /unknown command 'statsu'.*status/s)
  assert.match(missing.stderr, /missing required argument 'replicas'/)
  assert.match(wrong.stderr, /lan, wan, metered/)
  assert.match(none.stderr, /Usage: coppice/)
  assert.equal(JSON.parse(json.stderr).error.code, 'usage')
})

test('help and version are answers', async () => {
  const [help, version] = await Promise.all([coppice('deploy', '--help'), coppice('version', '--json')])
  assert.deepEqual([help.exitCode, help.stderr], [0, ''])
  assert.match(help.stdout, /--wait/)
  assert.match(JSON.parse(version.stdout).version, /^\d+\.\d+\.\d+/)
})

test('a log is passed on byte for byte', async () => {
  const [plain, json] = await Promise.all([coppice('logs', SERVICE, '-n', '2'), coppice('logs', SERVICE, '--json')])
  assert.deepEqual(plain, { exitCode: 0, stdout: 'hello\nworld\n', stderr: '' })
  assert.deepEqual(JSON.parse(json.stdout), { service: SERVICE, number: null, log: 'hello\nworld\n' })
})

test('validate needs no node, lists what is wrong and exits with 1', async () => {
  const fixture = (name: string): string => join(import.meta.dirname, '../../placement/fixtures', name)
  const nowhere = ['--data', join(dataDir, 'empty')]
  const [good, bad, absent] = await Promise.all([
    coppice(...nowhere, 'validate', fixture('process.json'), '--json'),
    coppice(...nowhere, 'validate', fixture('wrong.json'), '--json'),
    coppice(...nowhere, 'validate', fixture('absent.json')),
  ])
  assert.deepEqual([good.exitCode, bad.exitCode, absent.exitCode], [0, 1, 1])
  assert.equal(JSON.parse(good.stdout).valid, true)
  const { valid, errors } = JSON.parse(bad.stdout)
  assert.deepEqual([valid, bad.stderr], [false, ''])
  for (const error of errors) assert.deepEqual(Object.keys(error), ['field', 'problem', 'expected'])
  assert.match(absent.stderr, /absent\.json: there is no such file/)
})

test('deploy --wait fails after its time with what is missing and why', async () => {
  const own = join(dataDir, 'pending')
  await mkdir(own)
  const pending = {
    ...service.instances[0],
    state: 'pending',
    node: null,
    reason: '0 of 9 devices: 9 lack memory',
  } as InstanceView
  const instances = [pending]
  const inspect = async () => ({ ...inspected, instances, spec: { replicas: 3 }, wanted: 3, ready: 0 })
  const slow = await serveControl(fixtureControl({ inspect }), own)
  const descriptor = join(import.meta.dirname, '../../package.json')
  const { exitCode, stdout, stderr } = await coppice(
    'deploy',
    descriptor,
    '--wait',
    '--timeout',
    '1ms',
    '--json',
    '--data',
    own,
  )
  await slow.close()
  assert.deepEqual([exitCode, stdout], [1, ''])
  const { code, message } = JSON.parse(stderr).error
  assert.equal(code, 'not-running')
  assert.match(message, /shop\.default\.web\.default #0: pending, 0 of 9 devices: 9 lack memory/)
  assert.match(message, /2 of 3 instances are not placed yet/)
})

test('deploy --wait tells at once when the version was rolled back or the job has failed', async () => {
  const descriptor = join(import.meta.dirname, '../../package.json')
  const answerTo = async (name: string, view: Partial<InspectView>) => {
    const own = join(dataDir, name)
    await mkdir(own)
    const served = await serveControl(fixtureControl({ inspect: async () => ({ ...inspected, ...view }) }), own)
    const { exitCode, stderr } = await coppice('deploy', descriptor, '--wait', '--json', '--data', own)
    await served.close()
    return { exitCode, ...JSON.parse(stderr).error }
  }
  const back = await answerTo('back', { rollout: { state: 'rolled-back', reason: '#0: pi-3: exit code 3' } })
  assert.deepEqual([back.exitCode, back.code], [1, 'rolled-back'])
  assert.match(back.message, /was rolled back: #0: pi-3: exit code 3/)
  const failed = await answerTo('failed', { placements: [{ number: 2, outcome: 'failed', reason: 'failed 6 times' }] })
  assert.deepEqual([failed.exitCode, failed.code], [1, 'job-failed'])
  assert.match(failed.message, /#2 has failed: failed 6 times/)
})

/** A folder with a Compose file that needs `.env` and an environment file. */
async function composeProject(name: string, image: string): Promise<string> {
  const folder = join(dataDir, name)
  await mkdir(folder)
  await writeFile(join(folder, '.env'), 'TAG=7\n')
  await writeFile(join(folder, 'web.env'), 'GREETING=hello\n')
  const text = `services:\n  web:\n    image: ${image}\n    env_file: web.env\n    networks: [front]\n`
  await writeFile(join(folder, 'compose.yaml'), text)
  return join(folder, 'compose.yaml')
}

test('deploy sends a Compose file with all that stands around it, and tells its lines', async () => {
  const control = fixtureControl()
  const own = join(dataDir, 'composed')
  const file = await composeProject('composed', `registry.example/web:\${TAG}`)
  const listening = await serveControl(control, own)
  const { exitCode, stderr } = await coppice('deploy', file, '--data', own)
  await listening.close()
  assert.deepEqual(
    [exitCode, stderr],
    [0, 'warning: $.services.web.networks (line 5): "networks" is not supported and has no effect\n'],
  )
  const [, text] = control.asked[0] as [string, string]
  const { services } = parseDescriptor(text)
  assert.equal(services[0]?.app, 'composed')
  assert.equal(services[0]?.code, 'registry.example/web:7')
  assert.deepEqual(services[0]?.environment, { GREETING: 'hello' })
})

test('a Compose file that is wrong is refused before any node is asked', async () => {
  const file = await composeProject('refused', `\${NOWHERE:?which one}`)
  const [deployed, validated] = await Promise.all([coppice('deploy', file), coppice('validate', file, '--json')])
  assert.equal(deployed.exitCode, 1)
  assert.match(
    deployed.stderr,
    /^coppice: \$\.services\.web\.image \(line 3\): the variable NOWHERE is not set: which one/,
  )
  assert.equal(validated.exitCode, 1)
  const { valid, errors, settled } = JSON.parse(validated.stdout)
  assert.deepEqual([valid, errors[0].field, errors[0].line, settled], [false, '$.services.web.image', 3, undefined])
})

test('schema prints the JSON Schema of a descriptor', async () => {
  const { exitCode, stdout, stderr } = await coppice('schema')
  assert.deepEqual([exitCode, stderr], [0, ''])
  assert.deepEqual(JSON.parse(stdout), descriptorSchema())
})

test('exec refuses what it cannot do before anything runs, and tells why a program did not start', async () => {
  const [json, terminal, wrong, refused] = await Promise.all([
    coppice('exec', SERVICE, '--json', '--', 'ls'),
    coppice('exec', SERVICE, '-t', '--', 'sh'),
    coppice('exec', `${SERVICE}#x`, '--', 'ls'),
    coppice('exec', `${SERVICE}#0`, '--', 'ls', '-l'),
  ])
  assert.deepEqual([json.exitCode, terminal.exitCode, wrong.exitCode], [2, 2, 2])
  assert.match(terminal.stderr, /a terminal needs one here/)
  assert.deepEqual([refused.exitCode, refused.stdout], [1, ''])
  assert.match(refused.stderr, /^coppice: no shell\n/)
})

test('a node begins anew with two heaps for its threads, under the same id; who asks does not', async () => {
  const told = join(dataDir, 'told.cjs')
  await writeFile(told, 'console.error(process.pid, process.env.MALLOC_ARENA_MAX)')
  const begun = async (word: string): Promise<readonly string[]> => {
    const { MALLOC_ARENA_MAX: _, ...environment } = process.env
    const env = { ...environment, NODE_OPTIONS: `--require=${told}` }
    const { stdout, stderr } = await run(process.execPath, [LAUNCHER, word, '--help'], { env })
    assert.match(stdout, /^Usage: coppice/)
    return stderr.trim().split('\n')
  }
  const [first = '', second = first] = await begun('up')
  const isReplaced = process.platform === 'linux' && typeof process.execve === 'function'
  assert.equal(second, isReplaced ? first.replace('undefined', '2') : first)
  assert.equal((await begun('status')).length, 1)
})

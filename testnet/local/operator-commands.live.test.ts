// What operators do, word by word as they type it: a key, a request that is read aloud, signatures that are carried by
// hand, a changed key, a device that is prepared before it goes out, a policy, a secret, and the account of it all. The
// tests are chapters of one story.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { AuditView, InstanceView, PolicyExplanation, StatusView } from '../../node/control.ts'
import type { ProposalView } from '../../node/control-membership.ts'
import { answer, COPPICE, coppice, coppiceReading, ON_LOOPBACK, type Outcome, WAITING } from './command-fixture.ts'
import { killInstances, PATIENCE_MS, removeFolder, until } from './fleet.ts'
import { serviceDescriptor } from './service-fixture.ts'

interface Log {
  readonly head: string
  readonly operators: readonly { readonly name: string }[]
  readonly entries: readonly { readonly kind: string; readonly state: string }[]
}

const SERVICE = 'vault.demo.reader.demo'
const SECRET = 'correct horse battery staple'
const DESCRIPTOR = serviceDescriptor(SERVICE, {
  cmd: ['sh', '-c', 'wc -c < "$COPPICE_SECRETS/db"; sleep 3600'],
  secrets: ['db'],
  constraints: [{ type: 'clusters', allowed: ['/rome'] }],
})

let baseDir = ''
const running: ChildProcess[] = []

const killAll = (): void => {
  for (const child of running) child.kill('SIGKILL')
}
// Whoever started them may be ended before the last chapter.
process.once('exit', killAll)

const file = (name: string): string => join(baseDir, name)
const at = (name: string): readonly string[] => ['--data', file(name)]

async function done(...words: readonly string[]): Promise<Outcome> {
  const outcome = await coppice(...words)
  assert.equal(outcome.exitCode, 0, `coppice ${words.join(' ')}: ${outcome.stderr}`)
  return outcome
}

/** A command that goes on, until it says that it can take work; what it said on the way is for people. */
async function ready(...words: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [COPPICE, ...words, ...ON_LOOPBACK, '--no-pressure'], { stdio: 'pipe' })
  running.push(child)
  let [out, said] = ['', '']
  child.stdout.on('data', (bytes) => {
    out += bytes
  })
  child.stderr.on('data', (bytes) => {
    said += bytes
  })
  const isReady = async (): Promise<boolean> => {
    assert.equal(child.exitCode, null, said)
    return /^ready$/m.test(out)
  }
  await until(`${words[0]} is ready`, isReady, PATIENCE_MS)
  return said
}

const charter = (name: string): Promise<Log> => answer('charter', 'log', ...at(name))
const names = ({ operators }: Log): readonly string[] => operators.map(({ name }) => name)
const isKnown = (name: string, head: string): Promise<boolean> =>
  until(`${name} has heard of it`, async () => (await charter(name)).head === head, PATIENCE_MS)

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'operator-commands-'))
  await ready('up', '--domain', '/berlin', '--name', 'berlin-1', ...at('berlin'))
})

after(async () => {
  const gone = running.map((child) => (child.exitCode === null ? once(child, 'exit') : null))
  killAll()
  await Promise.all(gone)
  for (const name of ['berlin', 'rome', 'rome-2']) await killInstances(file(name))
  await removeFolder(baseDir)
})

test('an operator makes its key, shows it, and asks in one line that can be scanned as well', async () => {
  await done('operator', 'init', '--name', 'Tiber Farms', ...at('rome'))
  assert.equal((await stat(join(file('rome'), 'operator.key'))).mode & 0o777, 0o600)
  const again = await coppice('operator', 'init', '--name', 'Tiber Farms', ...at('rome'))
  assert.equal(again.exitCode, 1, 'a key is never replaced')
  assert.match((await done('operator', 'show', ...at('rome'))).stdout, /^Tiber Farms is /)
  const { stdout, stderr } = await done('operator', 'request', '--qr', ...at('rome'))
  assert.match(stdout, /^coppice-operator1:\S+\n$/)
  assert.match(stderr, /[█▀▄]{10}/u)
  const admitted: ProposalView = await answer('operator', 'admit', stdout.trim(), ...at('berlin'))
  assert.equal(admitted.state, 'in-force')
  assert.deepEqual(names(await charter('berlin')), ['berlin-1', 'Tiber Farms'])
})

test('its device goes out prepared, on a stick, and is its own', async () => {
  const invite = (await done('invite', '--domain', '/rome', '--uses', '1', '--ttl', '1h', ...at('berlin'))).stdout
  await ready('join', invite.trim(), '--name', 'rome-1', ...at('rome'))
  await done('prepare', '--out', file('stick'), '--name', 'rome-2', ...at('rome'))
  assert.equal((await stat(file('stick'))).mode & 0o077, 0, 'it holds a key')
  const said = await ready('join', file('stick'), '--name', 'rome-2', ...at('rome-2'))
  assert.notEqual(said, '', 'and tells what it waits for')
  const status: StatusView = await answer('status', ...at('rome-2'))
  assert.deepEqual([status.domain, status.ready], ['/rome', true])
})

test('an invite is for one device where that is said, and worth nothing once it was taken back', async () => {
  const refused = async (invite: string, code: string): Promise<void> => {
    const { exitCode, stderr } = await coppice('join', invite.trim(), ...at('late'), ...ON_LOOPBACK, '--json')
    assert.equal(exitCode, 1)
    assert.ok(stderr.includes(`"${code}"`), stderr)
  }
  const { node } = (await answer('status', ...at('rome-2'))) as StatusView
  await refused((await done('invite', '--node', node, ...at('rome'))).stdout, 'other-device')
  const invite = (await done('invite', ...at('rome'))).stdout
  const made: readonly { readonly id: string }[] = await answer('invite', '--list', ...at('rome'))
  await done('invite', '--revoke', made.at(-1)?.id ?? '', ...at('rome'))
  await refused(invite, 'revoked-invite')
})

test('what two operators have to sign is carried by hand to where a key is, and back', async () => {
  await done('operator', 'init', '--name', 'Alps', ...at('alps'))
  const request = (await done('operator', 'request', ...at('alps'))).stdout.trim()
  const proposed: ProposalView = await answer('operator', 'admit', request, ...at('berlin'))
  assert.deepEqual([proposed.state, proposed.missing], ['waiting', 1])
  await done('charter', 'log', '--out', file('carried'), ...at('berlin'))
  // A folder that has the key and no node.
  await mkdir(file('desk'))
  await writeFile(join(file('desk'), 'operator.key'), await readFile(join(file('rome'), 'operator.key')), {
    mode: 0o600,
  })
  const signed: { readonly signed: number } = await answer('operator', 'sign', '--file', file('carried'), ...at('desk'))
  assert.equal(signed.signed, 1)
  await done('charter', 'take', file('carried'), ...at('berlin'))
  const log = await charter('berlin')
  assert.deepEqual(names(log), ['berlin-1', 'Tiber Farms', 'Alps'])
  for (const name of ['rome', 'rome-2']) await isKnown(name, log.head)
})

test('the chain is checked from a file as well, and a file that was changed is told from it', async () => {
  await done('charter', 'log', '--out', file('chain'), ...at('rome-2'))
  const read: Log = await answer('charter', 'log', file('chain'))
  assert.equal(read.head, (await charter('rome')).head)
  const text = await readFile(file('chain'), 'utf8')
  const middle = text.length >> 1
  const other = text[middle] === 'A' ? 'B' : 'A'
  await writeFile(file('forged'), `${text.slice(0, middle)}${other}${text.slice(middle + 1)}`)
  const forged = await coppice('charter', 'log', file('forged'), '--json')
  assert.equal(forged.exitCode, 1)
  assert.match(forged.stderr, /"invalid-charter"/)
})

test('an operator changes its key, and another one is made to leave by the others', async () => {
  const rotated: ProposalView = await answer('operator', 'rotate', ...at('rome'))
  assert.deepEqual([rotated.kind, rotated.state], ['rotate', 'in-force'])
  await isKnown('berlin', (await charter('rome')).head)
  const removing: ProposalView = await answer('operator', 'remove', 'Alps', ...at('berlin'))
  assert.equal(removing.state, 'waiting')
  const isHere = async (): Promise<boolean> =>
    (await charter('rome')).entries.some(({ kind, state }) => kind === 'remove-operator' && state === 'waiting')
  await until('the draft has come', isHere, PATIENCE_MS)
  await done('operator', 'sign', ...at('rome'))
  await isKnown('berlin', (await charter('rome')).head)
  assert.deepEqual(names(await charter('berlin')), ['berlin-1', 'Tiber Farms'])
})

test('a policy is checked, set, shown, and explains what it lets run', async () => {
  await writeFile(file('wrong.json'), JSON.stringify({ rules: [{ runtime: ['process'] }] }))
  const wrong = await coppice('policy', 'check', file('wrong.json'), '--json')
  assert.equal(wrong.exitCode, 1)
  assert.match(wrong.stdout, /rules.0.*runtime/)
  await writeFile(file('service.json'), DESCRIPTOR)
  assert.equal((await coppiceReading(SECRET, 'secret', 'set', 'db', ...at('berlin'))).exitCode, 0)
  assert.match((await done('secret', 'list', ...at('berlin'))).stdout, /^db /)
  await done('deploy', file('service.json'), ...at('berlin'))
  const hidden = await coppice('policy', 'explain', SERVICE, 'rome-1', '--json', ...at('rome'))
  assert.match(hidden.stderr, /"no-such-service"/, 'of other operators’ services nothing is told that they do not show')
  await writeFile(file('shows.json'), JSON.stringify({ rules: [{ operators: ['Tiber Farms'], may: ['see'] }] }))
  await done('policy', 'set', file('shows.json'), ...at('berlin'))
  const explain = (): Promise<PolicyExplanation> => answer('policy', 'explain', SERVICE, 'rome-1', ...at('rome'))
  const refusal = await until('the service is known', explain, PATIENCE_MS)
  assert.deepEqual([refusal.allowed, /docker/.test(refusal.reason ?? '')], [false, true])
  const policy = { rules: [{ operators: ['berlin-1'], runtimes: ['process'] }] }
  await writeFile(file('policy.json'), JSON.stringify(policy))
  await done('policy', 'check', file('policy.json'))
  await done('policy', 'set', file('policy.json'), ...at('rome'))
  const isHeld = async (): Promise<boolean> =>
    ((await answer('policy', 'show', ...at('rome-2'))) as { readonly version: number }).version === 1
  await until('the operator’s other device has it', isHeld, PATIENCE_MS)
  assert.equal((await explain()).allowed, true)
})

test('what it asked for runs with its secret, and the account names who asked, decided and accepted', async () => {
  await done('deploy', file('service.json'), ...WAITING, ...at('berlin'))
  const runs = async (): Promise<boolean> =>
    ((await answer('ps', ...at('berlin'))) as readonly InstanceView[]).some(({ state }) => state === 'running')
  await until('it runs', runs, PATIENCE_MS)
  const read = async (): Promise<boolean> =>
    (await done('logs', SERVICE, ...at('berlin'))).stdout.trim().endsWith(String(SECRET.length))
  await until('it has read its secret', read, PATIENCE_MS)
  const inspected = (await done('inspect', SERVICE, '--json', ...at('berlin'))).stdout
  assert.ok(inspected.includes('"db"') && !inspected.includes(SECRET))
  const told = async (): Promise<boolean> => {
    const steps = ((await answer('audit', SERVICE, ...at('rome'))) as readonly AuditView[]).map(({ step }) => step)
    return (['asked', 'decided', 'accepted', 'runs'] as const).every((step) => steps.includes(step))
  }
  await until('each step is told to the owner too', told, PATIENCE_MS)
  assert.match((await done('audit', '--usage', ...at('rome'))).stdout, /CPU-SECONDS/)
})

test('a device is revoked by its owner alone', async () => {
  const { node } = (await answer('status', ...at('rome-2'))) as StatusView
  const proposed: ProposalView = await answer('revoke', node, ...at('berlin'))
  assert.deepEqual([proposed.state, proposed.missing], ['waiting', 1])
  await done('revoke', node, ...at('rome'))
  const isCut = async (): Promise<boolean> =>
    ((await answer('status', ...at('rome'))) as StatusView).peers.every((peer) => peer.node !== node || !peer.path)
  await until('it is cut', isCut, PATIENCE_MS)
})

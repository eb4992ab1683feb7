// Two operators with real processes: the second one's policy decides what runs on its device, the first one's secret
// gets to the device that runs what needs it and stands nowhere in clear, and what happened can be told afterwards.

import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Fleet, PATIENCE_MS, readyFleet, removeFolder, until } from './fleet.ts'
import { serviceDescriptor } from './service-fixture.ts'

const CLUSTERS = [
  { path: '/berlin', names: ['berlin-1'] },
  { path: '/rome', names: ['rome-1'], operator: 'Tiber Farms' },
]
const SERVICE = 'vault.demo.reader.demo'
const SECRET = 'correct horse battery staple'
const DESCRIPTOR = serviceDescriptor(SERVICE, {
  cmd: ['sh', '-c', 'wc -c < "$COPPICE_SECRETS/db"; echo "$API" | wc -c; sleep 3600'],
  secrets: ['db', { name: 'db', environment: 'API' }],
  constraints: [{ type: 'clusters', allowed: ['/rome'] }],
})

let baseDir = ''
let fleet: Fleet

async function instanceState(name: string): Promise<string> {
  const all = await fleet.named(name).control.instances()
  return all
    .filter(({ service }) => service === SERVICE)
    .map(({ state, reason }) => `${state}: ${reason}`)
    .join()
}

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'owners-'))
  fleet = await readyFleet({ baseDir, clusters: CLUSTERS })
})

after(async () => {
  await fleet?.stop()
  await removeFolder(baseDir)
})

test('a secret is set and listed, and the service that needs it is refused by the owner of the device', async () => {
  const berlin = fleet.named('berlin-1')
  const kept = await berlin.control.setSecret('db', Buffer.from(SECRET).toString('base64'))
  assert.deepEqual(kept, { name: 'db', devices: 1 })
  assert.deepEqual(
    (await berlin.control.secrets()).map(({ name }) => name),
    ['db'],
  )
  await berlin.control.deploy(DESCRIPTOR, { domain: null })
  const isRefused = async (): Promise<boolean> => {
    const states = await Promise.all(['berlin-1', 'rome-1'].map(instanceState))
    return states.some((state) => /policy forbids it \(runs by process; allowed is docker\)/.test(state))
  }
  await until('the refusal is shown', isRefused, PATIENCE_MS)
})

test('once the owner lets it, it runs there with its secret, which no file but its own holds in clear', async () => {
  const policy = { rules: [{ operators: ['berlin-1'], namespaces: ['demo'], runtimes: ['process'] }] }
  const held = await fleet.named('rome-1').control.setPolicy(JSON.stringify(policy))
  assert.equal(held.version, 1)
  await until('it runs', async () => /^running/.test(await instanceState('rome-1')), PATIENCE_MS)
  const wrote = async (): Promise<boolean> => {
    let text = ''
    const signal = AbortSignal.timeout(PATIENCE_MS)
    const request = { service: SERVICE, number: 0, follow: false, tail: null, sinceMs: null }
    for await (const piece of fleet.named('berlin-1').control.logs(request, signal))
      text += Buffer.from(piece).toString()
    return text.trim() === `${SECRET.length}\n${SECRET.length + 1}`
  }
  await until('it has read its secret', wrote, PATIENCE_MS)
  // A folder that goes away while it is looked at is looked at again.
  const found = await until('all folders were looked at', () => filesWith(baseDir, SECRET), PATIENCE_MS)
  const holders = found.map((file) => file.slice(baseDir.length))
  assert.ok(
    holders.every((file) => file.startsWith('/rome-1/secrets/')),
    holders.join(),
  )
  assert.equal(holders.length, 1)
  const inspected = JSON.stringify(await fleet.named('berlin-1').control.inspect(SERVICE))
  assert.ok(inspected.includes('"db"') && !inspected.includes(SECRET))
})

test('both sides can say who asked, who decided and who accepted, and come to the same usage', async () => {
  const isTold = async (): Promise<boolean> => {
    const steps = (await fleet.named('rome-1').control.audit(SERVICE)).map(({ step }) => step)
    return (['asked', 'decided', 'accepted', 'runs'] as const).every((step) => steps.includes(step))
  }
  await until('each step is told', isTold, PATIENCE_MS)
  const pair = ({ operator, owner }: { readonly operator: string; readonly owner: string }) => `${operator} ${owner}`
  const agree = async () => {
    const [berlin = [], rome = []] = await Promise.all(
      ['berlin-1', 'rome-1'].map((name) => fleet.named(name).control.usage()),
    )
    return berlin.map(pair).join() === rome.map(pair).join() && rome
  }
  const usage = await until('both say the same', agree, PATIENCE_MS)
  assert.equal(usage.length, 1)
  assert.notEqual(usage[0]?.operator, usage[0]?.owner)
})

test('when the owner takes it back the instance goes, and so does what it was given', async () => {
  await fleet.named('rome-1').control.setPolicy('{}')
  const isGone = async (): Promise<boolean> => (await filesWith(baseDir, SECRET)).length === 0
  await until('its secret is gone', isGone, PATIENCE_MS)
})

/** Files below a folder that hold a text; what goes away meanwhile holds nothing. */
async function filesWith(folder: string, text: string): Promise<readonly string[]> {
  const found: string[] = []
  for (const name of await readdir(folder, { recursive: true })) {
    const file = join(folder, name)
    const isFile = (await stat(file).catch(() => null))?.isFile() === true
    if (isFile && (await readFile(file).catch(() => Buffer.alloc(0))).includes(text)) found.push(file)
  }
  return found
}

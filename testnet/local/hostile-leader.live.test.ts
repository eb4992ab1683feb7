// A node that was rightly elected to lead the root, and abuses it: it orders work onto another operator's device that
// the owner's policy forbids, without asking, and says that it is the owner's own. Two nodes on real ports in this
// process; the leader runs what ships, and says besides what the test wants.

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { giveConsent } from '../../bootstrap/charter-entry.ts'
import { createOperatorKey, OPERATOR_KEY_FILE } from '../../bootstrap/io/key-file.ts'
import { encodeRequest } from '../../bootstrap/operator-request.ts'
import { createControl } from '../../node/answers.ts'
import { memberByInvite, memberOrFounder, openFolder } from '../../node/boot.ts'
import type { CoreMessage } from '../../node/core/effects.ts'
import { coreCodec } from '../../node/core/messages.ts'
import { type Member, startMember } from '../../node/node.ts'
import { type DomainPath, ROOT } from '../../overlay/kernel/ids.ts'
import { createSealer } from '../../overlay/wire/envelope.ts'
import { encodeSpec, parseDescriptor, serviceIdOf } from '../../placement/index.ts'
import type { Fence, SpecRecord } from '../../services-registry/index.ts'
import { PATIENCE_MS, removeFolder, until } from './fleet.ts'
import { serviceDescriptor } from './service-fixture.ts'

const ROME = '/rome' as DomainPath
/** Above any that an honest leader gives so early. */
const SEQUENCE = 1_000_000
const QUIET = { mdns: false, virtualListeners: false, pressure: null, runtimes: ['process'] } as const
const LISTEN = { listen: ['/ip4/127.0.0.1/tcp/0'] } as const
const DESCRIPTOR = serviceDescriptor('shop.demo.miner.demo', {
  cmd: ['sleep', '600'],
  constraints: [{ type: 'clusters', allowed: ['/rome'] }],
})
const [SPEC] = parseDescriptor(DESCRIPTOR).services

let baseDir = ''
let mallory: Member
let rome: Member

const fold = (error: Error): void => assert.fail(error.message)

async function foundBy(dataDir: string): Promise<Member> {
  const options = { ...QUIET, ...LISTEN, dataDir, name: 'berlin-1', domain: '/berlin' as DomainPath }
  return startMember(await memberOrFounder(await openFolder(dataDir, fold), options), options)
}

/** The device of a second operator, which the first admits. */
async function joinedBy(dataDir: string): Promise<Member> {
  await mkdir(dataDir, { recursive: true })
  const key = await createOperatorKey(join(dataDir, OPERATOR_KEY_FILE), 'Tiber Farms')
  const control = createControl(mallory)
  await control.admitOperator(encodeRequest(giveConsent({ key: key.operator, name: key.name, at: Date.now() }, key)))
  const invite = await control.invite({ domain: ROME, uses: 1, ttlMs: 3_600_000 })
  const options = { ...QUIET, ...LISTEN, dataDir, name: 'rome-1', invite }
  return startMember(await memberByInvite(await openFolder(dataDir, fold), options), options)
}

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'hostile-leader-'))
  mallory = await foundBy(join(baseDir, 'berlin-1'))
  rome = await joinedBy(join(baseDir, 'rome-1'))
  const isReady = async (): Promise<boolean> => [mallory, rome].every((one) => createControl(one).status().ready)
  await until('both are ready', isReady, PATIENCE_MS)
})

after(async () => {
  await rome?.stop()
  await mallory?.stop()
  await removeFolder(baseDir)
})

/** Under which mallory leads the root. */
const fence = (): Promise<Fence> => until('mallory leads the root', async () => fenceNow(), PATIENCE_MS)
const fenceNow = (): Fence | null => mallory.core.view.seats().find(({ domain }) => domain === ROOT)?.fence ?? null

/** Said in an envelope of mallory's own, as whatever it likes. */
const author = (message: CoreMessage): void => mallory.host.input({ kind: 'carried', record: message as SpecRecord })

const stepsAtRome = async (service: string): Promise<readonly string[]> =>
  (await createControl(rome).audit(service)).map(({ step, to }) => (to === null ? step : `${step} ${to}`))

test('the owner’s policy holds against whoever leads: what it forbids is neither taken nor begun', async () => {
  assert.ok(SPEC)
  const service = serviceIdOf(SPEC)
  const led = await fence()
  mallory.host.input({ kind: 'submit', domain: ROOT, service, spec: SPEC })
  const isRefused = async (): Promise<boolean> =>
    mallory.core.view
      .pending()
      .some(({ reason }) => /policy forbids it \(runs by process; allowed is docker\)/.test(reason))
  await until('asked, the device refuses', isRefused, PATIENCE_MS)

  const held = mallory.core.view
    .stores()
    .find(({ domain }) => domain === ROOT)
    ?.spec(service)
  assert.ok(held)
  const specClock = held.message.clock
  const order = { kind: 'record/placement' as const, service, number: 0, specClock, sequence: SEQUENCE, reason: '' }
  // What its leader says of it is soon over: the order goes back to where it came from.
  const refusals = new Set<string>()
  rome.onSettled(() => {
    for (const one of rome.core.view.pending()) if (one.service === service) refusals.add(one.reason)
  })
  author({ ...order, domain: ROOT, child: ROME, fence: led })
  author({ ...order, domain: ROME, child: rome.core.view.self.node, fence: { ...led, term: led.term + 1 } })
  const sealer = createSealer(coreCodec, mallory.gate.federation, mallory.gate, mallory.gate)
  const { operator } = rome.core.view.self
  const asked = { service, number: 0, spec: encodeSpec(SPEC), specClock, avoid: [], operator }
  for (const domain of [ROOT, ROME]) {
    const ask = { kind: 'placement/ask' as const, domain, fence: led, askId: `forged ${domain}`, ...asked }
    mallory.network.send(rome.core.view.self.node, sealer.speak(ask).bytes)
  }
  const hasOrder = async (): Promise<boolean> => (await stepsAtRome(service)).includes('decided /rome')
  await until('the order that nobody was asked for came', hasOrder, PATIENCE_MS)
  const isRefusedThere = async (): Promise<boolean> => [...refusals].some((reason) => /policy/.test(reason))
  await until('its own leader finds no device that would', isRefusedThere, PATIENCE_MS)
  const steps = await stepsAtRome(service)
  assert.ok(!steps.includes('accepted') && !steps.includes('runs'), steps.join())
  assert.deepEqual(await readdir(join(baseDir, 'rome-1', 'instances')).catch(() => []), [])
})

test('nothing but the policy held it back: let by the owner, the same work begins', async () => {
  assert.ok(SPEC)
  const service = serviceIdOf(SPEC)
  await createControl(rome).setPolicy(JSON.stringify({ others: { runtimes: ['process'] } }))
  const runs = async (): Promise<boolean> => (await stepsAtRome(service)).includes('runs')
  await until('it runs', runs, PATIENCE_MS)
  await createControl(rome).setPolicy('{}')
  const hasEnded = async (): Promise<boolean> => (await stepsAtRome(service)).includes('ended')
  await until('taken back, it ends', hasEnded, PATIENCE_MS)
})

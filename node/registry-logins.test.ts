// Who gets the login of a registry, and of whom it is asked.

import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import type { NodeId, OperatorId } from '../overlay/kernel/ids.ts'
import { err, ok } from '../overlay/kernel/result.ts'
import type { SignerFacts } from '../overlay/wire/envelope.ts'
import type { RegistryLogin, RegistryLogins } from '../placement/registry-login.ts'
import type { SealedRecord } from '../services-registry/index.ts'
import { factsOf } from './core/world.test-kit.ts'
import { placement, SERVICE, specRecord } from './fixture-records.ts'
import { createAnswerLogin, createRegistryLogins, type LoginHeader, type LoginOptions } from './registry-logins.ts'

const REGISTRY = 'registry.example'
const LOGIN = { registry: REGISTRY, username: 'shop', password: 'se"cret\u{1f511}' }
const THEIRS = 'theirs' as OperatorId
const never = new AbortController().signal
const header: LoginHeader = { kind: 'registry', registry: REGISTRY, service: SERVICE, number: 0 }
const image = { runtime: 'docker', code: `${REGISTRY}/shop/hello:1` } as const
const theirs = (name: string, domain: string): SignerFacts => ({ ...factsOf(name, domain), operator: THEIRS })

interface Setting {
  readonly self?: SignerFacts
  readonly spec?: SealedRecord | null
  readonly placements?: readonly SealedRecord[]
  readonly members?: readonly SignerFacts[]
  readonly hasLogin?: boolean
}

/** A node that holds the records of the service, which an operator of its own submitted in /a. */
function coreOf({ self = factsOf('self', '/a'), placements = [], members = [], ...more }: Setting) {
  const spec = more.spec === undefined ? specRecord('/', 1, image) : more.spec
  return {
    self,
    stores: () => [{ placements: () => placements, spec: () => spec }],
    unaccepted: () => [],
    roster: () => new Map(members.map((facts) => [facts.node, { node: facts.node, state: 'alive', facts }])),
    roundTripMs: () => null,
  } as unknown as LoginOptions['core']
}
const fileOf = (hasLogin = true) => ({
  of: (registry: string) => (hasLogin && registry === REGISTRY ? LOGIN : null),
})

async function answerTo(facts: SignerFacts, setting: Setting = {}, asked = header): Promise<string> {
  const answer = createAnswerLogin({ core: coreOf(setting), file: fileOf(setting.hasLogin) })(facts, asked)
  return answer.ok ? await text(answer.value) : answer.error.code
}
const GIVEN = JSON.stringify([LOGIN.username, LOGIN.password])

test('a device of the same operator gets a login, and hears when there is none', async () => {
  assert.equal(await answerTo(factsOf('other', '/b')), GIVEN)
  assert.equal(await answerTo(factsOf('other', '/b'), { hasLogin: false }), 'no-such-instance')
})

test("another operator's device gets it only for what is placed on it", async () => {
  const caller = theirs('caller', '/b')
  const onB = [placement('/', '/b')]
  assert.equal(await answerTo(caller, { placements: onB }), GIVEN)
  assert.equal(await answerTo(caller, { placements: [placement('/', '/c', { previous: '/b' as NodeId })] }), GIVEN)
  assert.equal(await answerTo(caller), 'not-allowed')
  assert.equal(await answerTo(caller, { placements: [placement('/', '/a')] }), 'not-allowed')
  assert.equal(await answerTo(caller, { placements: [placement('/', null)] }), 'not-allowed')
  assert.equal(await answerTo(caller, { placements: [placement('/', '/b', { number: 1 })] }), 'not-allowed')
  assert.equal(await answerTo(theirs('caller', '/c'), { placements: onB }), 'not-allowed')
})

test('where the order for the device itself is known, that one counts', async () => {
  const inB = { self: factsOf('self', '/b') }
  const placedOn = (node: NodeId) => ({ ...inB, placements: [placement('/', '/b'), placement('/b', node)] })
  const caller = theirs('caller', '/b')
  assert.equal(await answerTo(caller, placedOn(caller.node)), GIVEN)
  assert.equal(await answerTo(caller, placedOn(theirs('another', '/b').node)), 'not-allowed')
})

test('a placement opens the registry of its own image only, and of no service of somebody else', async () => {
  const caller = theirs('caller', '/b')
  const placements = [placement('/', '/b')]
  const elsewhere = specRecord('/', 1, { ...image, code: 'other.example/shop:1' })
  assert.equal(await answerTo(caller, { placements, spec: elsewhere }), 'not-allowed')
  assert.equal(
    await answerTo(caller, { placements, spec: specRecord('/', 1, { ...image, runtime: 'process' }) }),
    'not-allowed',
  )
  assert.equal(await answerTo(caller, { placements, spec: null }), 'not-allowed')
  assert.equal(
    await answerTo(caller, { placements, self: { ...factsOf('self', '/a'), operator: 'x' as OperatorId } }),
    'not-allowed',
  )
})

async function allOf(logins: RegistryLogins): Promise<readonly RegistryLogin[]> {
  const found: RegistryLogin[] = []
  for await (const login of logins.others(REGISTRY, SERVICE, 0, never)) found.push(login)
  return found
}

/** The asking side, with devices that answer what `answers` says of them. */
function asking(setting: Setting, answers: Readonly<Record<string, string>> = {}) {
  const asked: string[] = []
  const logins = createRegistryLogins({
    core: coreOf(setting),
    file: fileOf(setting.hasLogin),
    lookUp: async () => ({ service: SERVICE, records: null, reason: 'nobody answered', isAbsent: false }),
    traffic: () => ({
      tunnelTo: async (node) => {
        asked.push(node)
        const answer = answers[node]
        if (answer === undefined) return err({ code: 'not-allowed', detail: 'no' })
        return ok(Duplex.from([Buffer.from(answer)]))
      },
    }),
  })
  return { logins, asked }
}

test('its own login is for services of its own operator', async () => {
  assert.deepEqual(await asking({}).logins.own(REGISTRY, SERVICE, never), LOGIN)
  assert.equal(await asking({}).logins.own('other.example', SERVICE, never), null)
  assert.equal(await asking({ self: theirs('self', '/a') }).logins.own(REGISTRY, SERVICE, never), null)
  assert.equal(await asking({ spec: null }).logins.own(REGISTRY, SERVICE, never), null)
})

test("the submitter is asked first, then its operator's other devices, and nobody else", async () => {
  const near = factsOf('near', '/a')
  const foreign = theirs('foreign', '/a')
  const submitter = specRecord('/', 1, image).signer.node
  const { logins, asked } = asking(
    { members: [foreign, near, factsOf('self', '/a')] },
    { [submitter]: 'no JSON', [near.node]: GIVEN, [foreign.node]: GIVEN },
  )
  const found = await allOf(logins)
  assert.deepEqual(found, [LOGIN])
  assert.deepEqual(asked, [submitter, near.node])
})

test('what is no login, or longer than any, is passed over', async () => {
  const submitter = specRecord('/', 1, image).signer.node
  for (const wrong of ['', '[]', '["a"]', '{"username":"a"}', '["a",1]', `["a","${'x'.repeat(60_000)}"]`]) {
    const { logins } = asking({}, { [submitter]: wrong })
    assert.deepEqual(await allOf(logins), [], wrong.slice(0, 20))
  }
})

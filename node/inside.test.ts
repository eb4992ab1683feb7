// Who may look into an instance, and who may run programs in it.

import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import type { TunnelHeader } from '../overlay/io/network.ts'
import type { OperatorId } from '../overlay/kernel/ids.ts'
import { err } from '../overlay/kernel/result.ts'
import { factsOf } from './core/world.test-kit.ts'
import { idOf, SERVICE } from './fixture-records.ts'
import { createInside } from './inside.ts'

const OURS = 'ours' as OperatorId
const THEIRS = 'theirs' as OperatorId
const exec: TunnelHeader = { kind: 'exec', service: SERVICE, number: 0 }

interface Caller {
  readonly operator: OperatorId
  readonly capabilities: readonly string[]
  readonly owner?: OperatorId | null
  readonly header?: TunnelHeader
  readonly may?: readonly string[]
}

async function answerTo({ operator, capabilities, owner = null, header = exec, may = [] }: Caller): Promise<string> {
  const runtimes = {
    image: async () => new PassThrough(),
    logs: () => new PassThrough(),
    exec: (_: string, number: number) => (number === 0 ? new PassThrough() : null),
  }
  const login = () => err({ code: 'not-allowed' as const, detail: '' })
  const secret = () => err({ code: 'not-allowed' as const, detail: '' })
  const rights = { ownerOf: () => owner, mayDo: (deed: string) => may.includes(deed) }
  const inside = createInside({ operator: OURS, runtimes, login, secret, federate: secret, ...rights })
  const facts = { ...factsOf('caller', '/a'), operator, capabilities }
  const answer = await inside(idOf('caller'), facts, header, new AbortController().signal)
  return answer.ok ? 'ok' : answer.error.code
}

test('whoever may submit a service may run programs in it, where the service or the device is theirs', async () => {
  const all = ['work', 'deploy:*']
  assert.equal(await answerTo({ operator: OURS, capabilities: all }), 'ok')
  assert.equal(await answerTo({ operator: THEIRS, capabilities: all, owner: THEIRS }), 'ok')
  assert.equal(await answerTo({ operator: THEIRS, capabilities: all, owner: OURS }), 'no-such-instance')
  assert.equal(await answerTo({ operator: THEIRS, capabilities: all }), 'no-such-instance')
})

test('to people of another operator nothing is there to be read or run in, unless the policy lets them', async () => {
  const logs = { kind: 'logs', service: SERVICE, number: 0, follow: false, tail: null, sinceMs: null } as const
  const theirs = { operator: THEIRS, capabilities: ['work', 'deploy:*'], owner: OURS }
  assert.equal(await answerTo({ ...theirs, header: logs }), 'no-such-instance')
  assert.equal(await answerTo({ ...theirs, header: logs, may: ['logs'] }), 'ok')
  assert.equal(await answerTo({ ...theirs, may: ['logs'] }), 'no-such-instance')
  assert.equal(await answerTo({ ...theirs, may: ['exec'] }), 'ok')
  assert.equal(await answerTo({ ...theirs, owner: THEIRS, header: logs }), 'ok', 'their own service on our device')
  assert.equal(await answerTo({ ...theirs, operator: OURS, owner: THEIRS, header: logs }), 'ok', 'on our own device')
})

test('a credential without the right to the namespaces of a service runs nothing in it', async () => {
  const [, appNamespace, , namespace] = SERVICE.split('.')
  const named = [`deploy:${appNamespace}`, `deploy:${namespace}`]
  assert.equal(await answerTo({ operator: OURS, capabilities: named }), 'ok')
  assert.equal(await answerTo({ operator: OURS, capabilities: ['work', 'deploy:other'] }), 'not-allowed')
})

test('any member of the operator may read a log, and what is not here is said so', async () => {
  const logs: TunnelHeader = { kind: 'logs', service: SERVICE, number: 0, follow: false, tail: null, sinceMs: null }
  assert.equal(await answerTo({ operator: OURS, capabilities: [], header: logs }), 'ok')
  assert.equal(
    await answerTo({ operator: OURS, capabilities: ['deploy:*'], header: { ...exec, number: 1 } }),
    'no-such-instance',
  )
})

test('images go to devices of the same operator only', async () => {
  const image: TunnelHeader = { kind: 'image', image: 'shop:1' }
  assert.equal(await answerTo({ operator: OURS, capabilities: ['work'], header: image }), 'ok')
  assert.equal(await answerTo({ operator: THEIRS, capabilities: ['work', 'deploy:*'], header: image }), 'not-allowed')
})

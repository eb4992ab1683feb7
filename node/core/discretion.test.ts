// What is left out of messages in a federation of several operators, and that nothing else is changed.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { nodeId, serviceId } from '../../overlay/kernel/ids.ts'
import type { InstanceRecord } from '../../services-registry/index.ts'
import { discreet } from './discretion.ts'
import type { CoreEffect, CoreMessage } from './effects.ts'

const [TO, CLUSTER] = [nodeId('root'), '/a' as DomainPath]

const offer = (child: string): CoreMessage => ({
  kind: 'placement/offer',
  domain: '/' as DomainPath,
  askId: 'x',
  service: serviceId('a.b.c.d'),
  number: 0,
  child: child as DomainPath,
  score: 1,
  node: nodeId('device'),
  nodeName: 'barn',
  expiresInMs: 1,
})

const sent = (message: CoreMessage): CoreEffect => ({ kind: 'send', to: TO, message })

test('what goes to another cluster’s leader has no name in it, wherever in the effects it stands', () => {
  const key = { key: 'k', value: null, sync: false } as const
  const effects: readonly CoreEffect[] = [
    sent(offer(CLUSTER)),
    { kind: 'persist', ...key, then: [{ kind: 'persist', ...key, then: [sent(offer(CLUSTER))] }] },
  ]
  assert.ok(JSON.stringify(effects).includes('barn'))
  assert.ok(!JSON.stringify(discreet(effects)).includes('barn'))
  assert.equal(JSON.stringify(discreet(effects)).replaceAll('""', '"barn"'), JSON.stringify(effects))
})

test('inside the cluster a device is called by its name', () => {
  const own = [sent(offer('device'))]
  assert.deepEqual(discreet(own), own)
})

test('in the reason of an instance the name is left out where it is a word, and the other words stay', () => {
  const reasonOf = (nodeName: string, reason: string): unknown => {
    const record = { kind: 'record/instance', nodeName, reason } as InstanceRecord
    const [effect] = discreet([{ kind: 'author', message: record, topics: [] }])
    return effect?.kind === 'author' && effect.message.kind === 'record/instance' ? effect.message.reason : null
  }
  assert.equal(reasonOf('a', 'on a: an answer after a start'), 'on this device: an answer after this device start')
  assert.equal(reasonOf('pi-4 (barn)', 'on pi-4 (barn): best-fit'), 'on this device: best-fit')
  assert.equal(reasonOf('fit+', 'best-fit 0.5'), 'best-fit 0.5')
})

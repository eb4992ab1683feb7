// What is left out of messages in a federation of several operators, and that nothing else is changed.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { nodeId, serviceId } from '../../overlay/kernel/ids.ts'
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

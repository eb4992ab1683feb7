// Messages that are not decoded for each hearer mean the same to it as if they were.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CoreMessage } from '../../node/core/effects.ts'
import { InvariantError } from '../../overlay/kernel/assert.ts'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { createNotary, DECODED_EVERY } from './sealing.ts'
import { PLAIN } from './setting.ts'
import { type DeviceFacts, drawTopology } from './topology.ts'

const { devices } = drawTopology(1, 2, 1, PLAIN)
const [speaker, hearer] = devices as readonly [DeviceFacts, DeviceFacts]
const PROBE: CoreMessage = { kind: 'membership/probe', domain: '/a' as DomainPath, nonce: 1 }

/** Says a message so often to the hearer, and has it heard; the last that was heard. */
function hearOften(message: CoreMessage, times: number): CoreMessage | null {
  const notary = createNotary(devices)
  const [mouth, ear] = [notary.sealerOf(speaker, () => undefined), notary.sealerOf(hearer, () => undefined)]
  let last: CoreMessage | null = null
  for (let time = 0; time < times; time++) {
    const heard = ear.hear(mouth.speak(message).bytes, speaker.facts)
    assert.ok(heard.ok)
    assert.equal(heard.value.from, speaker.node)
    last = heard.value.message
  }
  return last
}

test('what is shared and what is decoded is the same message', () => {
  assert.equal(hearOften(PROBE, 1), PROBE)
  const decoded = hearOften(PROBE, DECODED_EVERY)
  assert.notEqual(decoded, PROBE)
  assert.deepEqual(decoded, PROBE)
})

test('a message that loses something on the wire is found', () => {
  const more = { ...PROBE, more: 'than the schema has' } as CoreMessage
  assert.throws(() => hearOften(more, DECODED_EVERY), InvariantError)
})

test('what was doubled on the way is decoded', () => {
  const notary = createNotary(devices)
  const { bytes } = notary.sealerOf(speaker, () => undefined).speak(PROBE)
  const ear = notary.sealerOf(hearer, () => undefined)
  const [first, second] = [ear.hear(bytes, speaker.facts), ear.hear(bytes, speaker.facts)]
  assert.ok(first.ok && second.ok)
  assert.equal(first.value.message, PROBE)
  assert.notEqual(second.value.message, PROBE)
  assert.deepEqual(second.value.message, PROBE)
})

test('nobody is taken for somebody else, whoever laid the message out', () => {
  const notary = createNotary(devices)
  const { bytes } = notary.sealerOf(speaker, () => undefined).speak(PROBE)
  const heard = notary.sealerOf(speaker, () => undefined).hear(bytes, hearer.facts)
  assert.ok(heard.ok && heard.value.from === hearer.node)
})

test('a stranger is not heard, whatever it says', () => {
  for (let time = 0; time < DECODED_EVERY; time++) {
    const notary = createNotary(devices)
    const { bytes } = notary.sealerOf(speaker, () => undefined).speak(PROBE)
    const unheard = notary.sealerOf(hearer, () => undefined).hear(bytes, null)
    assert.ok(!unheard.ok && unheard.error.kind === 'unknown-speaker')
  }
})

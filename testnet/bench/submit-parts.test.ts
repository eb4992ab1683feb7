// The steps of a submission, read from what nodes noted of it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuditView } from '../../node/control.ts'
import { median } from './figures.ts'
import { partLines, partsOf, type Teller } from './submit-parts.ts'

const entry = (ms: number, step: AuditView['step'], domain: string, node: string): AuditView => ({
  at: new Date(ms).toISOString(),
  domain,
  service: 'a.b.c.d',
  number: step === 'asked' ? null : 0,
  step,
  node,
  operator: 'operator',
  signedAt: null,
  to: null,
  reason: '',
})

const caller: Teller = {
  node: 'caller',
  domain: '/b',
  audit: [entry(1_010, 'asked', '/', 'caller'), entry(1_190, 'runs', '/a', 'device')],
}
const root: Teller = {
  node: 'root',
  domain: '/a',
  audit: [
    entry(1_015, 'asked', '/', 'caller'),
    entry(1_030, 'decided', '/', 'root'),
    entry(1_033, 'decided', '/a', 'root'),
    entry(1_182, 'runs', '/a', 'device'),
  ],
}
const device: Teller = {
  node: 'device',
  domain: '/a',
  audit: [
    entry(1_040, 'decided', '/a', 'root'),
    entry(1_045, 'accepted', '/a', 'device'),
    entry(1_180, 'runs', '/a', 'device'),
  ],
}

test('each step ends where the node that takes it noted it, and all add up to the whole', () => {
  const parts = partsOf({ begunMs: 1_000, answeredMs: 1_200, caller }, [caller, root, device])
  assert.deepEqual(parts, [10, 5, 15, 3, 12, 135, 10, 10])
})

test('a caller that is answered before the records reach its cluster waited for nothing else', () => {
  const parts = partsOf({ begunMs: 1_000, answeredMs: 1_185, caller }, [caller, root, device])
  assert.deepEqual(parts.slice(-2), [5, 0])
})

test('a step that nobody noted is left out of the medians', () => {
  const parts = partsOf({ begunMs: 1_000, answeredMs: 1_200, caller }, [caller, root])
  assert.ok(Number.isNaN(parts[5]))
  const whole = partsOf({ begunMs: 1_000, answeredMs: 1_200, caller }, [caller, root, device])
  assert.match(partLines([parts, whole])[5] ?? '', new RegExp(`${median([135])} ms`))
})

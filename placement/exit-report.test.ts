// How the end of an instance is told to people.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ExitFacts, reportExit } from './exit-report.ts'

const told = (facts: Partial<ExitFacts>) =>
  reportExit({ status: 0, asked: { kind: 'no' }, outOfMemoryMb: null, lastLine: '', ...facts })

test('an exit code is told as it is, with the last words only where something went wrong', () => {
  assert.deepEqual(told({ lastLine: 'bye' }), { code: 0, detail: 'ended by itself (exit code 0)' })
  assert.deepEqual(told({ status: 2, lastLine: 'no disk' }), {
    code: 2,
    detail: 'ended by itself (exit code 2); last output: no disk',
  })
})

test('a status that stands for a signal has no code; one beyond the signals has', () => {
  assert.deepEqual(told({ status: 139 }), { code: null, detail: 'ended by itself (SIGSEGV)' })
  assert.equal(told({ status: 255 }).code, 255)
})

test('an end that was asked for is told as a stop', () => {
  assert.equal(told({ status: 143, asked: { kind: 'stop' } }).detail, 'stopped (SIGTERM)')
  assert.match(told({ status: null, asked: { kind: 'kill', graceMs: 50 } }).detail, /SIGKILL: it had not ended 50 ms/)
})

test('an end for want of memory names the limit, and an end that nobody saw says so', () => {
  assert.match(told({ status: 137, outOfMemoryMb: 64 }).detail, /more than its 64 MB/)
  assert.deepEqual(told({ status: null }), {
    code: null,
    detail: 'ended while nobody watched; its exit code is not known',
  })
})

test('long last words are cut', () => {
  assert.ok(told({ status: 1, lastLine: 'x'.repeat(10_000) }).detail.length < 300)
})

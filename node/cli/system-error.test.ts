// Refusals of the operating system, as the sentences that people read.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CoppiceError } from '../errors.ts'
import { explainSystemError } from './system-error.ts'

const failure = (code: string, message: string): Error => Object.assign(new Error(message), { code })

test('a full disk is named, with what to do, however deep it lies', () => {
  const wrapped = new Error('the store could not be opened', {
    cause: failure('ENOSPC', 'ENOSPC: no space left on device, write'),
  })
  const explained = explainSystemError(wrapped)
  assert.ok(explained instanceof CoppiceError)
  assert.equal(explained.code, 'disk-full')
  assert.equal(explained.message, 'the disk is full (ENOSPC: no space left on device, write)')
})

test('what the operating system did not cause stays what it was', () => {
  const bug = new TypeError('x is undefined')
  const refusal = new CoppiceError('no-node', 'no node answers', '')
  for (const problem of [bug, refusal, 'text', undefined, failure('ERR_ASSERTION', 'x')]) {
    assert.equal(explainSystemError(problem), problem)
  }
})

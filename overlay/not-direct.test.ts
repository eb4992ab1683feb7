// Whatever ends an attempt at a direct path, a person reads a sentence that says why.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isNotDirectCode, NoDirectPath, whyNotDirect } from './not-direct.ts'

test('what a library says of its streams is told as what it means for the path', () => {
  for (const message of ['The stream has been reset', 'muxer is closed', 'Cannot write to a stream that is closing']) {
    const { code, sentence } = whyNotDirect(new Error(message))
    assert.equal(code, 'broken-off')
    assert.match(sentence, /^a connection broke off while .*; it is tried again$/)
  }
  assert.equal(whyNotDirect('nonsense').code, 'broken-off')
})

test('an attempt that took too long is told as one', () => {
  assert.equal(
    whyNotDirect(new DOMException('The operation was aborted due to timeout', 'TimeoutError')).code,
    'timed-out',
  )
  assert.equal(whyNotDirect(Object.assign(new Error('aborted'), { name: 'AbortError' })).code, 'timed-out')
})

test('a reason that is known stays as it is, and names the side', () => {
  const known = new NoDirectPath('unobserved', { side: 'other' })
  assert.equal(whyNotDirect(known), known)
  assert.match(known.sentence, /how the other side is seen/)
  assert.match(new NoDirectPath('unobserved').sentence, /how this node is seen/)
})

test('only codes of ours are codes', () => {
  assert.ok(isNotDirectCode('symmetric-nat'))
  for (const value of ['toString', '', null, 7]) assert.ok(!isNotDirectCode(value))
})

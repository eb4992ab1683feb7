// When a log is moved aside, and which old ones go.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findLineStart, logFiles, rotationPlan } from './log-rotation.ts'

const LIMITS = { bytesMax: 100, filesMax: 3 }

test('a log below its limit is left alone', () => {
  assert.deepEqual(rotationPlan('log', 99, LIMITS), [])
})

test('a full log pushes the older ones back, is copied, and only then emptied', () => {
  assert.deepEqual(rotationPlan('log', 100, LIMITS), [
    { kind: 'rename', from: 'log.1', to: 'log.2' },
    { kind: 'copy', from: 'log', to: 'log.1' },
    { kind: 'empty', file: 'log' },
  ])
  assert.deepEqual(logFiles('log', LIMITS), ['log.2', 'log.1', 'log'])
})

test('a log of one file is just emptied', () => {
  assert.deepEqual(rotationPlan('log', 100, { bytesMax: 100, filesMax: 1 }), [{ kind: 'empty', file: 'log' }])
})

test('lines are counted backwards, and what is missing is told', () => {
  const text = Buffer.from('one\ntwo\nthree')
  assert.deepEqual(findLineStart(text, 1), { offset: 8, missing: 0 })
  assert.deepEqual(findLineStart(text, 2), { offset: 4, missing: 0 })
  assert.deepEqual(findLineStart(text, 5), { offset: null, missing: 3 })
})

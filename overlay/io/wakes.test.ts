// The wakes of a process that does several things by the clock, on a clock that goes on only from timer to timer.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clockwork } from './fixture-clockwork.ts'

test('jobs of several intervals cost the wakes of the shortest one', () => {
  const { wakes, pass, woken } = clockwork(123.4)
  const done = { half: 0, one: 0, two: 0 }
  wakes.every(500, () => done.half++)
  pass(77)
  wakes.every(1_000, () => done.one++)
  pass(333)
  wakes.every(2_000, () => done.two++)
  pass(10_000)
  assert.deepEqual(done, { half: 21, one: 10, two: 5 })
  assert.equal(woken(), 21)
})

test('a job is done at full intervals of the clock, and once where the process was late', () => {
  const { wakes, pass, now } = clockwork(40)
  const at: number[] = []
  wakes.every(100, () => at.push(now()))
  pass(300)
  pass(1_000, 350)
  assert.deepEqual(at, [100, 200, 300, 750, 1_150])
})

test('what is due once rings before the jobs of that moment, in the same wake', () => {
  const { wakes, pass, woken } = clockwork(0)
  const done: string[] = []
  wakes.every(250, () => done.push('job'))
  wakes.at(250, () => done.push('alarm'))
  pass(260)
  assert.deepEqual(done, ['alarm', 'job'])
  assert.equal(woken(), 1)
})

test('what was taken back does not ring, and nothing is woken for it', () => {
  const { wakes, pass, woken } = clockwork(0)
  let rung = 0
  const takeBack = wakes.at(10, () => rung++)
  const stop = wakes.every(20, () => rung++)
  takeBack()
  stop()
  pass(1_000)
  assert.deepEqual([rung, woken()], [0, 0])
})

test('a job that stops another one or itself is the last that is done', () => {
  const { wakes, pass } = clockwork(0)
  let done = 0
  const stopFirst = wakes.every(10, () => {
    done += 1
    stopFirst()
    stopSecond()
  })
  const stopSecond = wakes.every(10, () => done++)
  pass(100)
  assert.equal(done, 1)
})

test('an alarm keeps the process alive, jobs do not', () => {
  const { wakes, isHolding } = clockwork(0)
  wakes.every(10, () => undefined)
  assert.equal(isHolding(), false)
  const takeBack = wakes.at(5, () => undefined)
  assert.equal(isHolding(), true)
  takeBack()
  assert.equal(isHolding(), false)
  wakes.at(50, () => undefined)
  assert.equal(isHolding(), true)
})

test('a job that fails keeps none of the others from its turn', () => {
  const { wakes, pass } = clockwork(0)
  let done = 0
  wakes.every(20, () => {
    throw new Error('no')
  })
  wakes.every(20, () => done++)
  assert.throws(() => pass(20), /no/)
  pass(0)
  assert.equal(done, 1)
})

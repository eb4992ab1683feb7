// Words on the command line: what they become, and that a wrong one is refused with an example of a right one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InvalidArgumentError } from 'commander'
import { domainPath, duration, electors, labels, multiaddrs, port, runtimes, whole } from './arguments.ts'

test('a duration is a number with a unit', () => {
  assert.deepEqual(
    ['500ms', '90s', '30m', '1h', '7d', '1.5h'].map(duration),
    [500, 90_000, 1_800_000, 3_600_000, 604_800_000, 5_400_000],
  )
  for (const word of ['', '1', 'h', '-1h', '1 h', '1w', '1h30m'])
    assert.throws(() => duration(word), InvalidArgumentError)
})

test('a whole number stays within its bounds', () => {
  assert.equal(whole(1, 3)('3'), 3)
  for (const word of ['0', '4', '1.5', '', 'x', '1e1', '-1'])
    assert.throws(() => whole(1, 3)(word), InvalidArgumentError)
  assert.throws(() => port('65536'), /0 to 65535/)
})

test('a domain has 3, 5 or 7 electors', () => {
  assert.deepEqual(['3', '5', '7'].map(electors), [3, 5, 7])
  for (const word of ['1', '4', '9', '05', '', 'five']) assert.throws(() => electors(word), /3, 5 or 7/)
})

test('what may be given more than once is collected in order', () => {
  assert.deepEqual(multiaddrs('/ip6/::/tcp/1', multiaddrs('/ip4/0.0.0.0/tcp/1')), [
    '/ip4/0.0.0.0/tcp/1',
    '/ip6/::/tcp/1',
  ])
  assert.deepEqual(runtimes('docker', runtimes('process')), ['process', 'docker'])
  assert.deepEqual(labels('b=x=y', labels('a=1')), { a: '1', b: 'x=y' })
})

test('a wrong word is refused with an example of a right one', () => {
  assert.throws(() => multiaddrs('0.0.0.0:4001'), /\/ip4\/0\.0\.0\.0\/tcp\/4001/)
  assert.throws(() => runtimes('dokcer'), /process, docker/)
  assert.throws(() => labels('mains'), /power=mains/)
  assert.throws(() => domainPath('berlin'), /"\/berlin"/)
})

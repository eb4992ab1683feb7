// What a spec becomes when a process is started from it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { instanceKey, serviceId } from '../overlay/kernel/ids.ts'
import { plainName } from './instance-name.ts'
import { launchOf } from './launch-fixture.ts'
import { parseExitStatus, parseLaunchNote, parseProcessStat, processEnvironment } from './process-launch.ts'

const STAT = '42 (a (b) c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 9876 2654208 400 1844'

test('a process is read from its line even when its name holds brackets and spaces', () => {
  assert.deepEqual(parseProcessStat(STAT), { pid: 42, state: 'S', group: 42, startTicks: 9876 })
})

test('a line that is cut off is none', () => {
  for (let length = 0; length < STAT.indexOf('9876'); length++)
    assert.equal(parseProcessStat(STAT.slice(0, length)), null)
})

const NOTE = {
  key: instanceKey(serviceId('a.b.c.d'), 0),
  specId: 'a1',
  bootId: 'boot',
  endpoint: { host: '127.0.0.1', ports: [{ declared: 80, actual: 3000, protocol: 'tcp' }] },
  limits: { memoryMb: 1, vcpus: 0, pidsMax: null },
}

test('a launch note survives being written and read, and nothing else is taken for one', () => {
  const text = JSON.stringify(NOTE)
  assert.deepEqual(parseLaunchNote(text), NOTE)
  for (let length = 0; length < text.length; length++) assert.equal(parseLaunchNote(text.slice(0, length)), null)
  for (const field of Object.keys(NOTE)) assert.equal(parseLaunchNote(JSON.stringify({ ...NOTE, [field]: null })), null)
  assert.equal(parseLaunchNote('null'), null)
})

test('an exit status is a small number and nothing else', () => {
  assert.equal(parseExitStatus('143\n'), 143)
  assert.equal(parseExitStatus(''), null)
  assert.equal(parseExitStatus('x'), null)
})

test('a spec can set any variable but those that tell who and where the instance is', () => {
  const endpoint = { host: '127.0.0.1', ports: [{ declared: 80, actual: 3000, protocol: 'tcp' as const }] }
  const environment = { PATH: '/opt', PORT: '1', COPPICE_NODE: 'x', COLOR: 'green' }
  assert.deepEqual(processEnvironment(launchOf({ environment }), endpoint, 'n', { PATH: '/bin', SECRET: 's' }), {
    PATH: '/opt',
    COLOR: 'green',
    PORT: '3000',
    PORT_80: '3000',
    COPPICE_SERVICE: 'shop.test.web.test',
    COPPICE_INSTANCE: '0',
    COPPICE_NODE: 'n',
  })
})

test('a name that would leave its folder is made harmless, and no two keys share one', () => {
  assert.equal(plainName(launchOf({}, 3).key), 'shop.test.web.test-3')
  const odd = ['../../etc', '..', '.', 'a/b', 'A', 'a b', 'a_0020b', 'é'].map((text) =>
    plainName(instanceKey(serviceId(text), 0)),
  )
  for (const name of odd) assert.match(name, /^[a-z0-9_][a-z0-9_.-]*$/)
  assert.equal(new Set(odd).size, odd.length)
})

// What of an HTTP request is passed on, to whom, and which requests are refused.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endToEndFields, headerFields, readConnectTarget, readTarget, upgradeFields } from './http-forwarding.ts'

const NAME = 'app.ns.svc.ns.0.rr.local'

const statusOf = (target: string, host?: string) => {
  const read = readTarget(target, host)
  return read.ok ? read.value : read.error.status
}

test('absolute and origin form both say whom the request is for', () => {
  assert.deepEqual(statusOf(`http://${NAME}:8080/a/b?c=d`), { address: `${NAME}:8080`, path: '/a/b?c=d' })
  assert.deepEqual(statusOf('/x', NAME), { address: `${NAME}:80`, path: '/x' })
  assert.deepEqual(statusOf(`http://${NAME.toUpperCase()}`), { address: `${NAME}:80`, path: '/' })
  assert.deepEqual(statusOf('/', 'svc.app.internal:9000'), { address: 'svc.app.internal:9000', path: '/' })
})

test('names that are not ours are forbidden, ours that do not parse are not found', () => {
  assert.equal(statusOf('http://example.org/'), 403)
  assert.equal(statusOf('http://127.0.0.1:22/'), 403)
  assert.equal(statusOf('/', 'localhost:3128'), 403)
  assert.equal(statusOf('http://svc.local/'), 404)
  assert.equal(statusOf('http://app.ns.svc.ns.0.sticki.local/'), 404)
  assert.equal(statusOf('/'), 400)
  assert.equal(statusOf(`https://${NAME}/`), 400)
})

test('CONNECT needs a name and a port', () => {
  assert.deepEqual(readConnectTarget(`${NAME}:5432`), { ok: true, value: { address: `${NAME}:5432`, path: '' } })
  assert.equal(readConnectTarget(NAME).ok, false)
  assert.equal(readConnectTarget('example.org:443').ok, false)
})

test('fields that concern one connection stop here, and so do those that Connection names', () => {
  const raw = ['Host', NAME, 'Connection', 'close, X-Mine', 'X-Mine', '1', 'TE', 'trailers', 'Accept', '*/*']
  const names = endToEndFields(headerFields(raw)).map(([name]) => name)
  assert.deepEqual(names, ['Host', 'Accept'])
})

test('a request for another protocol keeps its upgrade', () => {
  const raw = ['Host', NAME, 'Connection', 'keep-alive, Upgrade', 'Upgrade', 'websocket', 'Sec-WebSocket-Key', 'x']
  assert.deepEqual(upgradeFields(headerFields(raw)), [
    ['Host', NAME],
    ['Sec-WebSocket-Key', 'x'],
    ['Connection', 'Upgrade'],
    ['Upgrade', 'websocket'],
  ])
})

// The text that people read, checked view by view.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EVENT, NODE, service, status } from '../io/fixture-control.ts'
import {
  ago,
  clean,
  renderEvent,
  renderInstances,
  renderResolve,
  renderService,
  renderStatus,
  shortId,
  table,
} from './render.ts'

test('a table aligns its columns and leaves out those that are empty', () => {
  const rows = [
    ['web', '', 'running'],
    ['database', '', 'failed'],
  ]
  assert.equal(table(['NAME', 'REASON', 'STATE'], rows), 'NAME      STATE\nweb       running\ndatabase  failed')
})

test('a table without rows is its titles', () => {
  assert.equal(table(['A', 'B'], []).trim(), '')
})

test('times are told as the time since', () => {
  const now = Date.parse('2026-11-21T12:00:00Z')
  const cases: readonly (readonly [string | null, string])[] = [
    [null, ''],
    ['2026-11-21T12:00:05Z', 'just now'],
    ['2026-11-21T11:59:57Z', '3 s ago'],
    ['2026-11-21T11:58:00Z', '2 min ago'],
    ['2026-11-21T07:00:00Z', '5 h ago'],
    ['2026-11-20T11:00:00Z', '25 h ago'],
    ['2026-11-18T11:00:00Z', '3 days ago'],
    ['yesterday', 'yesterday'],
  ]
  for (const [moment, told] of cases) assert.equal(ago(moment, now), told)
})

test('text from elsewhere never steers the terminal', () => {
  assert.equal(clean('a\u001b[31mb\nc\u0007'), 'a [31mb c ')
  assert.equal(renderService({ ...service, address: '\u001b]0;x' }).includes('\u001b'), false)
})

test('an id is shortened to the end that tells nodes apart, a domain is not', () => {
  assert.equal(shortId(NODE), '…n8XJh7kQ')
  assert.equal(shortId('/eu/berlin/kreuzberg'), '/eu/berlin/kreuzberg')
})

test('a service is shown with the place of each instance and the reason for it', () => {
  assert.match(renderService(service), /#0 running on berlin-1 in \/berlin: best fit: 3 of 4 cores free/)
  assert.match(renderService({ ...service, accepted: false }), /kept; its leader is not reachable yet/)
})

test('instances are a table, or a sentence when there are none', () => {
  assert.equal(renderInstances([], 0), 'no instances')
  const [titles, row] = renderInstances(service.instances, Date.parse('2026-11-21T10:00:03Z')).split('\n')
  assert.match(titles ?? '', /^SERVICE +NUMBER +STATE +NODE/)
  assert.match(row ?? '', /shop\.default\.web\.default +0 +running +berlin-1 .*3 s ago/)
})

test('the status names what it waits for, the leaders and the peers', () => {
  const waiting = renderStatus({
    ...status,
    ready: false,
    waitingFor: ['a leader of /'],
    domains: [
      {
        path: '/',
        role: 'observer',
        leader: '/paris',
        leaderNode: NODE,
        leaderName: 'paris-2',
        epoch: 1,
        term: 3,
        electors: ['/berlin', '/paris'],
        quorum: true,
        line: 'ab',
        lineBegan: 'grant',
        linesMet: { kept: 'ab', left: 'cd', at: '2026-11-22T10:00:00.000Z' },
      },
    ],
    peers: [
      {
        node: NODE,
        name: 'paris-2',
        domain: '/paris',
        state: 'alive',
        path: 'relay',
        via: NODE,
        rttMs: 12.4,
        reason: 'NAT',
        reasonCode: 'symmetric-nat',
      },
    ],
  })
  assert.match(waiting, /waiting for a leader of \//)
  assert.match(waiting, /observer +\/paris \(paris-2\) +1 +3 +yes +\/berlin \/paris/)
  assert.match(waiting, /\/ went on without a majority, as its parent granted/)
  assert.match(waiting, /\/ was led twice, and became one again at 2026-11-22/)
  assert.match(waiting, /relay …n8XJh7kQ +12 ms +NAT/)
})

test('an address that leads nowhere says why', () => {
  const resolved = { service: 'a.b.c.d', policy: 'rr', endpoints: [], virtualAddress: null, reason: 'no instance runs' }
  assert.equal(renderResolve(resolved), 'service a.b.c.d, policy rr\nno endpoint: no instance runs')
})

test('an event is one line', () => {
  assert.equal(renderEvent(EVENT), '2026-11-21T10:00:00.000Z info  node-alive /berlin name=größe')
})

// From when on the winner of a domain speaks for it above, and what it may say there before its register is committed.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { elector, leader, self } from './elector.test-kit.ts'
import type { ElectorMessage } from './messages.ts'
import { mayOpenAbove, waitsForBelow } from './speaking.ts'
import { announcementBy } from './wire.test-kit.ts'

const NOW = 5_000
const fence = { epoch: 7, term: 2 }

test('the seat above opens with a proof of this very election, and not for who did not win', () => {
  const proof = announcementBy(self, { ...fence, leader: self })
  assert.equal(mayOpenAbove(leader(NOW), proof), true)
  assert.equal(mayOpenAbove(leader(NOW), null), false)
  assert.equal(mayOpenAbove(leader(NOW), announcementBy(self, { ...fence, term: 1, leader: self })), false)
  assert.equal(mayOpenAbove({ ...elector(), ...fence }, proof), false)
})

test('before the domain below has committed its register its winner only asks around above', () => {
  const waits = (kind: ElectorMessage['kind'], below: Parameters<typeof waitsForBelow>[0]['below']): boolean =>
    waitsForBelow({ below }, { kind } as ElectorMessage)
  const said = ['election/pre-vote', 'election/vote', 'election/vote-request', 'election/heartbeat'] as const
  const not = said.map(() => false)
  assert.deepEqual(
    said.map((kind) => waits(kind, { fence: null })),
    [false, true, true, true],
  )
  assert.deepEqual(
    said.map((kind) => waits(kind, { fence })),
    not,
  )
  assert.deepEqual(
    said.map((kind) => waits(kind, null)),
    not,
  )
})

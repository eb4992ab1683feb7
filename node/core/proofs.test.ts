// Which proofs of leadership a node finds on its disk when it starts, and which it lets go.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PROOFS_PER_DOMAIN_MAX } from '../../election/constants.ts'
import type { Announcement } from '../../election/index.ts'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import type { Opened } from '../../overlay/wire/envelope.ts'
import type { CoreEffect } from './effects.ts'
import { createProofKeeper } from './proofs.ts'
import { factsOf } from './world.test-kit.ts'

function announcement(term: number, domain = '/a', sequence = 1): Opened<Announcement> {
  const signer = factsOf('a1', domain)
  const message: Announcement = {
    kind: 'election/announcement',
    domain: domain as DomainPath,
    line: 'l',
    epoch: 7,
    term,
    leader: signer.node,
    node: signer.node,
    name: 'a1',
    electors: [signer.node],
    predecessor: null,
    grants: [],
    established: true,
    votes: [],
    addresses: [],
    sequence,
    fitness: 0.5,
  }
  return { from: signer.node, signer, message, bytes: Uint8Array.of(term) }
}

const writes = (effects: readonly CoreEffect[]): readonly (readonly [string, number | null])[] =>
  effects.flatMap((effect) => (effect.kind === 'persist' ? [[effect.key, effect.value?.[0] ?? null] as const] : []))

test('former leaders stay provable after a start, the latest one first', () => {
  const { loaded } = createProofKeeper([announcement(1), announcement(3), announcement(2)])
  assert.deepEqual(
    loaded.map(({ message }) => message.term),
    [3, 2, 1],
  )
})

test('each fence of each domain has a place of its own', () => {
  const out: CoreEffect[] = []
  const keeper = createProofKeeper([])
  for (const opened of [announcement(1), announcement(2), announcement(1, '/')]) keeper.keep(opened, out)
  assert.deepEqual(
    writes(out).map(([key]) => key),
    ['leaders//a//7.1', 'leaders//a//7.2', 'leaders////7.1'],
  )
})

test('beyond the limit the oldest goes, also one of an earlier life', () => {
  const onDisk = Array.from({ length: PROOFS_PER_DOMAIN_MAX }, (_, index) => announcement(index + 1))
  const out: CoreEffect[] = []
  createProofKeeper(onDisk).keep(announcement(PROOFS_PER_DOMAIN_MAX + 1), out)
  assert.deepEqual(writes(out)[1], ['leaders//a//7.1', null])
  assert.equal(out.length, 2)
})

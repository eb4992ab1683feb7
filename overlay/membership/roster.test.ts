// The table merges: whatever order statements and reports come in, the same stands in it at the end; and it has limits.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type NodeId, nodeId } from '../kernel/ids.ts'
import { seededRandom } from '../kernel/random.ts'
import { REPORTS_PER_SUBJECT_MAX, ROSTER_MAX, STRANGE_SUBJECTS_MAX } from './constants.ts'
import { domain, report, sealerOf, statement } from './fixtures.ts'
import { createMembership, rosterOf, step } from './membership.ts'
import { admitReport, admitStatement, createTable, forget } from './roster.ts'
import type { MembershipInput, MembershipState } from './state.ts'
import { tableHash } from './sync.ts'

const self = nodeId('self')
const members = ['a', 'b', 'c', 'd'].map(nodeId)

const now = 5_000
function machineAfter(inputs: readonly MembershipInput[]): MembershipState {
  const options = { self, domain, name: 'self', incarnation: 1, canLead: true, isRelay: false, known: [] } as const
  let state = createMembership({ ...options, preset: 'lan' })
  const context = { now, wall: now, random: seededRandom(1) }
  const sealer = sealerOf(self)
  for (const input of [{ kind: 'start' } as const, ...inputs]) {
    const result = step(state, input, context)
    state = result.state
    for (const effect of result.effects) {
      if (effect.kind !== 'author') continue
      state = step(state, { kind: 'message', opened: sealer.seal(effect.message) }, context).state
    }
  }
  return state
}

const small = fc.nat(3)
const someone = fc.constantFrom(...members)
const fact = fc.oneof(
  fc
    .tuple(someone, small, small, fc.boolean())
    .map(([node, incarnation, version, hasLeft]) =>
      statement(node, incarnation, version, { state: hasLeft ? 'left' : 'alive' }),
    ),
  fc
    .tuple(someone, someone, small, fc.nat(9), fc.boolean())
    .filter(([watcher, subject]) => watcher !== subject)
    .map(([watcher, subject, incarnation, sequence, isGood]) =>
      report(watcher, subject, incarnation, sequence, isGood),
    ),
)

test('the order and the repetition of statements and reports make no difference', () => {
  const shuffledTwice = fc
    .array(fact, { maxLength: 30 })
    .chain((facts) =>
      fc.tuple(fc.constant(facts), fc.shuffledSubarray([...facts, ...facts], { minLength: facts.length * 2 })),
    )
  const property = fc.property(shuffledTwice, ([facts, again]) => {
    const heard = members.map((peer) => ({ kind: 'heard', peer }) as const)
    const [one, other] = [facts, again].map((order) =>
      machineAfter([...order.map((opened): MembershipInput => ({ kind: 'message', opened })), ...heard]),
    ) as [MembershipState, MembershipState]
    assert.equal(tableHash(one.table), tableHash(other.table))
    const statesOf = (state: MembershipState) =>
      [...rosterOf(state).values()].map((entry) => [entry.node, entry.state, entry.incarnation, entry.version]).sort()
    assert.deepEqual(statesOf(one), statesOf(other))
  })
  fc.assert(property, { seed: 20261121, numRuns: 150 })
})

test('a lower incarnation never replaces a higher one', () => {
  const [a] = members as [NodeId]
  const table = createTable()
  assert.equal(admitStatement(table, statement(a, 4), now, self).kind, 'admitted')
  assert.equal(admitStatement(table, statement(a, 3, 99), now, self).kind, 'stale')
  assert.equal(admitStatement(table, statement(a, 4), now, self).kind, 'stale')
  assert.equal(admitStatement(table, statement(a, 4, 1), now, self).kind, 'admitted')
})

test('what a node may do is what it claims and its credential allows', () => {
  const [a] = members as [NodeId]
  const table = createTable()
  admitStatement(table, statement(a, 1), now, self)
  const entry = table.entries.get(a)
  assert.equal(entry?.canLead, true, 'the credential has the capability lead')
  assert.equal(entry?.isRelay, false, 'the credential lacks the capability relay')
})

test('at its limit the roster lets go who is gone longest, and else refuses the newcomer', () => {
  const table = createTable()
  for (let index = 0; index < ROSTER_MAX; index++) {
    const state = index === 10 || index === 20 ? 'left' : 'alive'
    admitStatement(table, statement(nodeId(`n${index}`), 1, 0, { state }), index, self)
  }
  assert.equal(admitStatement(table, statement(nodeId('x'), 1), now, self).kind, 'admitted')
  assert.ok(!table.entries.has(nodeId('n10')) && table.entries.has(nodeId('n20')))
  assert.equal(admitStatement(table, statement(nodeId('y'), 1), now, self).kind, 'admitted')
  assert.equal(admitStatement(table, statement(nodeId('z'), 1), now, self).kind, 'roster-full')
  assert.equal(admitStatement(table, statement(self, 1), now, self).kind, 'admitted', 'this node always has a place')
})

test('who was forgotten comes back only with a higher incarnation', () => {
  const [a] = members as [NodeId]
  const table = createTable()
  admitStatement(table, statement(a, 4), now, self)
  forget(table, a, 4)
  assert.equal(admitStatement(table, statement(a, 4, 9), now, self).kind, 'forgotten')
  assert.equal(admitStatement(table, statement(a, 5), now, self).kind, 'admitted')
})

test('reports have limits: per subject, where an outdated one makes room, and on unknown subjects', () => {
  const [a] = members as [NodeId]
  const table = createTable()
  admitStatement(table, statement(a, 2), now, self)
  for (let index = 0; index < REPORTS_PER_SUBJECT_MAX; index++) {
    assert.ok(admitReport(table, report(nodeId(`w${index}`), a, index === 5 ? 1 : 2, 1)))
  }
  assert.ok(admitReport(table, report(nodeId('late'), a, 2, 1)))
  assert.ok(!table.reports.get(a)?.has(nodeId('w5')))
  assert.ok(!admitReport(table, report(nodeId('later'), a, 2, 1)))
  for (let index = 0; index < STRANGE_SUBJECTS_MAX; index++) {
    assert.ok(admitReport(table, report(a, nodeId(`stranger${index}`), 1, 1)))
  }
  assert.ok(!admitReport(table, report(a, nodeId('one too many'), 1, 1)))
})

// What the leader book believes of announcements that prove themselves, and what it waits with.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChildId, DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import { PROOFS_PER_DOMAIN_MAX } from './constants.ts'
import { CHANGES_REMEMBERED_MAX, createLeaderBook, type LeaderBook } from './leaders.ts'
import type { Announcement } from './messages.ts'
import { announcementBy, nodes, voteBy } from './wire.test-kit.ts'

const berlin = '/berlin' as DomainPath
const [first, second, third, fourth] = nodes('berlin', 4) as readonly [NodeId, NodeId, NodeId, NodeId]
const PATIENCE_MS = 10_000

/** A book, and what it makes of an announcement: `news`, `known`, or why it does not believe it. */
function reader(): {
  readonly book: LeaderBook
  learn(node: NodeId, now: number, change: Partial<Announcement>): string
} {
  const book = createLeaderBook()
  return {
    book,
    learn: (node, now, change) => {
      const learned = book.learn(announcementBy(node, change), now, PATIENCE_MS)
      if (!learned.ok) return learned.error
      return learned.value.isNews ? 'news' : 'known'
    },
  }
}
const three: readonly ChildId[] = [first, second, third]

test('a proven leader is known, and reached, under the name of its domain', () => {
  const { book, learn } = reader()
  assert.equal(book.leaderOf(berlin), null)
  assert.equal(book.nodeOf(berlin), null)
  assert.equal(learn(first, 0, {}), 'news')
  assert.equal(learn(first, 5, { sequence: 2 }), 'known')
  assert.equal(book.nodeOf(berlin), first)
  assert.equal(book.nodeOf(second), second)
  assert.equal(book.leaderAt(berlin, { epoch: 7, term: 2 }), first)
  assert.equal(book.leaderAt(berlin, { epoch: 7, term: 3 }), null)
})

test('the revision grows with another leader, other electors and other addresses, not with a sign of life', () => {
  const { book, learn } = reader()
  const revisions: number[] = []
  const changes: readonly Partial<Announcement>[] = [
    {},
    { sequence: 2 },
    { sequence: 3, addresses: ['/ip4/192.0.2.7/tcp/1'] },
    { sequence: 4, addresses: ['/ip4/192.0.2.7/tcp/1'] },
    { term: 3, addresses: ['/ip4/192.0.2.7/tcp/1'] },
  ]
  for (const change of changes) {
    learn(first, 0, change)
    revisions.push(book.revision())
  }
  assert.deepEqual(revisions, [1, 1, 2, 2, 3])
})

test('the book remembers which domains the latest changes were about, and says so when there were too many', () => {
  const { book, learn } = reader()
  assert.deepEqual(book.changedSince(0), [])
  learn(first, 0, {})
  learn(first, 0, { sequence: 2 })
  assert.deepEqual(book.changedSince(0), [berlin])
  assert.deepEqual(book.changedSince(1), [])
  for (let term = 3; term < 3 + CHANGES_REMEMBERED_MAX; term++) learn(first, 0, { term })
  assert.equal(book.changedSince(0), null)
  assert.equal(book.changedSince(1)?.length, CHANGES_REMEMBERED_MAX)
})

test('a leader is found at what it announced, and no longer once another leads', () => {
  const { book, learn } = reader()
  const [before, after] = ['/ip4/192.0.2.7/tcp/1', '/ip4/192.0.2.8/tcp/1']
  learn(first, 0, { addresses: [before] })
  assert.deepEqual(book.addressesOf(first), [before])
  learn(second, 0, { term: 3, addresses: [after] })
  assert.deepEqual([book.addressesOf(first), book.addressesOf(second)], [[], [after]])
})

test('what proves nothing is not learned', () => {
  const { book, learn } = reader()
  assert.equal(learn(first, 0, { votes: [voteBy(first)] }), 'no-majority')
  assert.equal(book.leaderOf(berlin), null)
  assert.equal(book.leaderAt(berlin, { epoch: 7, term: 2 }), null)
})

test('an older leader does not come back, but what it once ordered can still be checked', () => {
  const { book, learn } = reader()
  assert.equal(learn(second, 0, { term: 3 }), 'news')
  assert.equal(learn(first, 1, { term: 2 }), 'older')
  assert.equal(book.nodeOf(berlin), second)
  assert.equal(book.leaderAt(berlin, { epoch: 7, term: 2 }), first)
})

test('an older announcement of the same leader does not replace a newer one', () => {
  const { book, learn } = reader()
  learn(first, 0, { sequence: 4 })
  assert.equal(learn(first, 1, { sequence: 3, name: 'old' }), 'older')
  assert.equal(book.leaderOf(berlin)?.heardAt, 0)
})

test('electors may grow one step at a time, whoever leads', () => {
  const { learn } = reader()
  assert.equal(learn(first, 0, { term: 1, electors: [first] }), 'news')
  assert.equal(learn(second, 1, { term: 2, electors: [first, second] }), 'news')
  assert.equal(learn(third, 2, { term: 3, electors: three }), 'news')
})

test('electors may change as they like in the hands of the leader that is known', () => {
  const { learn } = reader()
  assert.equal(learn(first, 0, { electors: [first] }), 'news')
  assert.equal(learn(first, 1, { electors: nodes('berlin', 5), sequence: 2 }), 'news')
})

test('electors that do not follow from the known ones are refused while these still answer', () => {
  const { book, learn } = reader()
  const strangers = nodes('berlin', 7).slice(3)
  learn(first, 0, { electors: three })
  assert.equal(learn(fourth, PATIENCE_MS - 1, { term: 9, electors: strangers }), 'unconnected')
  assert.equal(learn(fourth, PATIENCE_MS - 1, { term: 9, electors: [fourth] }), 'unconnected')
  assert.equal(book.leaderAt(berlin, { epoch: 7, term: 9 }), null, 'nor are their orders')
  assert.equal(learn(fourth, PATIENCE_MS, { term: 9, electors: strangers }), 'news', 'but not once these are silent')
})

test('a jump is believed when the majority of the known electors voted for it', () => {
  const { learn } = reader()
  learn(first, 0, { electors: three })
  const electors = [second, third, fourth, ...nodes('berlin', 6).slice(4)]
  assert.equal(learn(second, 1, { term: 3, electors }), 'news')
})

test('a node that calls itself a line of its own is refused while the known line answers', () => {
  const { learn } = reader()
  learn(first, 0, { electors: three })
  const own = { line: 'line-z', epoch: 99, electors: [fourth] }
  assert.equal(learn(fourth, 1, own), 'unconnected')
  const predecessor = { line: 'line-a', epoch: 7, electors: [fourth], cause: 'silence' as const }
  assert.equal(learn(fourth, 1, { ...own, predecessor }), 'unconnected')
  assert.equal(learn(fourth, PATIENCE_MS, { ...own, predecessor }), 'news')
})

test('where two lines meet the one that goes on is believed as soon as it is above the other', () => {
  const { learn } = reader()
  const predecessor = { line: 'line-a', epoch: 7, electors: three, cause: 'silence' as const }
  assert.equal(learn(third, 0, { line: 'line-b', epoch: 20, electors: [third], predecessor }), 'news')
  assert.equal(learn(first, 1, { electors: three }), 'older')
  assert.equal(learn(first, 2, { electors: three, epoch: 21 }), 'news')
})

test('who knows only the newest leader is shown the way back to a former one, whose electors have all changed', () => {
  const [elder, newcomer] = [reader(), reader()]
  const electors = nodes('berlin', 7)
  const told = ({ learn }: ReturnType<typeof reader>, term: number): string =>
    learn(electors[term] as NodeId, 0, { term, electors: electors.slice(term - 1, term + 2) })
  for (let term = 1; term <= 5; term++) assert.equal(told(elder, term), 'news')
  assert.equal(told(newcomer, 5), 'news')
  assert.equal(told(newcomer, 1), 'unconnected')
  const shown = elder.book.wayTo(berlin, { epoch: 7, term: 1 })
  for (const opened of shown) assert.equal(newcomer.book.learn(opened, 0, PATIENCE_MS).ok, false)
  assert.equal(newcomer.book.leaderAt(berlin, { epoch: 7, term: 1 }), second)
  assert.deepEqual(
    shown.map(({ message }) => message.term),
    [4, 3, 2, 1],
    'one after the other, each next to the one before',
  )
  assert.equal(newcomer.book.leaderOf(berlin)?.announcement.term, 5)
})

test('the way back to a former leader leaves out those in between that are not needed', () => {
  const { book, learn } = reader()
  for (let term = 1; term <= 9; term++) learn(first, term, { term, electors: three })
  const termsTo = (term: number): readonly number[] =>
    book.wayTo(berlin, { epoch: 7, term }).map(({ message }) => message.term)
  assert.deepEqual(termsTo(1), [1])
  assert.deepEqual(termsTo(9), [9])
  assert.deepEqual(termsTo(10), [], 'of whom nothing is known')
})

test('so many proofs are kept, the oldest goes first', () => {
  const { book, learn } = reader()
  for (let term = 1; term <= PROOFS_PER_DOMAIN_MAX + 1; term++) learn(first, term, { term, electors: [first] })
  assert.equal(book.leaderAt(berlin, { epoch: 7, term: 1 }), null)
  assert.equal(book.leaderAt(berlin, { epoch: 7, term: 2 }), first)
  assert.deepEqual([...book.domains()], [berlin])
})

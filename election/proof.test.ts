// What an announcement has to show, and each way in which a false one falls short of it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ChildId, type DomainPath, type NodeId, nodeId } from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import type { Announcement, ElectorMessage, Vote } from './messages.ts'
import { checkProof, isGenuine, speaksFor } from './proof.ts'
import { announcementBy, sealBy, sealerOf, voteBy } from './wire.test-kit.ts'

const berlin = '/berlin' as DomainPath
const root = '/' as DomainPath
const first = nodeId('berlin-1')
const second = nodeId('berlin-2')
const third = nodeId('berlin-3')
const fourth = nodeId('berlin-4')

const problemOf = (opened: Opened<Announcement>): string => {
  const checked = checkProof(opened)
  return checked.ok ? 'none' : checked.error
}
const withVotes = (votes: readonly Opened<Vote>[], change: Partial<Announcement> = {}): string =>
  problemOf(announcementBy(first, { votes, ...change }))

test('the votes of a majority prove a leader, after a journey as bytes too', () => {
  assert.equal(withVotes([voteBy(first), voteBy(second)]), 'none')
  const arrived = sealerOf(third).open(announcementBy(first).bytes)
  assert.ok(arrived.ok)
  assert.equal(problemOf(arrived.value as Opened<Announcement>), 'none')
})

test('a member that merely claims to lead is refused', () => {
  assert.equal(withVotes([]), 'not-the-leader')
  assert.equal(withVotes([voteBy(first)]), 'no-majority')
  assert.equal(withVotes([voteBy(first), voteBy(first), voteBy(first)]), 'no-majority')
})

test('votes for another term, epoch, line, domain or candidate are worth nothing', () => {
  const stolen: readonly Partial<Vote>[] = [
    { term: 1 },
    { epoch: 6 },
    { line: 'line-b' },
    { domain: '/paris' as DomainPath },
    { candidate: second },
  ]
  for (const change of stolen) assert.equal(withVotes([voteBy(first), voteBy(second, change)]), 'wrong-vote')
})

test('votes of children that are no electors do not count', () => {
  assert.equal(withVotes([voteBy(first), voteBy(fourth), voteBy(nodeId('berlin-5'))]), 'no-majority')
  assert.equal(withVotes([voteBy(first), voteBy(fourth), voteBy(second)]), 'none', 'nor do they harm')
  const electors = [second, third, fourth]
  const votes = [voteBy(first), voteBy(second), voteBy(third)]
  assert.equal(withVotes(votes, { electors }), 'not-the-leader', 'and a leader is an elector')
})

test('a vote counts only as the voter signed it', () => {
  assert.equal(withVotes([voteBy(first), voteBy(third, { voter: second })]), 'wrong-voter')
  assert.equal(withVotes([voteBy(first), voteBy(nodeId('paris-1'))]), 'wrong-voter')
  const guest = nodeId('berlin-guest')
  assert.equal(withVotes([voteBy(first), voteBy(guest)], { electors: [first, second, guest] }), 'wrong-voter')
})

test('an announcement counts only as the leader signed it', () => {
  const { message } = announcementBy(first)
  assert.equal(problemOf(sealBy(second, message)), 'not-the-leader')
  assert.equal(problemOf(sealBy(second, { ...message, node: second })), 'not-the-leader')
  const votes = [voteBy(second, { candidate: second }), voteBy(third, { candidate: second })]
  assert.equal(problemOf(sealBy(first, { ...message, votes, leader: second })), 'not-the-leader')
})

test('who may not lead, or belongs elsewhere, is no leader whoever votes for it', () => {
  const guest = nodeId('berlin-guest')
  const electors: readonly ChildId[] = [guest, second, third]
  const votes = electors.map((voter) => voteBy(voter as NodeId, { candidate: guest }))
  assert.equal(problemOf(announcementBy(guest, { electors, votes })), 'no-lead-capability')
  const stranger = nodeId('paris-1')
  assert.equal(problemOf(announcementBy(stranger, { electors: [stranger, second] })), 'wrong-domain')
})

test('no electors, or the same one twice, prove nothing', () => {
  assert.equal(withVotes([voteBy(first)], { electors: [] }), 'no-electors')
  assert.equal(withVotes([voteBy(first)], { electors: [first, first] }), 'no-electors')
})

// One level up: `/berlin` and `/paris` elect `/berlin`, each through the node that leads it.
const proofOf = (node: NodeId, domain: DomainPath): Opened<Announcement> => {
  const vote = voteBy(node, { domain, candidate: node })
  return announcementBy(node, { domain, electors: [node], votes: [vote] })
}
const paris = nodeId('paris-1')
const berlinProof = proofOf(first, berlin)
const parisProof = proofOf(paris, '/paris' as DomainPath)
const rootVote = (node: NodeId, voter: DomainPath, speaker: Opened<Announcement> | null): Opened<Vote> =>
  voteBy(node, { domain: root, voter, candidate: berlin, speaker })
const rootProof = (node: NodeId, votes: readonly Opened<Vote>[]): Opened<Announcement> =>
  announcementBy(node, { domain: root, leader: berlin, electors: [berlin, '/paris' as DomainPath], votes })

test('a domain’s vote carries the proof that its signer speaks for the domain', () => {
  const own = rootVote(first, berlin, berlinProof)
  const theirs = rootVote(paris, '/paris' as DomainPath, parisProof)
  const proof = rootProof(first, [own, theirs])
  assert.equal(problemOf(proof), 'none')
  const arrived = sealerOf(third).open(proof.bytes)
  assert.ok(arrived.ok && problemOf(arrived.value as Opened<Announcement>) === 'none')
  const unproven = rootVote(paris, '/paris' as DomainPath, null)
  assert.equal(problemOf(rootProof(first, [own, unproven])), 'wrong-voter')
  const borrowed = rootVote(nodeId('paris-2'), '/paris' as DomainPath, parisProof)
  assert.equal(problemOf(rootProof(first, [own, borrowed])), 'wrong-voter')
  const foreign = rootVote(first, '/paris' as DomainPath, berlinProof)
  assert.equal(problemOf(rootProof(first, [own, foreign])), 'wrong-voter')
})

test('only the node that voted for a domain may lead in its name', () => {
  const votes = [rootVote(first, berlin, berlinProof), rootVote(paris, '/paris' as DomainPath, parisProof)]
  assert.equal(problemOf(rootProof(second, votes)), 'not-the-leader')
})

test('a node speaks for a domain as long as it can show the domain’s votes', () => {
  assert.equal(speaksFor(berlin, berlinProof), first)
  assert.equal(speaksFor('/paris' as DomainPath, berlinProof), null)
  assert.equal(speaksFor(berlin, null), null)
  assert.equal(speaksFor(berlin, announcementBy(first, { votes: [] })), null)
})

test('an elector’s message is heard only from the elector itself', () => {
  const heartbeat = (node: NodeId, leader: ChildId, domain = berlin): Opened<ElectorMessage> =>
    sealBy(node, { kind: 'election/stand-now', domain, line: 'line-a', epoch: 7, term: 2, leader })
  assert.equal(isGenuine(heartbeat(first, first), berlin), true)
  assert.equal(isGenuine(heartbeat(second, first), berlin), false)
  assert.equal(isGenuine(heartbeat(first, first), root), false)
  assert.equal(isGenuine(heartbeat(paris, paris), berlin), false)
  assert.equal(isGenuine(heartbeat(nodeId('berlin-guest'), nodeId('berlin-guest')), berlin), false)
  assert.equal(isGenuine(rootVote(first, berlin, berlinProof), root), true)
  assert.equal(isGenuine(rootVote(second, berlin, berlinProof), root), false)
})

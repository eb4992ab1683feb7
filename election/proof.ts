// Whether an announcement proves what it says. Anybody can check it alone: the votes in it are signed, and a domain's
// vote carries the proof that its signer speaks for that domain.

import { type ChildId, type DomainPath, isDomain, parentOf } from '../overlay/kernel/ids.ts'
import { oncePerObject } from '../overlay/kernel/memo.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { type Announcement, type ElectorMessage, senderOf, type Vote } from './messages.ts'
import { majorityOf } from './register.ts'

export type ProofProblem =
  | 'not-the-leader'
  | 'no-lead-capability'
  | 'wrong-domain'
  | 'wrong-vote'
  | 'wrong-voter'
  | 'no-majority'
  | 'no-electors'

/**
 * Checks an announcement by itself: who signed it, and that a majority of the electors it names voted for its leader.
 * One envelope comes from many, in proofs and beside votes, and is opened once (overlay/wire/lately.ts).
 */
export const checkProof = oncePerObject((opened: Opened<Announcement>): Result<Announcement, ProofProblem> => {
  const { message: announcement, from } = opened
  const { domain, leader, node, electors } = announcement
  if (from !== node || (!isDomain(leader) && leader !== node)) return err('not-the-leader')
  if (!isDomain(leader) && opened.signer.domain !== domain) return err('wrong-domain')
  if (isDomain(leader) && parentOf(leader) !== domain) return err('wrong-domain')
  if (!opened.signer.capabilities.includes('lead')) return err('no-lead-capability')
  if (electors.length === 0 || new Set(electors).size !== electors.length) return err('no-electors')
  const voters = new Set<ChildId>()
  for (const vote of announcement.votes) {
    const problem = checkVote(vote, announcement)
    if (problem !== null) return err(problem)
    // The leader's own vote must come from the very node that announces: it is what binds a domain's leadership to a
    // node.
    if (vote.message.voter === leader && vote.from !== node) return err('not-the-leader')
    // Votes of those who were electors before are no lie, but they count for nothing.
    if (electors.includes(vote.message.voter)) voters.add(vote.message.voter)
  }
  if (!voters.has(leader)) return err('not-the-leader')
  return voters.size >= majorityOf(electors.length) ? ok(announcement) : err('no-majority')
})

function checkVote(vote: Opened<Vote>, announcement: Announcement): ProofProblem | null {
  const { message, from, signer } = vote
  const isForThis =
    message.domain === announcement.domain &&
    message.line === announcement.line &&
    message.epoch === announcement.epoch &&
    message.term === announcement.term &&
    message.candidate === announcement.leader
  if (!isForThis) return 'wrong-vote'
  if (!isDomain(message.voter)) {
    const isOwn = message.voter === from && signer.domain === announcement.domain
    return isOwn && signer.capabilities.includes('lead') ? null : 'wrong-voter'
  }
  return speaksFor(message.voter, message.speaker) === from ? null : 'wrong-voter'
}

/** The node that a proof shows to speak for a child domain, or null. */
export function speaksFor(child: DomainPath, speaker: Opened<Announcement> | null): ChildId | null {
  if (speaker === null || speaker.message.domain !== child) return null
  return checkProof(speaker).ok ? speaker.message.node : null
}

/**
 * Whether a message's signer may speak as the child that the message names. A domain's speaker is proven inside the
 * messages that decide who leads; for the others the host compares the signer with its leader book.
 */
export function isGenuine({ from, signer, message }: Opened<ElectorMessage>, domain: DomainPath): boolean {
  if (message.domain !== domain) return false
  const sender = senderOf(message)
  if (!isDomain(sender)) return sender === from && signer.domain === domain && signer.capabilities.includes('lead')
  if (parentOf(sender) !== domain) return false
  return 'speaker' in message ? speaksFor(sender, message.speaker) === from : true
}

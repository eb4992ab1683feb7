// The leader book: who leads which domain, as every node knows it from proofs alone, and who led when, so that an
// order can still be checked after its leader is gone. A device that merely claims to lead never gets in.

import { type ChildId, type DomainPath, isDomain, type NodeId, parentOf } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { PROOFS_PER_DOMAIN_MAX } from './constants.ts'
import { hasMajorityOf, isKinOfOne, isNextTo, wayBack } from './kinship.ts'
import type { Announcement } from './messages.ts'
import { checkProof, type ProofProblem } from './proof.ts'
import { survives } from './recovery.ts'
import { compareTerms } from './register.ts'
import type { Fence, KnownLine } from './state.ts'

export interface KnownLeadership {
  readonly opened: Opened<Announcement>
  readonly announcement: Announcement
  readonly heardAt: Millis
  /** When its leader last said something new: an announcement that is only handed on says nothing about it. */
  readonly spokenAt: Millis
}

/** `unconnected`: its electors do not follow from those that were known, while these still answer. */
export type LearnProblem = ProofProblem | 'unconnected' | 'older'

/** What others may read in the book. */
export interface LeaderBookView {
  /** The leader of a domain now, null when none was ever proven. */
  leaderOf(domain: DomainPath): KnownLeadership | null
  /** The node that a child is reached at: itself, or the node that speaks for a domain. */
  nodeOf(child: ChildId): NodeId | null
  /** The node that led a domain at a fence, null when there is no proof of it here. */
  leaderAt(domain: DomainPath, fence: Fence): NodeId | null
  /** What proves who led a domain at a fence, after what leads there from the newest; empty where nothing is known. */
  wayTo(domain: DomainPath, fence: Fence): readonly Opened<Announcement>[]
  /** The line of a domain that its parent has granted, null where it granted none. */
  grantedLineOf(domain: DomainPath): string | null
  /** What a witness has to know of a domain that pleads; null where nobody ever led it. */
  lineOf(domain: DomainPath): KnownLine | null
  domains(): Iterable<DomainPath>
  /** What a node that leads says of its addresses, in the announcements that hold now. */
  addressesOf(node: NodeId): readonly string[]
  /** Grows whenever another leads a domain, or has other electors or addresses; a mere sign of life is no change. */
  revision(): number
  /** The domain of each change since a revision; null where there were too many to remember. */
  changedSince(revision: number): readonly DomainPath[] | null
}

/** Owned by the node's core, which alone calls `learn`. */
export interface LeaderBook extends LeaderBookView {
  /**
   * Takes an announcement in. `patienceMs` is how long the known line must have been silent before one that does not
   * follow from it is believed. Resolves to whether this is news: another leader or other electors.
   */
  learn(
    opened: Opened<Announcement>,
    now: Millis,
    patienceMs: Millis,
  ): Result<{ readonly isNews: boolean }, LearnProblem>
  /** Takes back in what this node believed before it started; of the proofs of a domain the latest first. */
  recall(opened: Opened<Announcement>): void
}

/** Changes that the book remembers the domain of; who looks after each input needs one or two. A guess. */
export const CHANGES_REMEMBERED_MAX = 32

export function createLeaderBook(): LeaderBook {
  const current = new Map<DomainPath, KnownLeadership>()
  const ledBy = new Map<NodeId, readonly DomainPath[]>()
  let revision = 0
  /** The domains of the latest changes, the last one last. */
  const changes: DomainPath[] = []
  const proofs = new Map<DomainPath, Map<string, Opened<Announcement>>>()
  const leaderOf = (domain: DomainPath): KnownLeadership | null => current.get(domain) ?? null
  const proofAt = (domain: DomainPath, fence: Fence): Opened<Announcement> | null =>
    proofs.get(domain)?.get(fenceKey(fence)) ?? null
  const grantedLineOf = (domain: DomainPath): string | null => {
    const parent = parentOf(domain)
    const grants = parent === null ? [] : (leaderOf(parent)?.announcement.grants ?? [])
    return grants.find((granted) => granted.domain === domain)?.line ?? null
  }
  const enter = (known: KnownLeadership): void => {
    const { domain, node } = known.announcement
    const before = leaderOf(domain)?.announcement.node
    current.set(domain, known)
    if (before === node) return
    if (before !== undefined)
      ledBy.set(
        before,
        (ledBy.get(before) ?? []).filter((led) => led !== domain),
      )
    if (before !== undefined && ledBy.get(before)?.length === 0) ledBy.delete(before)
    ledBy.set(node, [...(ledBy.get(node) ?? []), domain])
  }
  const noteChange = (domain: DomainPath): void => {
    revision += 1
    changes.push(domain)
    if (changes.length > CHANGES_REMEMBERED_MAX) changes.shift()
  }
  const take = (
    opened: Opened<Announcement>,
    now: Millis,
    patienceMs: Millis,
    isRecalled: boolean,
  ): ReturnType<LeaderBook['learn']> => {
    const checked = checkProof(opened)
    if (!checked.ok) return checked
    const announcement = checked.value
    const { domain } = announcement
    const known = leaderOf(domain)
    const isSilent = known !== null && now - known.heardAt >= patienceMs
    const granted = grantedLineOf(domain)
    const place = known === null ? 'newer' : placeOf(announcement, known, isSilent, granted)
    if (place === 'unconnected') return err('unconnected')
    // Lines were compared by what stands in both; within one the former leader still has to belong to it.
    const isOfLine = known?.announcement.line === announcement.line
    const isStrange =
      !isRecalled && place === 'older' && isOfLine && !isKinOfOne(announcement, proofs.get(domain)?.values() ?? [])
    if (isStrange) return err('unconnected')
    keepProof(proofs, opened)
    if (place === 'older') return err('older')
    const isRepeated = known !== null && isSameSaying(known.announcement, announcement)
    const spokenAt = isRepeated ? known.spokenAt : now
    enter({ opened, announcement, heardAt: now, spokenAt })
    const isNews = known === null || isChange(known.announcement, announcement)
    if (isNews || (!isRepeated && isElsewhere(known.announcement, announcement))) noteChange(domain)
    return ok({ isNews })
  }
  return {
    leaderOf,
    grantedLineOf,
    lineOf: (domain) => {
      const known = leaderOf(domain)
      if (known === null) return null
      const { line, epoch, electors } = known.announcement
      return { line, epoch, electors, spokenAt: known.spokenAt }
    },
    nodeOf: (child) => (isDomain(child) ? (leaderOf(child)?.announcement.node ?? null) : child),
    leaderAt: (domain, fence) => proofAt(domain, fence)?.message.node ?? null,
    wayTo: (domain, fence) => {
      const [newest, former] = [leaderOf(domain)?.opened, proofAt(domain, fence)]
      if (newest === undefined || former === null) return []
      return wayBack(newest, former, proofs.get(domain)?.values() ?? [])
    },
    domains: () => current.keys(),
    addressesOf: (node) =>
      ledBy.get(node)?.flatMap((domain) => leaderOf(domain)?.announcement.addresses ?? []) ?? NO_ADDRESSES,
    revision: () => revision,
    changedSince: (before) => {
      const count = revision - before
      return count > changes.length ? null : changes.slice(changes.length - count)
    },
    learn: (opened, now, patienceMs) => take(opened, now, patienceMs, false),
    recall: (opened) => void take(opened, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, true),
  }
}

const NO_ADDRESSES: readonly string[] = []

const fenceKey = ({ epoch, term }: Fence): string => `${epoch}.${term}`

function keepProof(proofs: Map<DomainPath, Map<string, Opened<Announcement>>>, opened: Opened<Announcement>): void {
  const { domain } = opened.message
  const kept = proofs.get(domain) ?? new Map<string, Opened<Announcement>>()
  proofs.set(domain, kept)
  // Of one leader's announcements the one with more electors says more about who may have come before it.
  const before = kept.get(fenceKey(opened.message))?.message
  if (before === undefined || isGrownFrom(opened.message, before)) kept.set(fenceKey(opened.message), opened)
  const oldest = kept.keys().next().value
  if (kept.size > PROOFS_PER_DOMAIN_MAX && oldest !== undefined) kept.delete(oldest)
}

const isGrownFrom = (after: Announcement, before: Announcement): boolean =>
  after.node === before.node && after.line === before.line && after.electors.length > before.electors.length

/** Where an announcement that is proven by itself stands to the one that is known. */
function placeOf(
  announcement: Announcement,
  known: KnownLeadership,
  isSilent: boolean,
  granted: string | null,
): 'newer' | 'older' | 'unconnected' {
  const before = known.announcement
  if (announcement.line === before.line) {
    const order = compareTerms(announcement, before) || announcement.sequence - before.sequence
    if (order < 0) return 'older'
    return isSilent || follows(announcement, before) ? 'newer' : 'unconnected'
  }
  if (isSilent) return 'newer'
  if (!hasMajorityOf(announcement, before.electors) && survives(before, announcement, granted)) return 'unconnected'
  return compareTerms(announcement, before) > 0 ? 'newer' : 'older'
}

/**
 * Whether its electors may have grown out of the known ones: changed by the same leader in the same term, one step
 * away, or backed by a majority of those.
 */
function follows(announcement: Announcement, before: Announcement): boolean {
  if (compareTerms(announcement, before) === 0 && announcement.node === before.node) return true
  return isNextTo(announcement, before) || hasMajorityOf(announcement, before.electors)
}

const isSameSaying = (a: Announcement, b: Announcement): boolean =>
  a.line === b.line && compareTerms(a, b) === 0 && a.sequence === b.sequence

const isElsewhere = (before: Announcement, after: Announcement): boolean =>
  before.node !== after.node || before.addresses.join() !== after.addresses.join()

const isChange = (before: Announcement, after: Announcement): boolean =>
  compareTerms(before, after) !== 0 || before.electors.join() !== after.electors.join() || before.line !== after.line

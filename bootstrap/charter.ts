// The charter: every entry that the operators ever signed, each bound to the one before by its hash. Usually that is a
// chain; where two were signed for one place it is a tree, and a rule that looks at nothing but the entries says which
// branch holds. So whoever has the same entries, in whatever order they came, has the same charter.

import type { FederationId, NodeId, OperatorId } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import {
  type Authority,
  type CharterProblem,
  isSignedEnough,
  judgeEntry,
  type KnownKey,
  type Operator,
  previousOf,
  refuse,
  type Standing,
  tooFewSignatures,
} from './charter-authority.ts'
import {
  CHARTER_ENTRIES_MAX,
  type CharterEntry,
  type CharterFact,
  type Crypto,
  draftEntry,
  entryHash,
  hexOf,
  type OperatorSeal,
  signEntry,
  signedPart,
  type Threshold,
} from './charter-entry.ts'
import { type Branches, chooseBranches } from './charter-forks.ts'

/** An entry in its place, and who has a say after it. */
export interface PlacedEntry {
  readonly entry: CharterEntry
  readonly hash: string
  readonly prev: string | null
  readonly fact: CharterFact
  readonly authority: Authority
}

/** Two or more entries with the same entry before them. */
export interface Fork {
  readonly seq: number
  readonly winner: string
  readonly losers: readonly string[]
}

/** Who put a node or a credential out: the operators that enrolled it, or EVERYBODY. */
export type Revocations<K> = ReadonlyMap<K, ReadonlySet<OperatorId>>
/** Stands for all operators together. */
export const EVERYBODY = '' as OperatorId

/** What a charter says. */
export interface CharterView {
  readonly federation: FederationId
  readonly name: string
  /** Hex hash of the last entry of the branch that holds. */
  readonly head: string
  /** Entries of the branch that holds. */
  readonly length: number
  /** Hex hashes of that branch, first to last. */
  readonly hashes: readonly string[]
  readonly operators: readonly Operator[]
  readonly keys: ReadonlyMap<OperatorId, KnownKey>
  readonly threshold: Threshold
  /** Revocations count on whichever branch they stand. */
  readonly revokedNodes: Revocations<NodeId>
  /** By hex SHA-256. */
  readonly revokedCredentials: Revocations<string>
  readonly forks: readonly Fork[]
  /** Hashes of entries that nothing follows, sorted: two charters with the same tips are the same. */
  readonly tips: readonly string[]
  /** The latest time that each operator alone vouched for: it is not earlier now, whatever a clock says. */
  readonly vouchedAt: ReadonlyMap<OperatorId, number>
}

/** All that is known and valid, by hash, and what it says. */
export interface Charter {
  readonly placed: ReadonlyMap<string, PlacedEntry>
  readonly view: CharterView
}

/** What became of entries that were offered. */
export interface Extension {
  readonly charter: Charter
  /** In an order in which each follows what it needs. */
  readonly added: readonly PlacedEntry[]
  /** Valid, but signed by too few so far. */
  readonly drafts: readonly CharterEntry[]
  /** Entries whose predecessor is not known here. */
  readonly orphans: number
  /** What was wrong with others; a kind that this version does not know is among them. */
  readonly problems: readonly CharterProblem[]
}

/** Checks a whole charter: order, links, shapes, and that enough operators signed each entry. */
export function openEntries(entries: readonly CharterEntry[], crypto: Crypto): Result<Charter, CharterProblem> {
  const [first] = entries
  if (first === undefined) return refuse('empty', 'the charter has no entry')
  const founded = foundCharter(first, crypto)
  if (!founded.ok) return founded
  const { charter, drafts, orphans, problems } = extend(founded.value, entries.slice(1), crypto)
  const [problem] = problems
  if (problem !== undefined) return err(problem)
  if (orphans > 0) return refuse('broken-link', `${orphans} of its entries follow from none that is there`)
  const [draft] = drafts
  if (draft !== undefined) return refuse('too-few-signatures', `entry ${draft.seq}: it lacks signatures`)
  return ok(charter)
}

function foundCharter(genesis: CharterEntry, crypto: Crypto): Result<Charter, CharterProblem> {
  const placed = placeEntry(null, genesis, crypto)
  if (!placed.ok) return placed
  if (!isSignedEnough(placed.value.standing)) return err(tooFewSignatures(genesis, placed.value.standing))
  return ok(charterOf(new Map([[placed.value.placed.hash, placed.value.placed]])))
}

/** Signs the genesis: by all that it names, or it is none. */
export function foundWith(
  body: Extract<CharterFact, { readonly kind: 'genesis' }>['body'],
  seals: readonly OperatorSeal[],
  crypto: Crypto,
): Result<Charter, CharterProblem> {
  return foundCharter(signEntry(draftEntry(0, null, { kind: 'genesis', body }), seals), crypto)
}

/** Takes in entries in any order; what lacks signatures or does not belong changes nothing. */
export function extend(charter: Charter, entries: readonly CharterEntry[], crypto: Crypto): Extension {
  const placed = new Map(charter.placed)
  const added: PlacedEntry[] = []
  const drafts: CharterEntry[] = []
  const problems: CharterProblem[] = []
  let orphans = 0
  for (const entry of [...entries].sort((a, b) => a.seq - b.seq)) {
    const before = placed.get(previousOf(entry) ?? '')
    if (before === undefined) {
      const isOurs = entry.seq === 0 && entryHash(entry, crypto) === charter.view.federation
      if (entry.seq === 0 && !isOurs) problems.push({ kind: 'broken-link', detail: 'it is of another federation' })
      else if (!isOurs) orphans += 1
      continue
    }
    const payload = signedPart(entry)
    const hash = hexOf(crypto.sha256(payload))
    if (placed.has(hash)) continue
    const judged = placeHashed(before, entry, hash, payload, crypto)
    if (!judged.ok) problems.push(judged.error)
    else if (!isSignedEnough(judged.value.standing)) drafts.push(entry)
    else if (placed.size >= CHARTER_ENTRIES_MAX) problems.push(full)
    else {
      placed.set(judged.value.placed.hash, judged.value.placed)
      added.push(judged.value.placed)
    }
  }
  return { charter: added.length === 0 ? charter : charterOf(placed), added, drafts, orphans, problems }
}

/** Judges an entry on top of one that is placed. */
export function placeEntry(
  before: PlacedEntry | null,
  entry: CharterEntry,
  crypto: Crypto,
): Result<Placing, CharterProblem> {
  const payload = signedPart(entry)
  return placeHashed(before, entry, hexOf(crypto.sha256(payload)), payload, crypto)
}

interface Placing {
  readonly placed: PlacedEntry
  readonly standing: Standing
}

function placeHashed(
  before: PlacedEntry | null,
  entry: CharterEntry,
  hash: string,
  payload: Uint8Array,
  crypto: Crypto,
): Result<Placing, CharterProblem> {
  const seq = before === null ? 0 : before.entry.seq + 1
  if (entry.seq !== seq) return refuse('bad-sequence', `entry ${seq}: is numbered ${entry.seq}`)
  if (previousOf(entry) !== (before?.hash ?? null)) {
    return refuse('broken-link', `entry ${seq}: does not follow from the entry before it`)
  }
  const standing = judgeEntry(before?.authority ?? null, entry, payload, crypto)
  if (!standing.ok) return standing
  const { fact, authority } = standing.value
  return ok({ placed: { entry, hash, prev: before?.hash ?? null, fact, authority }, standing: standing.value })
}

/** All entries, each after the one before it. */
export const entriesOf = ({ placed }: Charter): readonly CharterEntry[] =>
  [...placed.values()].map(({ entry }) => entry).sort((a, b) => a.seq - b.seq)

function charterOf(placed: ReadonlyMap<string, PlacedEntry>): Charter {
  const branches = chooseBranches(placed)
  return { placed, view: viewOf(placed, branches) }
}

function viewOf(placed: ReadonlyMap<string, PlacedEntry>, { path, forks, tips }: Branches): CharterView {
  const first = placed.get(path[0] ?? '') as PlacedEntry
  const last = placed.get(path.at(-1) ?? '') as PlacedEntry
  const revokedNodes = new Map<NodeId, Set<OperatorId>>()
  const revokedCredentials = new Map<string, Set<OperatorId>>()
  const vouchedAt = new Map<OperatorId, number>()
  for (const { fact } of placed.values()) {
    if (fact.kind === 'revoke') {
      const by = fact.body.operator ?? EVERYBODY
      for (const node of fact.body.nodes) addTo(revokedNodes, node, by)
      for (const hash of fact.body.credentials) addTo(revokedCredentials, hexOf(hash), by)
    }
    const voucher = voucherOf(fact)
    if (voucher !== null) vouchedAt.set(voucher, Math.max(vouchedAt.get(voucher) ?? 0, fact.body.at))
  }
  const { operators, threshold } = last.authority
  return {
    federation: first.hash as FederationId,
    name: first.fact.kind === 'genesis' ? first.fact.body.name : '',
    head: last.hash,
    length: path.length,
    hashes: path,
    operators,
    keys: keysOf(placed, last.authority),
    threshold,
    revokedNodes,
    revokedCredentials,
    forks,
    tips,
    vouchedAt,
  }
}

/** Keys of the branch that holds; then those that only other branches know, for what they signed can still be read. */
function keysOf(placed: ReadonlyMap<string, PlacedEntry>, { keys }: Authority): CharterView['keys'] {
  const all = new Map<OperatorId, KnownKey>()
  for (const { fact, authority } of placed.values()) {
    if (fact.kind !== 'admit-operator' && fact.kind !== 'rotate') continue
    for (const [key, known] of authority.keys) all.set(key, known)
  }
  for (const [key, known] of keys) all.set(key, known)
  return all
}

/** Who alone stands behind an entry's time: it can only make its own devices' credentials look older. */
function voucherOf(fact: CharterFact): OperatorId | null {
  return fact.kind === 'revoke' || fact.kind === 'rotate' ? fact.body.operator : null
}

function addTo<K>(revocations: Map<K, Set<OperatorId>>, key: K, by: OperatorId): void {
  const known = revocations.get(key)
  if (known === undefined) revocations.set(key, new Set([by]))
  else known.add(by)
}

const full: CharterProblem = {
  kind: 'too-large',
  detail: `the charter has ${CHARTER_ENTRIES_MAX} entries, and takes no more`,
}

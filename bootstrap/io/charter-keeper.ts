// Holds the one charter of this node and the drafts that wait for signatures. Both only grow by what is valid, on disk
// first.

import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import { type Charter, entriesOf, extend, openEntries, type PlacedEntry } from '../charter.ts'
import type { CharterProblem } from '../charter-authority.ts'
import { type Drafts, type DraftView, draftsDigest, mergeDrafts, viewDraft } from '../charter-drafts.ts'
import {
  CHARTER_BYTES_MAX,
  type CharterEntry,
  type CharterFact,
  draftEntry,
  entryHash,
  type OperatorSeal,
  signEntry,
} from '../charter-entry.ts'
import { packEntries, unpackEntries } from '../charter-file.ts'
import { digestCharter, lackedBy, showCharter } from '../charter-sync.ts'
import { BootstrapError } from '../errors.ts'
import { nodeCrypto } from './crypto.ts'
import { CHARTER_KEY, DRAFTS_KEY, type Store } from './store.ts'
import { createTurns } from './turns.ts'

/** What a node took in or made: entries in force, and drafts that are new or were signed by more. */
export interface CharterChange {
  readonly charter: Charter
  readonly entries: readonly CharterEntry[]
  readonly drafts: readonly CharterEntry[]
  /** It came by gossip, which all hear. */
  readonly isHeard: boolean
}

export interface Taken {
  readonly added: readonly PlacedEntry[]
  readonly isDraftsChanged: boolean
  /** Entries whose predecessor is not known here. */
  readonly orphans: number
  readonly problems: readonly CharterProblem[]
}

/** What became of a proposal or a signature: in force, or waiting for more. */
export interface Proposed {
  readonly hash: string
  readonly kind: string
  readonly isInForce: boolean
  readonly signed: readonly string[]
  readonly needed: number
}

export interface CharterKeeper {
  current(): Charter
  drafts(): readonly DraftView[]
  /** All entries, packed; drafts are not among them. */
  packed(): Uint8Array
  /** Entries and drafts. */
  all(): readonly CharterEntry[]
  shown(): { readonly shown: readonly Uint8Array[]; readonly digest: Uint8Array }
  /** What whoever showed this lacks, and all drafts. */
  lackedBy(shown: readonly Uint8Array[]): readonly CharterEntry[]
  /** Takes in entries and drafts from anywhere. Rejects only when the store fails. */
  take(entries: readonly CharterEntry[], isHeard?: boolean): Promise<Taken>
  /** Signs something new on top of the charter. Rejects with BootstrapError. */
  propose(fact: CharterFact, seal: OperatorSeal): Promise<Proposed>
  /** Adds a signature to a draft, by the beginning of its hash. Rejects with BootstrapError. */
  sign(hashBegins: string, seal: OperatorSeal): Promise<Proposed>
}

/** Checks a packed charter from its first byte to its last signature. */
export function openCharter(packed: Uint8Array): Result<Charter, CharterProblem> {
  const entries = unpackEntries(packed)
  if (!entries.ok) return err({ kind: 'malformed', detail: entries.error })
  return openEntries(entries.value, nodeCrypto)
}

export async function createCharterKeeper(
  initial: Charter,
  store: Store,
  onChanged: (change: CharterChange) => void,
): Promise<CharterKeeper> {
  const turns = createTurns()
  let current = initial
  let packed = packEntries(entriesOf(initial))
  let drafts = await loadDrafts(store, initial)

  /** The one door: whatever is new goes through the same checks, wherever it came from. */
  async function consider(offered: readonly CharterEntry[], isHeard = false): Promise<Taken> {
    const first = extend(current, offered, nodeCrypto)
    const merged = mergeDrafts(drafts, first.drafts, first.charter, nodeCrypto)
    const second = extend(first.charter, merged.complete, nodeCrypto)
    const added = [...first.added, ...second.added]
    const problems = [...first.problems, ...second.problems]
    if (added.length > 0) await keepCharter(second.charter)
    const isDraftsChanged = merged.isChanged || merged.complete.length > 0
    if (isDraftsChanged) {
      await store.put(DRAFTS_KEY, packEntries([...merged.drafts.values()]), { sync: true })
      drafts = merged.drafts
    }
    if (added.length > 0 || isDraftsChanged) {
      onChanged({ charter: current, entries: added.map(({ entry }) => entry), drafts: [...drafts.values()], isHeard })
    }
    return { added, isDraftsChanged, orphans: first.orphans, problems }
  }

  async function keepCharter(charter: Charter): Promise<void> {
    const next = packEntries(entriesOf(charter))
    if (next.length > CHARTER_BYTES_MAX) throw charterFull()
    await store.put(CHARTER_KEY, next, { sync: true })
    current = charter
    packed = next
  }

  /** Where the entry stands after this node took it in. */
  async function submit(entry: CharterEntry): Promise<Proposed> {
    const hash = entryHash(entry, nodeCrypto)
    const { problems } = await consider([entry])
    const placed = current.placed.get(hash)
    if (placed !== undefined) {
      const signed = placed.entry.signatures.map(({ key }) => key)
      return { hash, kind: entry.kind, isInForce: true, signed, needed: signed.length }
    }
    const held = drafts.get(hash)
    const view = held === undefined ? null : viewDraft(held, current, nodeCrypto)
    if (view === null) throw notMade(entry.kind, problems[0])
    const { signed, needed } = view.standing
    return { hash, kind: entry.kind, isInForce: false, signed, needed }
  }

  return {
    current: () => current,
    drafts: () => [...drafts.values()].flatMap((entry) => viewDraft(entry, current, nodeCrypto) ?? []),
    packed: () => packed,
    all: () => [...entriesOf(current), ...drafts.values()],
    shown: () => {
      const digest = digestCharter(current, draftsDigest(drafts), nodeCrypto)
      return { shown: showCharter(current), digest }
    },
    lackedBy: (shown) => [...lackedBy(shown, current), ...drafts.values()],
    take: (entries, isHeard) => turns.take(() => consider(entries, isHeard)),
    propose: (fact, seal) =>
      turns.take(() => {
        const { length, head } = current.view
        return submit(signEntry(draftEntry(length, head, fact), [seal]))
      }),
    sign: (hashBegins, seal) =>
      turns.take(() => {
        const found = [...drafts].filter(([hash]) => hash.startsWith(hashBegins))
        const [only] = found
        if (only === undefined || found.length > 1) throw noSuchDraft(hashBegins, found.length)
        return submit(signEntry(only[1], [seal]))
      }),
  }
}

/** Drafts on the disk are a convenience: what is damaged or out of date there is passed over. */
async function loadDrafts(store: Store, charter: Charter): Promise<Drafts> {
  const stored = await store.get(DRAFTS_KEY)
  const entries = stored === null ? null : unpackEntries(stored)
  return entries?.ok ? mergeDrafts(new Map(), entries.value, charter, nodeCrypto).drafts : new Map()
}

/** Signs, on no node at all, what waits in a file; returns all of the file and how many drafts were signed. */
export function signDrafts(
  entries: readonly CharterEntry[],
  seal: OperatorSeal,
): Result<{ readonly entries: readonly CharterEntry[]; readonly signed: number }, CharterProblem> {
  const [genesis] = entries
  const founded = openEntries(genesis === undefined ? [] : [genesis], nodeCrypto)
  if (!founded.ok) return founded
  const { charter, drafts, problems } = extend(founded.value, entries.slice(1), nodeCrypto)
  const [problem] = problems
  if (problem !== undefined) return err(problem)
  const isOperator = charter.view.operators.some(({ key }) => key === seal.operator)
  const signed = isOperator ? drafts.map((draft) => signEntry(draft, [seal])) : drafts
  const count = signed.filter((draft, index) => draft.signatures.length > (drafts[index]?.signatures.length ?? 0))
  return ok({ entries: [...entriesOf(charter), ...signed], signed: count.length })
}

function notMade(kind: string, problem: CharterProblem | undefined): BootstrapError {
  const what = `the entry "${kind}" was not made: ${problem?.detail ?? 'too many drafts wait already'}`
  if (problem?.kind === 'too-large') return new BootstrapError('charter-full', what, CHARTER_FULL_HINT)
  if (problem?.kind === 'bad-body')
    return new BootstrapError('bad-option', what, '`coppice charter log` shows who is who.')
  return new BootstrapError('not-an-operator', what, 'Use the key of an operator of this federation.')
}

const CHARTER_FULL_HINT = 'The charter is full; found a new federation and join its devices to it.'
const charterFull = (): BootstrapError =>
  new BootstrapError('charter-full', 'the charter would outgrow its bound', CHARTER_FULL_HINT)

const noSuchDraft = (hashBegins: string, found: number): BootstrapError =>
  new BootstrapError(
    'no-such-draft',
    found === 0 ? `no entry "${hashBegins}" waits for signatures` : `"${hashBegins}" could be ${found} entries`,
    '`coppice charter log` shows what waits.',
  )

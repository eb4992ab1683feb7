// The numbers of the registry, each with where it comes from, and the relations between them that must hold.

import { invariant } from '../overlay/kernel/assert.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { MESSAGE_BYTES_MAX } from '../overlay/wire/codec.ts'
import { SPEC_BYTES_MAX } from './record.ts'

const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** A place sets the pace of anti-entropy. */
export type StorePreset = 'lan' | 'wan' | 'metered'

export interface StoreTiming {
  /** Between two rounds of anti-entropy, give or take a quarter. */
  readonly exchangeIntervalMs: Millis
  /** After a round that brought news, which others may lack as well. */
  readonly exchangeAfterNewsMs: Millis
  /** How long an exchange of ours keeps us from answering the other side's: a few round trips. */
  readonly exchangeInFlightMs: Millis
}

/**
 * 30 s is DESIGN section 8. A digest is about 0.8 KB sealed: twice 0.1 MB an hour on lan (budget 10 MB), and on
 * metered, at 5 minutes, twice 10 KB (budget 1 MB). The other two are guesses.
 */
export const STORE_TIMING: Readonly<Record<StorePreset, StoreTiming>> = {
  lan: { exchangeIntervalMs: 30 * second, exchangeAfterNewsMs: second, exchangeInFlightMs: 2 * second },
  wan: { exchangeIntervalMs: 30 * second, exchangeAfterNewsMs: 2 * second, exchangeInFlightMs: 4 * second },
  metered: { exchangeIntervalMs: 5 * minute, exchangeAfterNewsMs: 30 * second, exchangeInFlightMs: 10 * second },
}

/**
 * Rounds in a row, exchangeAfterNewsMs apart, once an exchange brought news. If each who has it says so to k others by
 * chance, a share s = e^(-k(1-s)) is left without: 20 % where k is 2, 6 % of 3, 2 % of 4 (Demers and others, "Epidemic
 * algorithms for replicated database maintenance", PODC 1987, section 1.4). With 1, as it was, it hardly spreads.
 */
export const ROUNDS_AFTER_NEWS = 4

/**
 * How long a deletion is remembered (DESIGN section 8): the longest partition after which nothing deleted comes back.
 */
export const TOMBSTONE_KEPT_MS = 7 * day

/**
 * How far a spec's clock may be ahead of ours: devices without a battery-backed clock are off by hours, not by days.
 */
export const CLOCK_AHEAD_MS_MAX = day
/** Changes within one millisecond; far more than any signer makes, far below where adding one loses precision. */
export const CLOCK_COUNTER_MAX = 1_000_000_000
/**
 * A reading's counter, divided by this, leaves a remainder that belongs to its signer: two signers share one in one of
 * so many cases, and 15,000 readings of one signer still fit into a millisecond. A guess between the two.
 */
export const CLOCK_SIGNERS = 65_536

/** One sealed record: a whole spec and what is around it (names, clocks, signature, credential hash). */
export const RECORD_BYTES_MAX = 40_000
/** Records of one store, deletions included: about 20 MB at 1 KB each, which a small device still has. A guess. */
export const RECORDS_MAX = 20_000
/**
 * Keys that one signer may hold. A leader signs all placements, and has proven itself, so only the store bounds
 * those.
 */
export const SPECS_PER_SIGNER_MAX = 1_000
export const INSTANCES_PER_SIGNER_MAX = 2_000
/**
 * Placements kept aside until their leader is proven; at the limit the oldest goes, and anti-entropy brings it again.
 */
export const WAITING_RECORDS_MAX = 1_000
/** A proof that placements wait for is asked for at most this often, as they come again. A guess: some round trips. */
export const PROOF_RETRY_MS = second
/** Fences whose proofs were asked for lately; the one asked for longest ago is forgotten first. */
export const WANTED_PROOFS_MAX = 100
/** Revoked signers that a store remembers; the verifier refuses them in any case. */
export const REVOKED_SIGNERS_MAX = 10_000
/** Within this time one of the nodes of its operator signs a revoked node's spec again; by chance, so that few do. */
export const ADOPT_WITHIN_MS = 5 * second

/** The digest has this many buckets: 512 bytes, and a store of 20,000 has about 300 records in each. */
export const BUCKETS = 64
/** Bytes of one bucket in a digest, of a key's hash and of a version's mark. */
export const HASH_BYTES = 8
/** One line of a list of what is held: the hash of the key, the mark of the version. */
export const ROW_BYTES = 2 * HASH_BYTES
/** Lines in one message: 48 KB. */
export const ROWS_MAX = 3_000
/** Sealed records in one message. */
export const PIECE_BYTES_MAX = 60_000
export const PIECE_RECORDS_MAX = 512
/**
 * Gossip about records, of one domain by one node: so many messages go at once, and one more each GOSSIP_GATHER_MS;
 * what comes meanwhile goes with the next. What one service of one instance brings about goes at once. Guesses.
 */
export const GOSSIP_BURST = 6
export const GOSSIP_GATHER_MS = 50
/** What a node writes in one go, it gossips within this time of the first of it: its disk is done with all at once. */
export const GOSSIP_BREATH_MS = 2

/** What one message of a peer makes us send; what is left follows in the next exchange, which begins at once. */
export const EXCHANGE_BYTES_MAX = 1_000_000
export const EXCHANGE_PIECES_MAX = 64
/** What one peer may make us send in one window: nobody turns a 600-byte digest into a flood. A guess. */
export const EXCHANGE_WINDOW_MS = 10 * second
export const EXCHANGE_WINDOW_BYTES_MAX = 8_000_000
/** Holders that are asked at the same time for what this node lacks; the others wait for their turn. A guess. */
export const FETCHES_AT_ONCE_MAX = 2
/** So few records, or buckets that differ, are asked for of any number of holders. A guess. */
export const FETCHED_FREELY_MAX = 16
/**
 * Peers that an exchange is remembered with; beyond it the longest known is forgotten, at the cost of a doubled
 * exchange.
 */
export const EXCHANGE_PEERS_MAX = 2_000

/** Records that wait to be taken in by a store that this node does not hold; at the limit a new one is refused. */
export const OUTBOX_RECORDS_MAX = 2_000
/**
 * Until a push is said again: doubled from the first to the last. Guesses; the first is some round trips over a
 * relay.
 */
export const PUSH_RETRY_MS_MIN = 2 * second
export const PUSH_RETRY_MS_MAX = 30 * second

/** How long one node is waited for before the next up the tree is asked. */
export const LOOKUP_DEADLINE_MS = 2 * second
/** How long an answer is used without asking again; changes are told meanwhile. */
export const LOOKUP_CACHE_MS = minute
/** How long "there is no such service" is believed: long enough to spare a storm, short enough to see a deploy. */
export const LOOKUP_CACHE_MISS_MS = second
/** How long those who asked are told of changes. */
export const INTEREST_MS = 2 * minute
/** Changes of one service within this time make one answer; the first that callers may wait for goes at once. */
export const ANSWER_GATHER_MS = 50
/** Names looked up at one time, requests that wait for one of them, and answers kept. The oldest answer goes first. */
export const LOOKUPS_MAX = 1_000
export const WAITERS_PER_LOOKUP_MAX = 1_000
export const LOOKUP_CACHE_ENTRIES_MAX = 1_000
/** Pairs of asker and service that are told of changes, in all and of one asker; beyond it they ask again at expiry. */
export const INTERESTS_MAX = 10_000
export const INTERESTS_PER_ASKER_MAX = 1_000

const ENVELOPE_BYTES = 1_000

invariant(SPEC_BYTES_MAX + 4 * ENVELOPE_BYTES <= RECORD_BYTES_MAX, 'the largest spec makes a record that is accepted')
invariant(RECORD_BYTES_MAX <= PIECE_BYTES_MAX, 'any record fits a piece')
invariant(PIECE_BYTES_MAX + 5 * PIECE_RECORDS_MAX + ENVELOPE_BYTES <= MESSAGE_BYTES_MAX, 'any piece fits a message')
invariant(ROWS_MAX * ROW_BYTES + ENVELOPE_BYTES <= MESSAGE_BYTES_MAX, 'any list of what is held fits a message')
invariant(GOSSIP_BREATH_MS < GOSSIP_GATHER_MS, 'a breath is shorter than the wait for the next message')
invariant(PIECE_BYTES_MAX <= EXCHANGE_BYTES_MAX, 'an exchange moves on by a piece at least')
invariant(
  LOOKUP_CACHE_MS + LOOKUP_DEADLINE_MS < INTEREST_MS,
  'who uses an answer is told of changes until it asks again',
)
for (const timing of Object.values(STORE_TIMING)) {
  invariant(timing.exchangeInFlightMs < timing.exchangeIntervalMs, 'an exchange is over before the next round')
  invariant(timing.exchangeAfterNewsMs < timing.exchangeIntervalMs, 'news make the next round earlier')
}

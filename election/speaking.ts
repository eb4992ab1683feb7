// When the leader of a domain may speak for it in the parent. Its seat there opens with the election below, so that
// what it has to remember is committed with what the new leader commits anyway, and not one round after that.

import type { Opened } from '../overlay/wire/envelope.ts'
import type { Announcement, ElectorMessage, Grant } from './messages.ts'
import { compareTerms } from './register.ts'
import type { ElectionState, Fence } from './state.ts'

/**
 * Whether the seat above may open: this node won the domain, and has the proof of that to show. What the seat then
 * knows stands in the winner's register, which is at least as new as all that was committed.
 */
export const mayOpenAbove = (state: ElectionState, proof: Opened<Announcement> | null): boolean =>
  state.role.kind === 'leader' && proof !== null && compareTerms(proof.message, state) === 0

/**
 * Whether a seat may not say this yet. Until the domain below has committed its register in the new leader's term, that
 * leader may turn out to be none, and what the seat remembers may be lost with it; so nothing is said that counts on
 * it. Asking around promises nothing, and is the only thing that need not wait.
 */
export const waitsForBelow = (
  { below }: { readonly below: { readonly fence: Fence | null } | null },
  { kind }: ElectorMessage | Grant,
): boolean => below !== null && below.fence === null && kind !== 'election/pre-vote'

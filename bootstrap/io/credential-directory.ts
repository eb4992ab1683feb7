// The verified credentials that this node knows, by hash: what envelopes are checked against. They are kept on disk
// in numbered slots, so that after a power cut with no network the records of all members can still be read.

import type { NodeId, OperatorId } from '../../overlay/kernel/ids.ts'
import { err } from '../../overlay/kernel/result.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import { decodeBounded } from '../../overlay/wire/codec.ts'
import { encodeWith, flag, object, readWith, text } from '../../overlay/wire/schema.ts'
import type { CharterView } from '../charter.ts'
import { CREDENTIAL_BYTES_MAX } from '../credential.ts'
import { type HeldCredential, openCredential } from './credential-signer.ts'
import { credentialKey, type Store } from './store.ts'

/**
 * A relation: four clusters of a thousand nodes. At the limit the one unused for longest makes room, and is asked
 * for again.
 */
export const CREDENTIALS_KNOWN_MAX = 4_096

const storedSchema = object({ credential: text(CREDENTIAL_BYTES_MAX), met: flag })

export interface CredentialDirectory {
  byHash(hashHex: string): HeldCredential | null
  /** Whether this very credential passed a hello here. */
  isMet(hashHex: string): boolean
  /** The credential that a node last passed a hello with, else any that is known of it. */
  lastMet(node: NodeId): HeldCredential | null
  /** The one that was signed last of those known of a node. */
  latest(node: NodeId): HeldCredential | null
  /** All that are known of a node. */
  allOf(node: NodeId): readonly HeldCredential[]
  operatorOf(node: NodeId): OperatorId | null
  /** Nodes of which a credential is known. */
  nodes(): Iterable<NodeId>
  /** When an operator last signed a credential itself, of those known here: it is not earlier now. */
  lastIssued(operator: OperatorId): UnixMillis
  /**
   * Takes in a checked credential; `met` when it has just passed a hello. Written without sync: it can be asked for
   * again.
   */
  add(credential: HeldCredential, met: boolean): Promise<void>
}

interface Place {
  readonly credential: HeldCredential
  readonly slot: number
  readonly met: boolean
}

/** Reads what is on disk; what is damaged there, or no longer stands under the charter, is passed over. */
export async function openDirectory(store: Store, charter: CharterView): Promise<CredentialDirectory> {
  const places = new Map<string, Place>()
  const metByNode = new Map<NodeId, HeldCredential>()
  const byNode = new Map<NodeId, HeldCredential>()
  const lastIssued = new Map<OperatorId, UnixMillis>()
  let slots = 0
  for (; slots < CREDENTIALS_KNOWN_MAX; slots++) {
    const stored = await store.get(credentialKey(slots))
    if (stored === null) break
    const raw = decodeBounded(stored)
    const read = raw.ok ? readWith(storedSchema, raw.value, () => err('no envelope belongs here')) : raw
    if (!read.ok) continue
    const opened = await openCredential(read.value.credential, charter)
    if (opened.ok) remember({ credential: opened.value, slot: slots, met: read.value.met })
  }

  function remember(place: Place): void {
    places.set(place.credential.hashHex, place)
    const { facts, bearer, issuedAt } = place.credential
    byNode.set(facts.node, place.credential)
    if (bearer.delegate === null) {
      lastIssued.set(facts.operator, Math.max(lastIssued.get(facts.operator) ?? 0, issuedAt))
    }
    if (place.met) metByNode.set(place.credential.facts.node, place.credential)
  }

  /** A map lists what was set last at its end: the first is the one unused for longest. */
  function touch(place: Place): Place {
    places.delete(place.credential.hashHex)
    places.set(place.credential.hashHex, place)
    return place
  }

  function freeSlot(): number {
    if (slots < CREDENTIALS_KNOWN_MAX) return slots++
    const [oldest] = places.values()
    if (oldest === undefined) return 0
    places.delete(oldest.credential.hashHex)
    const { node } = oldest.credential.facts
    if (byNode.get(node) === oldest.credential) byNode.delete(node)
    if (metByNode.get(node) === oldest.credential) metByNode.delete(node)
    return oldest.slot
  }

  return {
    byHash: (hashHex) => {
      const place = places.get(hashHex)
      return place === undefined ? null : touch(place).credential
    },
    isMet: (hashHex) => places.get(hashHex)?.met ?? false,
    lastMet: (node) => metByNode.get(node) ?? byNode.get(node) ?? null,
    latest: (node) => {
      const [met, heard] = [metByNode.get(node) ?? null, byNode.get(node) ?? null]
      return met === null || (heard !== null && heard.issuedAt > met.issuedAt) ? heard : met
    },
    allOf: (node) =>
      [...places.values()].flatMap(({ credential }) => (credential.facts.node === node ? [credential] : [])),
    operatorOf: (node) => (metByNode.get(node) ?? byNode.get(node))?.facts.operator ?? null,
    nodes: () => byNode.keys(),
    lastIssued: (operator) => lastIssued.get(operator) ?? 0,
    add: async (credential, met) => {
      const known = places.get(credential.hashHex)
      if (known !== undefined && (known.met || !met)) {
        if (known.met) metByNode.set(credential.facts.node, known.credential)
        touch(known)
        return
      }
      const place: Place = { credential: known?.credential ?? credential, slot: known?.slot ?? freeSlot(), met }
      remember(place)
      const value = encodeWith(storedSchema, { credential: credential.text, met })
      await store.put(credentialKey(place.slot), value, { sync: false })
    },
  }
}

// Where this node is in the network. It learns from each round trip to a member that says where it is itself: a node of
// its own cluster by its summary, one of another cluster by the middle of that cluster.

import { type Coordinate, createVivaldi, observe } from '../../overlay/coordinates/vivaldi.ts'
import type { DomainPath, NodeId } from '../../overlay/kernel/ids.ts'
import type { Random } from '../../overlay/kernel/random.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { Inventories } from './inventories.ts'

export interface Whereabouts {
  coordinate(): Coordinate
  /** `domain` is the peer's cluster, null where it is not known. */
  onRoundTrip(peer: NodeId, domain: DomainPath | null, ms: Millis, random: Random): void
}

export function createWhereabouts(
  own: DomainPath,
  inventories: Pick<Inventories, 'summaryOf' | 'networkOf'>,
): Whereabouts {
  let state = createVivaldi()
  const theirsOf = (peer: NodeId, domain: DomainPath | null): Coordinate | null => {
    if (domain === own) return inventories.summaryOf(peer)?.coordinate ?? null
    return domain === null ? null : (inventories.networkOf(domain)?.centre ?? null)
  }
  return {
    coordinate: () => state.coordinate,
    onRoundTrip: (peer, domain, ms, random) => {
      const theirs = theirsOf(peer, domain)
      if (theirs !== null) state = observe(state, { peer, ms, theirs }, random)
    },
  }
}

// What libp2p's services do by clocks of their own is done at the moments at which this process wakes anyway
// (wakes.ts): each wake of an idle node costs more than most of what is done in it, and these were a sixth of them.

import { invariant } from '../kernel/assert.ts'
import { type Wakes, wakes } from './wakes.ts'

/** As libp2p does them: gossipsub's heartbeat, its decay (GOSSIP_DECAY in create-libp2p.ts), the DHT's near peers. */
const GOSSIP_HEARTBEAT_MS = 1_000
export const GOSSIP_DECAY_MS = 5_000
const NEAREST_PEERS_MS = 5_000

/** Of gossipsub, what the mending needs (@libp2p/gossipsub 17). */
interface Gossip {
  runHeartbeat(): void
  heartbeat(): Promise<void>
  readonly score: { _backgroundInterval?: NodeJS.Timeout; background(): void }
}

/** Of the DHT, what the mending needs (@libp2p/kad-dht 16). */
interface Dht {
  readonly routingTable: {
    readonly closestPeerTagger: { readonly timeout?: NodeJS.Timeout; updatePeerTags(): Promise<void> }
  }
}

export interface ClockedServices {
  readonly pubsub: unknown
  readonly dht: unknown
}

/** Call it before the node starts: gossipsub's own heartbeat then never begins. */
export function takeHeartbeat(services: ClockedServices): void {
  const gossip = services.pubsub as Gossip
  const isThere = typeof gossip.heartbeat === 'function' && typeof gossip.runHeartbeat === 'function'
  invariant(isThere, 'gossipsub beats where we look for it')
  gossip.runHeartbeat = () => undefined
}

/** Call it once the node has started. Returns how to stop. */
export function keepCommonTime(services: ClockedServices, { every }: Pick<Wakes, 'every'> = wakes): () => void {
  const { score, heartbeat } = services.pubsub as Gossip
  const tagger = (services.dht as Dht).routingTable.closestPeerTagger
  invariant(typeof score?.background === 'function', 'gossipsub forgives where we look for it')
  invariant(typeof tagger?.updatePeerTags === 'function', 'the DHT marks its nearest peers where we look for it')
  invariant(score._backgroundInterval !== undefined && tagger.timeout !== undefined, 'both have begun')
  clearInterval(score._backgroundInterval)
  clearInterval(tagger.timeout)
  // As in libp2p: what fails is done again the next time.
  const stops = [
    every(GOSSIP_HEARTBEAT_MS, () => void heartbeat.call(services.pubsub).catch(() => {})),
    every(GOSSIP_DECAY_MS, () => score.background()),
    every(NEAREST_PEERS_MS, () => void tagger.updatePeerTags().catch(() => {})),
  ]
  return () => {
    for (const stop of stops) stop()
  }
}

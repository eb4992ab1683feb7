// What is said to all who follow a topic. Who says it tells everybody it is connected to, so that it need not go from
// hand to hand where those are all.

import { createHash, randomBytes, randomInt } from 'node:crypto'
import { TopicValidatorResult } from '@chainsafe/libp2p-gossipsub'
import type { Connection } from '@libp2p/interface'
import { concat } from 'uint8arrays/concat'
import type { Hearers } from '../hearers.ts'
import { type DomainPath, type NodeId, nodeId } from '../kernel/ids.ts'
import { MESSAGE_BYTES_MAX } from '../wire/codec.ts'
import type { Counters } from './counters.ts'
import type { Libp2pNode } from './create-libp2p.ts'

/**
 * In front of what is published: whether its hearers are to hand it on, and random bytes. gossipsub carries the same
 * bytes only once in two minutes, so without them a leader that says the same again would not be heard by those who
 * came in between.
 */
const GOSSIP_NONCE_BYTES = 7
const GOSSIP_HEAD_BYTES = 1 + GOSSIP_NONCE_BYTES
const HAND_ON = 0
/** All who are to hear it hear it from who said it: each copy that was handed on would be one too many. */
const HEARD_BY_ALL = 1
/**
 * All members of its author's domain hear it from the author, whose mark stands before the random bytes: whoever has it
 * from there hands it on only if it knows of others.
 */
const HEARD_NEARBY = 2
/** One in 16 million others has the same; a wrong one costs a member a message that is said again. */
const MARK_BYTES = 3
/**
 * Topics on which nothing is urgent: what members say of themselves, and reports, which go to those concerned besides.
 * What comes on them waits up to so long until it is handed on, in ms: between two that have it by then one hands it to
 * the other, and not each to each. Less than half of what membership gives gossip (`newsWaitMs` of `lan`); a guess.
 */
const UNHURRIED = /\/(summary|alert)$/
const UNHURRIED_MS = 100

/** What gossipsub's option `asyncValidation` asks for; its published type leaves it out. */
interface WaitingGossip {
  reportMessageValidationResult(message: string, from: string, result: TopicValidatorResult): void
}

export interface Publication {
  readonly topic: string
  readonly bytes: Uint8Array
  readonly hearers: Hearers | null
}

/** To all who follow the topic. What is too long is counted and dropped. */
export function publish({ services, peerId }: Libp2pNode, counters: Counters, said: Publication): void {
  const { topic, bytes, hearers } = said
  // gossipsub drops what is too long without a word.
  if (bytes.length > MESSAGE_BYTES_MAX) {
    counters.add('publish-too-large')
    return
  }
  // What was said to single peers in the same turn leaves first: of a new leader its heartbeats, whose hearers write to
  // the disk while they check its announcement.
  setImmediate(() => {
    const { pubsub } = services
    // Not all members need follow what is said above their domain; who is there and does hears it.
    const near = hearers?.areAll === true ? pubsub.getSubscribers(topic) : pubsub.getPeers()
    const hearing = new Set([peerId, ...near].map(String))
    const isHeard = hearers?.nodes.every((hearer) => hearing.has(hearer)) ?? false
    const head = headOf(isHeard, hearers?.areAll === true, nodeId(peerId.toString()))
    pubsub.publish(topic, concat([head, bytes])).catch(() => counters.add('publish-failed'))
  })
}

function headOf(isHeard: boolean, areAll: boolean, author: NodeId): Uint8Array {
  const head = randomBytes(GOSSIP_HEAD_BYTES)
  head[0] = isHeard ? (areAll ? HEARD_BY_ALL : HEARD_NEARBY) : HAND_ON
  if (head[0] === HEARD_NEARBY) head.set(markOf(author), 1)
  return head
}

const markOf = (author: NodeId): Uint8Array => createHash('sha256').update(author).digest().subarray(0, MARK_BYTES)

export interface GossipHearing {
  /** Up to how long it waits until it is handed on, in ms; 0: not at all, but on topics on which nothing is urgent. */
  readonly patienceMs: number
  readonly counters: Counters
  /** Something came over a connection. */
  onHeard(connection: Connection): void
  /** The domain of a peer that is connected. */
  domainOf(peer: NodeId): DomainPath | null
  onMessage(bytes: Uint8Array, deliveredBy: NodeId, topic: string): void
}

export function hearGossip(node: Libp2pNode, hearing: GossipHearing): void {
  const { patienceMs, counters, onHeard, onMessage } = hearing
  node.services.pubsub.addEventListener('gossipsub:message', ({ detail: { msg, msgId, propagationSource } }) => {
    const [only, another] = node.getConnections(propagationSource)
    if (only !== undefined && another === undefined) onHeard(only)
    const from = nodeId(propagationSource.toString())
    const isMalformed = msg.data.length <= GOSSIP_HEAD_BYTES
    const isForOthers = !isMalformed && hasOtherHearers(node, hearing, msg, from)
    const waitMs = UNHURRIED.test(msg.topic) ? Math.max(patienceMs, UNHURRIED_MS) : patienceMs
    handOn(node, msgId, from, isForOthers ? waitMs : null)
    if (isMalformed) return counters.add('gossip-malformed')
    onMessage(msg.data.subarray(GOSSIP_HEAD_BYTES), from, msg.topic)
  })
}

/** Whether anybody that this node knows of may not have heard it from its author. */
function hasOtherHearers(
  { services }: Libp2pNode,
  { domainOf }: GossipHearing,
  { topic, data }: { readonly topic: string; readonly data: Uint8Array },
  from: NodeId,
): boolean {
  if (data[0] !== HEARD_NEARBY) return data[0] !== HEARD_BY_ALL
  const domain = domainOf(from)
  const isFromAuthor = markOf(from).every((byte, index) => byte === data[1 + index])
  if (!isFromAuthor || domain === null) return true
  return services.pubsub.getSubscribers(topic).some((peer) => domainOf(nodeId(peer.toString())) !== domain)
}

/** Within so long, or never: null. At a moment of its own: where all waited equally long, all would do it at once. */
function handOn({ services }: Libp2pNode, message: string, from: NodeId, patienceMs: number | null): void {
  const gossip = services.pubsub as typeof services.pubsub & WaitingGossip
  if (patienceMs === null) return gossip.reportMessageValidationResult(message, from, TopicValidatorResult.Ignore)
  const accept = (): void => gossip.reportMessageValidationResult(message, from, TopicValidatorResult.Accept)
  if (patienceMs === 0) return accept()
  setTimeout(accept, randomInt(patienceMs)).unref()
}

// The topics that a node follows, and how much of what comes on them it lets in of each member.

import { type TopicValidatorFn, TopicValidatorResult } from '@chainsafe/libp2p-gossipsub'
import { createAllowances, GOSSIP_BYTES_PER_MESSAGE, GOSSIP_MESSAGES_PER_MEMBER } from '../allowance.ts'
import { nodeId } from '../kernel/ids.ts'
import type { Counters } from './counters.ts'
import type { Libp2pNode } from './create-libp2p.ts'

/** Lets so much gossip in of each member that brings it; what is beyond goes no further either. */
export function paceOfGossip(counters: Counters): TopicValidatorFn {
  const allowances = createAllowances(GOSSIP_MESSAGES_PER_MEMBER)
  return (source, { data }) => {
    const messages = Math.ceil(data.length / GOSSIP_BYTES_PER_MESSAGE)
    if (allowances.tryTake(nodeId(source.toString()), messages, performance.now())) return TopicValidatorResult.Accept
    counters.add('gossip-held-off')
    return TopicValidatorResult.Ignore
  }
}

export function follow(node: Libp2pNode, topics: readonly string[], pace: TopicValidatorFn): void {
  const { pubsub } = node.services
  const followed = new Set(pubsub.getTopics())
  for (const topic of topics) {
    pubsub.topicValidators.set(topic, pace)
    if (!followed.delete(topic)) pubsub.subscribe(topic)
  }
  for (const topic of followed) {
    pubsub.unsubscribe(topic)
    pubsub.topicValidators.delete(topic)
  }
}

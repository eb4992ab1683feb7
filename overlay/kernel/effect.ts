// What machines ask of their host. An effect never returns; where there is an answer it arrives later as an input.

import type { ChildId, DomainPath } from './ids.ts'

/** Gossip topics of a domain (DESIGN section 7). */
export type TopicName = 'summary' | 'record' | 'alert' | 'leader'

/** Sends a message to one child of a domain, at most once, in no particular order; lost when there is no path. */
export interface Send<M> {
  readonly kind: 'send'
  readonly to: ChildId
  readonly message: M
}

/** Publishes a message to everyone who follows a topic of a domain; the publisher does not receive it. */
export interface Publish<M> {
  readonly kind: 'publish'
  readonly domain: DomainPath
  readonly topic: TopicName
  readonly message: M
}

/**
 * Writes (or, with null, deletes) a key of the node's store; `then` is carried out only after the write.
 * With `sync` the write has reached the disk by then. A write that fails ends the node: nothing was promised.
 */
export interface Persist<E> {
  readonly kind: 'persist'
  readonly key: string
  readonly value: Uint8Array | null
  readonly sync: boolean
  readonly then: readonly E[]
}

/** Tells people and programs what happened; `name` is kebab-case and stable. */
export interface Emit {
  readonly kind: 'emit'
  readonly event: DomainEvent
}

export interface DomainEvent {
  readonly name: string
  readonly level: 'debug' | 'info' | 'warn'
  readonly domain?: DomainPath
  readonly fields: Readonly<Record<string, string | number | boolean | null>>
}

export const emit = (name: string, fields: DomainEvent['fields'], level: DomainEvent['level'] = 'info'): Emit => ({
  kind: 'emit',
  event: { name, level, fields },
})

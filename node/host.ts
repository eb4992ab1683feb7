// Runs a core on ports. Everything the core wants done is done here, in order; everything that happens is an input, one
// at a time. It waits for nothing: a port that takes its time calls back, so the simulator runs this very host on ports
// of its own.

import type { CharterMessage } from '../bootstrap/messages.ts'
import type { Hearers } from '../overlay/hearers.ts'
import { unreachable } from '../overlay/kernel/assert.ts'
import type { DomainEvent } from '../overlay/kernel/effect.ts'
import type { DomainPath, FederationId, NodeId } from '../overlay/kernel/ids.ts'
import { ROOT } from '../overlay/kernel/ids.ts'
import type { Random } from '../overlay/kernel/random.ts'
import type { Millis, UnixMillis } from '../overlay/kernel/time.ts'
import { fitsTheWire, type Opened, type OpenProblem, type Sealer, type SignerFacts } from '../overlay/wire/envelope.ts'
import type { RuntimeOperation } from '../placement/index.ts'
import type { SealedRecord } from '../services-registry/index.ts'
import type { Answer } from './core/asking.ts'
import type { Core } from './core/core.ts'
import type { CoreEffect, CoreInput, CoreMessage, ResolvedService, Topic, WantedNode } from './core/effects.ts'

/** Envelopes that wait for their signer's credential; beyond it they are dropped, and come again by anti-entropy. */
export const ENVELOPES_WAITING_MAX = 256
/** Of these, envelopes that one member brought: who never hands a credential over takes no room from the others. */
export const ENVELOPES_WAITING_PER_MEMBER_MAX = 32
/** Credentials that are asked for at once for the sake of one envelope: each is a stream to whoever brought it. */
export const CREDENTIALS_ASKED_AT_ONCE_MAX = 8

export interface HostPorts {
  readonly clock: {
    now(): Millis
    wall(): UnixMillis
    /** Keeps one alarm; null takes it back. */
    alarm(at: Millis | null, ring: () => void): void
  }
  readonly random: Random
  /** Calls `done` once the write is done, with `sync` once it is on disk; never calls it when the write failed. */
  readonly disk: { write(key: string, value: Uint8Array | null, sync: boolean, done: () => void): void }
  readonly network: {
    send(to: NodeId, bytes: Uint8Array): void
    /** `hearers` are who may follow the topic; null where not all of the cluster need be connected to this node. */
    publish(topic: string, bytes: Uint8Array, hearers: Hearers | null): void
    follow(topics: readonly string[]): void
    want(peers: readonly WantedNode[]): void
    /** Asks a peer for a credential, and calls back with whether it is known now. */
    fetchCredential(hash: Uint8Array, from: NodeId, done: (learned: boolean) => void): void
  }
  readonly runtimes: { run(runtime: string, operation: RuntimeOperation): void }
  readonly listener: {
    onEvent(event: DomainEvent): void
    onResolved(requestId: number, answer: ResolvedService): void
    onAnswered(requestId: string, answer: Answer): void
    /** A member says what is new in the charter, or wants to know. */
    onCharter(message: CharterMessage, from: NodeId): void
    /** A record to be kept when later ones take its place. */
    onAudit(record: SealedRecord, isStep: boolean): void
    /** A policy of this operator, not yet checked. */
    onPolicy(statement: string): void
    /** Something malformed or unproven came in and was dropped. */
    onDropped(problem: OpenProblem['kind'], detail: string, deliveredBy: NodeId): void
    /** An input was carried out: views may have changed. */
    onSettled(): void
  }
}

export interface HostOptions {
  readonly self: NodeId
  readonly federation: FederationId
  readonly core: Core
  readonly sealer: Sealer<CoreMessage>
  readonly ports: HostPorts
}

export interface Host {
  /** Feeds an input to the core and carries out what follows from it. */
  input(input: CoreInput): void
  /**
   * A frame from outside: opened, checked, and fed to the core, or dropped. Without a topic it came over a connection
   * of `deliveredBy` itself, whose `connected` input brought what it proved of itself.
   */
  receive(bytes: Uint8Array, deliveredBy: NodeId, topic: string | null): void
  /** After this nothing is carried out any more. */
  stop(): void
}

export const topicOf = (federation: FederationId, { domain, topic }: Topic): string =>
  `/coppice/${federation}${domain === ROOT ? '' : domain}/${topic}`

/** The domain of a topic that was made by `topicOf`. */
function domainOfTopic(federation: FederationId, topic: string): DomainPath {
  const path = topic.slice(`/coppice/${federation}`.length, topic.lastIndexOf('/'))
  return (path === '' ? ROOT : path) as DomainPath
}

export function createHost({ self, federation, core, sealer, ports }: HostOptions): Host {
  const { clock, disk, listener, network, random, runtimes } = ports
  const queue: CoreInput[] = []
  /** What the peers proved that are connected now: on whose word alone their talk is believed. */
  const speakers = new Map<NodeId, SignerFacts>()
  /** The members of this node's cluster, where all of them need be connected to this node. */
  let members: readonly NodeId[] | null = null
  let isBusy = false
  let isStopped = false
  let waiting = 0
  const waitingOf = new Map<NodeId, number>()

  const input = (next: CoreInput): void => {
    if (next.kind === 'connected') speakers.set(next.peer, next.facts)
    if (next.kind === 'disconnected') speakers.delete(next.peer)
    if (next.kind === 'revoked') speakers.delete(next.node)
    queue.push(next)
    settle()
  }

  const settle = (): void => {
    // A write that is done and lets nothing follow for the core changed nothing in it.
    if (isBusy || queue.length === 0) return
    isBusy = true
    let isChanged = false
    for (let next = queue.shift(); next !== undefined && !isStopped; next = queue.shift()) {
      const context = { now: clock.now(), wall: clock.wall(), random }
      const effects = core.step(next, context)
      // A question that is answered at once leaves everything as it was: each call by name asks one.
      isChanged ||= next.kind !== 'resolve' || effects.length !== 1 || effects[0]?.kind !== 'resolved'
      for (const effect of effects) carryOut(effect)
    }
    isBusy = false
    if (isStopped || !isChanged) return
    clock.alarm(core.wakeAt(), () => input({ kind: 'wake' }))
    listener.onSettled()
  }

  const carryOut = (effect: CoreEffect): void => {
    if (isStopped) return
    switch (effect.kind) {
      case 'send':
        return send(effect.to, effect.message)
      case 'author': {
        const opened = sealer.seal(effect.message)
        queue.push({ kind: 'message', opened, deliveredBy: self, gossipedIn: null })
        return spread(opened, effect.topics)
      }
      case 'spread':
        return spread(effect.opened, effect.topics)
      case 'persist':
        return disk.write(effect.key, effect.value, effect.sync, () => {
          for (const next of effect.then) carryOut(next)
          settle()
        })
      case 'again':
        queue.push(effect.input)
        return
      case 'runtime':
        return runtimes.run(effect.runtime, effect.operation)
      case 'want':
        return network.want(effect.peers)
      case 'follow':
        return network.follow(effect.topics.map((topic) => topicOf(federation, topic)))
      case 'hearers':
        members = effect.members
        return
      case 'charter':
        return listener.onCharter(effect.message, effect.from)
      case 'audit':
        return listener.onAudit(effect.record, effect.isStep)
      case 'policy':
        return listener.onPolicy(effect.statement)
      case 'resolved':
        return listener.onResolved(effect.requestId, effect.answer)
      case 'answered':
        return listener.onAnswered(effect.requestId, effect.answer)
      case 'emit':
        return listener.onEvent(effect.event)
      default:
        return unreachable(effect)
    }
  }

  const send = (to: NodeId, message: CoreMessage): void => {
    const opened = sealer.speak(message)
    if (to === self) queue.push({ kind: 'message', opened, deliveredBy: self, gossipedIn: null })
    else if (isSendable(opened)) network.send(to, opened.bytes)
  }

  const spread = (opened: Opened<CoreMessage>, topics: readonly Topic[]): void => {
    if (!isSendable(opened)) return
    for (const topic of topics) {
      // Nobody else follows what a cluster says to itself.
      const hearers = members === null ? null : { nodes: members, areAll: topic.domain === core.view.self.domain }
      network.publish(topicOf(federation, topic), opened.bytes, hearers)
    }
  }

  const isSendable = (opened: Opened<CoreMessage>): boolean => {
    if (fitsTheWire(opened)) return true
    listener.onDropped('too-large', `${opened.message.kind} of ${opened.bytes.length} bytes was not sent`, self)
    return false
  }

  /** `unknownBefore`: asking for credentials is only worth it while fewer are missing each time. */
  const receive = (
    bytes: Uint8Array,
    deliveredBy: NodeId,
    topic: string | null,
    unknownBefore = Number.POSITIVE_INFINITY,
  ): void => {
    if (isStopped) return
    const opened = topic === null ? sealer.hear(bytes, speakers.get(deliveredBy) ?? null) : sealer.open(bytes)
    if (opened.ok) {
      const gossipedIn = topic === null ? null : domainOfTopic(federation, topic)
      return input({ kind: 'message', opened: opened.value, deliveredBy, gossipedIn })
    }
    const { kind, detail, unknown = [] } = opened.error
    const asked = unknown.slice(0, CREDENTIALS_ASKED_AT_ONCE_MAX)
    const isWorthAsking = kind === 'unknown-credential' && asked.length > 0 && unknown.length < unknownBefore
    const mine = waitingOf.get(deliveredBy) ?? 0
    const isFull = waiting >= ENVELOPES_WAITING_MAX || mine >= ENVELOPES_WAITING_PER_MEMBER_MAX
    if (!isWorthAsking || isFull) return listener.onDropped(kind, detail, deliveredBy)
    waiting += 1
    waitingOf.set(deliveredBy, mine + 1)
    let [unanswered, hasLearned] = [asked.length, false]
    const onAnswer = (learned: boolean): void => {
      unanswered -= 1
      hasLearned ||= learned
      if (unanswered > 0) return
      waiting -= 1
      const left = (waitingOf.get(deliveredBy) ?? 1) - 1
      if (left > 0) waitingOf.set(deliveredBy, left)
      else waitingOf.delete(deliveredBy)
      if (hasLearned) receive(bytes, deliveredBy, topic, unknown.length)
      else listener.onDropped(kind, detail, deliveredBy)
    }
    for (const hash of asked) network.fetchCredential(hash, deliveredBy, onAnswer)
  }

  return {
    input,
    receive,
    stop: () => {
      isStopped = true
      clock.alarm(null, () => undefined)
    },
  }
}

// For tests only: some membership machines joined by a message queue in virtual time. Messages travel as sealed
// bytes; nothing of the machines is replaced. Connections open with the first message between two nodes and close
// when one of them dies.

import { type DomainPath, type FederationId, type NodeId, nodeId, type OperatorId } from '../kernel/ids.ts'
import { type Random, seededRandom } from '../kernel/random.ts'
import { err, ok } from '../kernel/result.ts'
import type { Millis } from '../kernel/time.ts'
import { createCodec } from '../wire/codec.ts'
import { createSealer, type Opened, type Sealer, type SignerFacts } from '../wire/envelope.ts'
import type { MembershipPreset } from './constants.ts'
import { createMembership, rosterOf, step, wakeAt } from './membership.ts'
import {
  decodeIncarnation,
  encodeIncarnation,
  incarnationKey,
  type MemberStatement,
  type MembershipMessage,
  memberKeyPrefix,
  membershipSchemas,
  type SealedReport,
  type SealedStatement,
  type WatcherReport,
} from './messages.ts'
import type { MemberState } from './roster.ts'
import type { MembershipEffect, MembershipInput, MembershipState } from './state.ts'
import { hashText } from './watchers.ts'

export const domain = '/berlin' as DomainPath
const federation = 'f'.repeat(64) as FederationId
const LATENCY_MS = 2

export const factsOf = (node: NodeId, of: DomainPath = domain): SignerFacts => ({
  node,
  operator: 'uOperator' as OperatorId,
  domain: of,
  capabilities: ['work', 'lead'],
  labels: {},
  expiresAt: 0,
})

/** Seals and opens for one node; the signature is a checksum, enough to notice a changed byte. */
export function sealerOf(node: NodeId, of: DomainPath = domain): Sealer<MembershipMessage> {
  const checksum = (payload: Uint8Array): Uint8Array => {
    const sum = hashText(String.fromCharCode(...payload), 7)
    return Uint8Array.of(sum & 255, (sum >> 8) & 255, (sum >> 16) & 255, sum >>> 24)
  }
  const facts = factsOf(node, of)
  return createSealer(
    createCodec(membershipSchemas),
    federation,
    { facts, credentialHash: new Uint8Array(32), sign: checksum },
    {
      verify: (from, _credential, payload, signature) =>
        signature.join() === checksum(payload).join() ? ok(factsOf(from, of)) : err('bad-signature'),
    },
  )
}

export function statement(
  node: NodeId,
  incarnation: number,
  version = 0,
  changes: Partial<MemberStatement> = {},
): SealedStatement {
  const base = { kind: 'membership/member', domain, node, incarnation, version, state: 'alive', name: node } as const
  const message = { ...base, addresses: [], fitness: 0, canLead: true, isRelay: true, ...changes }
  return sealerOf(node).seal(message) as SealedStatement
}

export function report(
  watcher: NodeId,
  subject: NodeId,
  incarnation: number,
  sequence: number,
  isGood = false,
): SealedReport {
  const verdict: WatcherReport['verdict'] = isGood ? 'reachable' : 'unreachable'
  const message = {
    kind: 'membership/report',
    domain,
    subject,
    incarnation,
    verdict,
    cause: 'probe-lost',
    sequence,
  } as const
  return sealerOf(watcher).seal(message) as SealedReport
}

interface Member {
  readonly node: NodeId
  readonly sealer: Sealer<MembershipMessage>
  readonly disk: Map<string, Uint8Array>
  state: MembershipState
  isUp: boolean
  pausedUntil: Millis
  /** Counts lives, so that what was under way to a former one is lost. */
  life: number
}

export interface Cluster {
  readonly nodes: readonly NodeId[]
  readonly log: { readonly at: Millis; readonly on: NodeId; readonly effect: MembershipEffect }[]
  readonly sent: Map<string, number>
  now(): Millis
  run(ms: number): void
  input(node: NodeId, input: MembershipInput): void
  /** Ends a node without a word; its connections close, unless `silently` as in a power cut. */
  kill(node: NodeId, how?: { readonly silently: boolean }): void
  boot(node: NodeId): void
  /** Stops a node's process for a while; what arrives waits in its sockets. */
  pause(node: NodeId, ms: number): void
  /** Whether messages from one to another are lost. */
  lose(isLost: (from: NodeId, to: NodeId, random: Random) => boolean): void
  loseGossip(isLost: boolean): void
  /** Closes the connection between two nodes, as both see it. */
  disconnect(one: NodeId, other: NodeId): void
  stateOf(node: NodeId): MembershipState
  /** How `viewer` sees `subject`; null when not at all. */
  view(viewer: NodeId, subject: NodeId): MemberState | null
  /** All views of a subject by the other nodes that are up, each once. */
  views(subject: NodeId): readonly (MemberState | null)[]
}

export function createCluster(size: number, preset: MembershipPreset = 'lan', seed = 1): Cluster {
  const random = seededRandom(seed)
  const nodes = Array.from({ length: size }, (_, index) => nodeId(`node-${index}`))
  const members = new Map<NodeId, Member>()
  const links = new Set<string>()
  const queue: { at: Millis; run: () => void }[] = []
  const log: Cluster['log'] = []
  const sent = new Map<string, number>()
  let isLost: (from: NodeId, to: NodeId, random: Random) => boolean = () => false
  let isGossipLost = false
  let now: Millis = 1_000

  const later = (at: Millis, run: () => void): void => {
    // Latest first, so that the next is taken from the end; of equals the one that was queued first.
    let [low, high] = [0, queue.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((queue[middle]?.at ?? 0) > at) low = middle + 1
      else high = middle
    }
    queue.splice(low, 0, { at, run })
  }
  const linkOf = (a: NodeId, b: NodeId): string => (a < b ? `${a} ${b}` : `${b} ${a}`)
  const member = (node: NodeId): Member => {
    const found = members.get(node)
    if (found === undefined) throw new Error(`no ${node}`)
    return found
  }

  /** Hands an input to a node now, or when its pause ends. */
  const give = (to: Member, input: MembershipInput): void => {
    if (!to.isUp) return
    if (to.pausedUntil > now) {
      const { life } = to
      later(to.pausedUntil, () => to.life === life && give(to, input))
      return
    }
    const result = step(to.state, input, { now, wall: Number(now), random })
    to.state = result.state
    for (const effect of result.effects) carryOut(to, effect)
    const at = wakeAt(to.state)
    if (at === null) return
    if (input.kind === 'wake' && at <= now) throw new Error(`woken at ${now} and due again at ${at}`)
    const { state } = to
    later(Math.max(at, now), () => to.state === state && give(to, { kind: 'wake' }))
  }

  const connect = (one: Member, other: Member): void => {
    const link = linkOf(one.node, other.node)
    if (links.has(link) || !one.isUp || !other.isUp) return
    links.add(link)
    later(now + LATENCY_MS, () => links.has(link) && give(one, { kind: 'connected', peer: other.node }))
    later(now + LATENCY_MS, () => links.has(link) && give(other, { kind: 'connected', peer: one.node }))
  }

  const transmit = (from: Member, to: NodeId, opened: Opened<MembershipMessage>): void => {
    const target = members.get(to)
    if (target === undefined || !target.isUp || isLost(from.node, to, random)) return
    connect(from, target)
    const { life } = target
    later(now + LATENCY_MS, () => {
      const read = target.sealer.open(opened.bytes)
      if (!read.ok) throw new Error(JSON.stringify(read.error))
      if (target.life === life) give(target, { kind: 'message', opened: read.value })
    })
  }

  const carryOut = (on: Member, effect: MembershipEffect): void => {
    log.push({ at: now, on: on.node, effect })
    switch (effect.kind) {
      case 'send': {
        sent.set(effect.message.kind, (sent.get(effect.message.kind) ?? 0) + 1)
        transmit(on, effect.to as NodeId, on.sealer.seal(effect.message))
        break
      }
      case 'publish': {
        sent.set('gossip', (sent.get('gossip') ?? 0) + 1)
        const opened = on.sealer.seal(effect.message)
        for (const other of isGossipLost ? [] : nodes) {
          if (other !== on.node && links.has(linkOf(on.node, other))) transmit(on, other, opened)
        }
        break
      }
      case 'persist':
        if (effect.value === null) on.disk.delete(effect.key)
        else on.disk.set(effect.key, effect.value)
        for (const next of effect.then) carryOut(on, next)
        break
      case 'author':
        give(on, { kind: 'message', opened: on.sealer.seal(effect.message) })
        break
      case 'roster-changed': {
        // As a host does: it stays connected to the members of its cluster.
        const other = members.get(effect.node)
        if (effect.from === null && other !== undefined && !isLost(on.node, effect.node, random)) connect(on, other)
        break
      }
      case 'emit':
    }
  }

  const close = (node: NodeId, other: NodeId): void => {
    if (!links.delete(linkOf(node, other))) return
    for (const [one, peer] of [
      [member(node), other],
      [member(other), node],
    ] as const) {
      later(now + LATENCY_MS, () => !links.has(linkOf(node, other)) && give(one, { kind: 'disconnected', peer }))
    }
  }

  const boot = (node: NodeId): void => {
    const disk = members.get(node)?.disk ?? new Map<string, Uint8Array>()
    const sealer = sealerOf(node)
    const incarnation = (decodeIncarnation(disk.get(incarnationKey(domain)) ?? new Uint8Array()) ?? 0) + 1
    disk.set(incarnationKey(domain), encodeIncarnation(incarnation))
    const known = [...disk].flatMap(([key, bytes]) => {
      const opened = key.startsWith(memberKeyPrefix(domain)) ? sealer.open(bytes) : null
      return opened?.ok ? [opened.value as SealedStatement] : []
    })
    const state = createMembership({
      self: node,
      domain,
      name: `name of ${node}`,
      incarnation,
      canLead: true,
      isRelay: false,
      preset,
      known,
    })
    const life = (members.get(node)?.life ?? 0) + 1
    const born: Member = { node, sealer, disk, state, isUp: true, pausedUntil: 0, life }
    members.set(node, born)
    give(born, { kind: 'self-changed', addresses: [`/ip4/127.0.0.1/tcp/4001/p2p/${node}`], fitness: 0.5 })
    give(born, { kind: 'start' })
    // The invite's address: everyone greets the first one.
    const first = members.get(nodes[0] as NodeId)
    if (first !== undefined && first !== born && !isLost(node, first.node, random)) connect(born, first)
  }

  const run = (ms: number): void => {
    const end = now + ms
    for (;;) {
      const event = queue.at(-1)
      if (event === undefined || event.at > end) break
      queue.pop()
      now = Math.max(now, event.at)
      event.run()
    }
    now = end
  }

  return {
    nodes,
    log,
    sent,
    run,
    boot,
    now: () => now,
    input: (node, input) => give(member(node), input),
    kill: (node, how) => {
      const victim = member(node)
      for (const other of nodes) if (other !== node && !how?.silently) close(node, other)
      victim.isUp = false
      victim.life += 1
    },
    pause: (node, ms) => {
      member(node).pausedUntil = now + ms
    },
    lose: (rule) => {
      isLost = rule
    },
    loseGossip: (isItLost) => {
      isGossipLost = isItLost
    },
    disconnect: close,
    stateOf: (node) => member(node).state,
    view: (viewer, subject) => rosterOf(member(viewer).state).get(subject)?.state ?? null,
    views: (subject) => {
      const up = nodes.filter((node) => node !== subject && members.get(node)?.isUp)
      return [...new Set(up.map((node) => rosterOf(member(node).state).get(subject)?.state ?? null))]
    },
  }
}

/** A cluster whose nodes have all found each other. */
export function createMeetingCluster(size: number, preset: MembershipPreset = 'lan', seed = 1): Cluster {
  const cluster = createCluster(size, preset, seed)
  for (const node of cluster.nodes) cluster.boot(node)
  cluster.run(5_000)
  return cluster
}

// A few nodes in one thread, on virtual time and a network that loses nothing: enough to watch shipping cores talk
// through shipping hosts. Faults and chance belong to testnet/sim; here every run is the same.

import type { DomainEvent } from '../../overlay/kernel/effect.ts'
import type { DomainPath, FederationId, NodeId, OperatorId } from '../../overlay/kernel/ids.ts'
import { seededRandom } from '../../overlay/kernel/random.ts'
import { ok } from '../../overlay/kernel/result.ts'
import type { Millis, UnixMillis } from '../../overlay/kernel/time.ts'
import type { SealedStatement } from '../../overlay/membership/index.ts'
import { createSealer, type Opened, type Sealer, type SignerFacts } from '../../overlay/wire/envelope.ts'
import type { HostReading } from '../../placement/host-reading.ts'
import type { RuntimeOperation } from '../../placement/index.ts'
import type { SealedRecord } from '../../services-registry/index.ts'
import { createHost, type Host, type HostPorts } from '../host.ts'
import type { Answer } from './asking.ts'
import { type Core, createCore } from './core.ts'
import type { CoreMessage, ResolvedService } from './effects.ts'
import { readMemory } from './memory.ts'
import { coreCodec } from './messages.ts'

export const FEDERATION = 'f'.repeat(64) as FederationId
const WALL_AT_START = Date.UTC(2026, 10, 21)
const HOP_MS = 2
const WRITE_MS = 1
const START_INSTANCE_MS = 20
const STOP_INSTANCE_MS = 10
const DIAL_MS = 5

export const factsOf = (name: string, domain: string): SignerFacts => ({
  node: `12D3KooW-${name}` as NodeId,
  operator: 'operator-of-all' as OperatorId,
  domain: domain as DomainPath,
  capabilities: ['work', 'lead', 'relay', 'deploy:*'],
  labels: {},
  expiresAt: (WALL_AT_START + 365 * 86_400_000) as UnixMillis,
})

/** Signs nothing and believes every signature, so that what stands behind the signature is reached. */
export function trustingSealer(self: SignerFacts, members: readonly SignerFacts[]): Sealer<CoreMessage> {
  const byNode = new Map(members.map((facts) => [facts.node, facts]))
  const signer = { facts: self, credentialHash: new Uint8Array(32), sign: () => new Uint8Array(64) }
  return createSealer(coreCodec, FEDERATION, signer, {
    verify: (from) => ok(byNode.get(from) ?? { ...self, node: from }),
  })
}

/** What a member says of itself, sealed. */
export function statementBy(facts: SignerFacts, name: string, addresses: readonly string[] = []): SealedStatement {
  const { domain, node } = facts
  const first = { incarnation: 1, version: 1, state: 'alive' } as const
  const more = { name, addresses, fitness: 1, canLead: true, isRelay: false }
  const statement = { kind: 'membership/member', domain, node, ...first, ...more } as const
  return trustingSealer(facts, [facts]).seal(statement) as SealedStatement
}

export const READING: HostReading = {
  cores: 4,
  architecture: 'x64',
  os: 'linux 6',
  gpus: [],
  load: 0.1,
  cpuUsed: 0.1,
  memoryMb: { total: 8_000, free: 6_000 },
  diskMb: { total: 100_000, free: 50_000 },
}

export interface TestNode {
  readonly facts: SignerFacts
  readonly core: Core
  readonly host: Host
  readonly disk: Map<string, Uint8Array>
  readonly events: DomainEvent[]
  readonly resolved: ResolvedService[]
  readonly answered: Answer[]
  readonly dropped: string[]
  readonly run: RuntimeOperation[]
  readonly topics: Set<string>
  /** Policies that others showed it, and what it makes of one. */
  readonly shown: string[]
  readonly audited: SealedRecord[]
  /** Later words of instances on what they used. */
  readonly uses: SealedRecord[]
  onPolicy: (statement: string) => void
  /** Every frame that it received, as it was on the wire. */
  readonly received: Uint8Array[]
}

export interface World {
  readonly nodes: readonly TestNode[]
  node(name: string): TestNode
  /** Everything that was sealed or spoken so far, the newest of each kind last. */
  readonly sealed: Opened<CoreMessage>[]
  now(): Millis
  /** Lets virtual time pass. */
  run(ms: Millis): void
  /** Ends a node's process: its connections close, and it says nothing more. */
  kill(name: string): void
}

export interface WorldOptions {
  /** What a node calls itself; default: as in the plan, which its id is made of. */
  readonly nameOf?: (name: string) => string
  readonly labels?: Readonly<Record<string, string>>
}

interface Due {
  readonly at: Millis
  readonly sequence: number
  readonly act: () => void
}

/** Starts nodes by name, domain and, where it is not the usual one, operator; the first founds the federation. */
export function createWorld(
  plan: readonly (readonly [name: string, domain: string, operator?: string])[],
  more: WorldOptions = {},
): World {
  const members = plan.map(([name, domain, operator]) => ({
    ...factsOf(name, domain),
    ...(operator !== undefined && { operator: operator as OperatorId }),
  }))
  const agenda: Due[] = []
  const sealed: Opened<CoreMessage>[] = []
  const operators = new Set(members.map(({ operator }) => operator)).size
  const nodes: TestNode[] = []
  const linked = new Set<string>()
  const killed = new Set<TestNode>()
  let now: Millis = 1
  let sequence = 0

  const later = (ms: Millis, act: () => void): Due => {
    sequence += 1
    const due = { at: now + ms, sequence, act }
    agenda.push(due)
    return due
  }
  const linkOf = (a: TestNode, b: TestNode): string => [a.facts.node, b.facts.node].sort().join()
  const areLinked = (a: TestNode, b: TestNode): boolean => linked.has(linkOf(a, b))
  const find = (id: NodeId): TestNode | undefined => nodes.find((node) => node.facts.node === id && !killed.has(node))
  const link = (a: TestNode, b: TestNode): void => {
    if (a === b || areLinked(a, b) || killed.has(a) || killed.has(b)) return
    linked.add(linkOf(a, b))
    a.host.input({ kind: 'connected', peer: b.facts.node, facts: b.facts })
    b.host.input({ kind: 'connected', peer: a.facts.node, facts: a.facts })
  }

  const portsOf = (self: () => TestNode, seed: number): HostPorts => {
    let alarm: Due | null = null
    const deliver = (to: TestNode, bytes: Uint8Array, topic: string | null): void => {
      const from = self()
      later(HOP_MS, () => {
        if (killed.has(to)) return
        to.received.push(bytes)
        to.host.receive(bytes, from.facts.node, topic)
      })
    }
    return {
      clock: {
        now: () => now,
        wall: () => (WALL_AT_START + now) as UnixMillis,
        alarm: (at, ring) => {
          if (alarm !== null) agenda.splice(agenda.indexOf(alarm) >>> 0, 1)
          alarm = at === null ? null : later(Math.max(0, at - now), ring)
        },
      },
      random: seededRandom(seed),
      disk: {
        write: (key, value, _sync, done) => {
          later(WRITE_MS, () => {
            if (value === null) self().disk.delete(key)
            else self().disk.set(key, value)
            done()
          })
        },
      },
      network: {
        send: (to, bytes) => {
          const peer = find(to)
          if (peer !== undefined && areLinked(self(), peer)) deliver(peer, bytes, null)
        },
        publish: (topic, bytes) => {
          for (const node of nodes) if (node !== self() && node.topics.has(topic)) deliver(node, bytes, topic)
        },
        follow: (topics) => {
          self().topics.clear()
          for (const topic of topics) self().topics.add(topic)
        },
        want: (peers) => {
          for (const { peer } of peers) {
            later(DIAL_MS, () => {
              const other = find(peer)
              if (other !== undefined) link(self(), other)
            })
          }
        },
        fetchCredential: (_hash, _from, done) => done(false),
      },
      runtimes: {
        run: (_runtime, operation) => {
          self().run.push(operation)
          if (operation.kind === 'stop') {
            const event = { kind: 'exited', key: operation.key, code: 0, detail: 'was stopped' } as const
            later(STOP_INSTANCE_MS, () => {
              if (!killed.has(self())) self().host.input({ kind: 'runtime', event })
            })
          }
          if (operation.kind !== 'start') return
          const { key, specId, spec } = operation.launch
          const ports = spec.ports.map(({ declared }) => ({ declared, actual: declared, protocol: 'tcp' as const }))
          const endpoint = { host: '127.0.0.1', ports }
          later(START_INSTANCE_MS, () => {
            if (!killed.has(self()))
              self().host.input({ kind: 'runtime', event: { kind: 'running', key, specId, endpoint, adopted: false } })
          })
        },
      },
      listener: {
        onEvent: (event) => self().events.push(event),
        onResolved: (_requestId, answer) => self().resolved.push(answer),
        onAnswered: (_requestId, answer) => self().answered.push(answer),
        onCharter: () => undefined,
        onAudit: (record, isStep) => void (isStep ? self().audited : self().uses).push(record),
        onPolicy: (statement) => {
          self().shown.push(statement)
          self().onPolicy(statement)
        },
        onDropped: (problem, detail) => self().dropped.push(`${problem}: ${detail}`),
        onSettled: () => undefined,
      },
    }
  }

  for (const [index, facts] of members.entries()) {
    const inner = trustingSealer(facts, members)
    const noted = (said: Opened<CoreMessage>): Opened<CoreMessage> => {
      sealed.push(said)
      return said
    }
    const sealer: Sealer<CoreMessage> = {
      ...inner,
      seal: (message) => noted(inner.seal(message)),
      speak: (message) => noted(inner.speak(message)),
    }
    const random = seededRandom(index)
    const first = members[0] as SignerFacts
    const seeds = index === 0 ? [] : [{ peer: first.node, addresses: ['/ip4/192.0.2.1/tcp/1'] }]
    const { memory } = readMemory(new Map(), facts.domain, sealer)
    const called = plan[index]?.[0] ?? ''
    const name = more.nameOf?.(called) ?? called
    const labels = more.labels ?? {}
    const context = { now, wall: WALL_AT_START as UnixMillis, random }
    const core = createCore(
      { self: facts, name, preset: 'lan', labels, seeds, isFounding: index === 0 },
      memory,
      context,
    )
    const self = (): TestNode => nodes[index] as TestNode
    const host = createHost({ self: facts.node, federation: FEDERATION, core, sealer, ports: portsOf(self, index + 1) })
    nodes.push({
      facts,
      core,
      host,
      disk: new Map(),
      events: [],
      resolved: [],
      answered: [],
      dropped: [],
      run: [],
      topics: new Set(),
      shown: [],
      audited: [],
      uses: [],
      onPolicy: () => undefined,
      received: [],
    })
    later(index, () => {
      host.input({ kind: 'addresses', addresses: [`/ip4/192.0.2.${index + 1}/tcp/1`], isRelay: false })
      host.input({ kind: 'start', operators })
      host.input({ kind: 'reading', reading: READING, loopDelayMs: 1 })
      host.input({ kind: 'runtimes', runtimes: [{ name: 'process', version: '1' }] })
      host.input({ kind: 'found', runtime: 'process', instances: [] })
    })
  }

  const nodeOf = (name: string): TestNode => {
    const found = nodes.find((node) => node.facts.node === `12D3KooW-${name}`)
    if (found === undefined) throw new Error(`there is no node ${name}`)
    return found
  }

  return {
    nodes,
    sealed,
    node: nodeOf,
    now: () => now,
    run: (ms) => {
      const end = now + ms
      for (;;) {
        agenda.sort((a, b) => a.at - b.at || a.sequence - b.sequence)
        const next = agenda[0]
        if (next === undefined || next.at > end) break
        agenda.shift()
        now = Math.max(now, next.at)
        next.act()
      }
      now = end
    },
    kill: (name) => {
      const gone = nodeOf(name)
      killed.add(gone)
      gone.host.stop()
      gone.topics.clear()
      for (const other of nodes) {
        if (!linked.delete(linkOf(gone, other)) || killed.has(other)) continue
        other.host.input({ kind: 'disconnected', peer: gone.facts.node })
      }
    },
  }
}

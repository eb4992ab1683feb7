// What people and programs may ask of a running node. The control server puts it on a socket, the CLI speaks to that,
// and createNode() hands it out directly; the field names are those of DESIGN section 11 and stay.

import type { Duplex } from 'node:stream'
import type { InstanceState } from '../services-registry/record.ts'
import type { MembershipControl } from './control-membership.ts'

export type * from './control-membership.ts'

export interface StatusView {
  readonly node: string
  readonly name: string
  readonly federation: string
  readonly domain: string
  readonly incarnation: number
  /** Whether it can take work: it knows a proven leader of its cluster and of the root. */
  readonly ready: boolean
  /** What it still waits for; empty when ready. */
  readonly waitingFor: readonly string[]
  readonly pressure: number
  /** Whether this device takes new work. */
  readonly intake: IntakeView['intake']
  readonly addresses: readonly string[]
  /**
   * Whether members can dial this node where they see it, whether it carries connections for others, and the nodes that
   * carry its own.
   */
  readonly reach: {
    readonly standing: 'unknown' | 'open' | 'closed'
    readonly isRelay: boolean
    readonly relays: readonly string[]
  }
  readonly proxies: { readonly http: string | null; readonly socks: string | null; readonly dns: string | null }
  readonly domains: readonly DomainView[]
  readonly peers: readonly PeerView[]
  /** Things counted since the start: messages dropped by reason, refusals, bytes. */
  readonly counters: Readonly<Record<string, number>>
}

export interface DomainView {
  readonly path: string
  readonly role: 'leader' | 'candidate' | 'follower' | 'learner' | 'observer'
  /** The leader's id: a node for a cluster, a child domain above (then `leaderNode` is the node that speaks for it). */
  readonly leader: string | null
  readonly leaderNode: string | null
  readonly leaderName: string | null
  readonly epoch: number
  readonly term: number
  readonly electors: readonly string[]
  /** Whether a leader with a quorum was heard within the last election timeout. */
  readonly quorum: boolean
  /** The succession of leaders that the domain follows, and why it began if it broke off from another one. */
  readonly line: string | null
  readonly lineBegan: 'founded' | 'silence' | 'grant' | 'order' | null
  /** Where two lines of the domain met here last: which went on, which was left, and when (ISO 8601). */
  readonly linesMet: { readonly kept: string; readonly left: string; readonly at: string } | null
}

export interface PeerView {
  readonly node: string
  readonly name: string
  readonly domain: string
  readonly state: 'alive' | 'suspect' | 'dead' | 'left' | 'unknown'
  readonly path: 'direct' | 'relay' | null
  readonly via: string | null
  readonly rttMs: number | null
  /** Why it is not direct, or not connected. */
  readonly reason: string | null
  /** The same for programs: `not-connected`, or one of `NotDirectCode` (overlay/not-direct.ts). */
  readonly reasonCode: string | null
}

export interface NodeView {
  readonly node: string
  readonly name: string
  readonly domain: string
  readonly state: 'alive' | 'suspect' | 'dead' | 'left'
  readonly incarnation: number
  readonly summary: Readonly<Record<string, unknown>> | null
}

export interface InstanceView {
  readonly service: string
  readonly number: number
  /** `done`: an instance of a job that ended well. */
  readonly state: InstanceState | 'pending' | 'done'
  readonly node: string | null
  readonly name: string | null
  readonly domain: string | null
  readonly endpoint: string | null
  /** ISO 8601, by the clock of the node that runs it. */
  readonly since: string | null
  readonly restarts: number
  readonly reason: string
}

export interface ServiceView {
  readonly id: string
  readonly address: string
  readonly domain: string
  /** Where the request stands when the domain's leader could not be reached yet. */
  readonly accepted: boolean
  readonly instances: readonly InstanceView[]
}

export interface DeployView {
  /**
   * `version`: when what was deployed was submitted, ISO 8601; the same word as in `versions` of InspectView.
   * `warning`: what somebody may miss later.
   */
  readonly services: readonly (ServiceView & { readonly version?: string | null; readonly warning?: string | null })[]
  readonly warnings: readonly { readonly field: string; readonly problem: string }[]
}

export interface InspectView extends ServiceView {
  /** How far the newest version has come; null where it replaces none. */
  readonly rollout: {
    readonly state: 'rolling' | 'done' | 'paused' | 'rolled-back'
    readonly reason: string
  } | null
  /** When the newest version was submitted, and the one that `rollback` would go back to; ISO 8601. */
  readonly versions: { readonly current: string; readonly previous: string | null }
  /** Instances that are wanted, and those of them that run the newest version or, of a job, are done. */
  readonly wanted: number
  readonly ready: number
  readonly spec: Readonly<Record<string, unknown>>
  readonly placements: readonly Readonly<Record<string, unknown>>[]
}

export interface ResolveView {
  readonly service: string
  readonly policy: string
  readonly endpoints: readonly {
    readonly number: number
    readonly node: string
    readonly name: string | null
    readonly path: 'local' | 'direct' | 'relay' | null
    readonly rttMs: number | null
  }[]
  readonly virtualAddress: string | null
  /** Why there is no endpoint; null when there is one. */
  readonly reason: string | null
}

export interface MoveView {
  readonly service: string
  readonly moves: readonly {
    readonly number: number
    /** `moving`: it starts at its new place, and runs where it was until it runs there. */
    readonly outcome: 'moving' | 'refused'
    /** The device or domain that takes it, and what it is called. */
    readonly child: string | null
    readonly name: string | null
    readonly reason: string
  }[]
}

export interface IntakeView {
  readonly node: string
  readonly name: string | null
  /** Whether it takes new work; a draining device also gives away what it has. */
  readonly intake: 'open' | 'cordoned' | 'draining'
  /** Instances that it runs still, and the domains that it leads. */
  readonly instances: number
  readonly leads: readonly string[]
  /** Where it votes although another child could: a drained device gives that up too. */
  readonly elects: readonly string[]
  /** What cannot leave a draining device, and why. */
  readonly stuck: readonly { readonly instance: string; readonly reason: string }[]
}

/** What this node's operator lets others do on its devices. */
export interface PolicyView {
  readonly operator: string
  /** 0 where the operator never set one. */
  readonly version: number
  /** When it was signed, ISO 8601. */
  readonly at: string | null
  /** As the operator wrote it. */
  readonly policy: Readonly<Record<string, unknown>>
  /** As it was signed; `policy set` takes it on any device of the operator. */
  readonly statement: string | null
}

export interface PolicyExplanation {
  readonly service: string
  readonly node: string
  readonly name: string | null
  /** Whose service it is, and whose device. */
  readonly operator: string
  readonly owner: string
  /** Null where only the device knows. */
  readonly allowed: boolean | null
  /** The part of the policy that decides: `own`, `others` or `rules.N`. */
  readonly rule: string | null
  readonly reason: string | null
}

/** One step in the life of a service, as somebody signed it. */
export interface AuditView {
  /** When this node took it in, ISO 8601. */
  readonly at: string
  readonly domain: string
  readonly service: string
  readonly number: number | null
  readonly step: 'asked' | 'removed' | 'decided' | 'taken away' | 'accepted' | 'runs' | 'ended'
  /** Who signed it. */
  readonly node: string
  readonly operator: string
  /** When, by the signer's clock, ISO 8601; null for what is ordered by fences alone. */
  readonly signedAt: string | null
  /** The device or domain that it was decided for. */
  readonly to: string | null
  readonly reason: string
}

/** What an instance of this device uses. */
export interface StatsView {
  readonly service: string
  readonly number: number
  /** Processor time since its last start, in seconds of one core; null where its runtime does not say. */
  readonly cpuSeconds: number | null
  readonly memoryMb: number | null
}

/** What an operator's services were given on an operator's devices. */
export interface UsageView {
  readonly operator: string
  readonly owner: string
  readonly instanceSeconds: number
  /** Seconds of cores and GB-hours of memory that were promised while instances ran. */
  readonly coreSeconds: number
  readonly gbHours: number
  /** What the devices signed that it used: seconds of one core, GB-hours of memory, bytes of tunnels both ways. */
  readonly usedCpuSeconds: number
  readonly usedGbHours: number
  readonly carriedBytes: number
}

/** A secret of this node's operator; what it is is told to nobody. */
export interface SecretView {
  readonly name: string
  /** When it was set, ISO 8601. */
  readonly at: string
}

export interface SecretChange {
  readonly name: string
  /** Devices of the operator that know, this one among them. */
  readonly devices: number
}

/** A login of a registry; its password is told to nobody. */
export interface RegistryView {
  readonly registry: string
  readonly username: string
}

export interface PingView {
  readonly node: string
  readonly name: string | null
  readonly path: 'direct' | 'relay' | null
  readonly via: string | null
  readonly rttMs: number
}

export interface RecoveryView {
  readonly domain: string
  readonly line: string
  readonly epoch: number
  readonly operator: string
}

export interface EventView {
  /** ISO 8601. */
  readonly at: string
  readonly name: string
  readonly level: 'debug' | 'info' | 'warn'
  readonly domain: string | null
  readonly fields: Readonly<Record<string, string | number | boolean | null>>
}

export interface LogRequest {
  readonly service: string
  /** The instance; all of them when null, each line then with its number in front where there are several. */
  readonly number: number | null
  /** Go on with what is written from now on, also when the instance moves. */
  readonly follow: boolean
  /** Lines from the end of each; null for all that is kept. */
  readonly tail: number | null
  /** Only what was written in the last so many ms; null for no such limit. */
  readonly sinceMs: number | null
}

export interface ExecTarget {
  readonly service: string
  /** The instance; the first that runs when null. */
  readonly number: number | null
}

export interface ForwardRequest {
  readonly address: string
  /** 0 takes a free one. */
  readonly localPort: number
  readonly protocol: 'tcp' | 'udp'
}

/** All methods reject with CoppiceError when the caller's request cannot be met. */
export interface NodeControl extends MembershipControl {
  status(): StatusView
  nodes(): readonly NodeView[]
  instances(): readonly InstanceView[]
  /** Checks a descriptor (SLA JSON or Compose YAML) and submits it; returns once it is accepted or kept for later. */
  deploy(descriptor: string, options: { readonly domain: string | null }): Promise<DeployView>
  /** The services named, as this node knows them now. */
  services(ids: readonly string[]): Promise<readonly ServiceView[]>
  inspect(service: string): Promise<InspectView>
  remove(service: string): Promise<ServiceView>
  /** Starts nothing anew; a version that is on its way goes on. */
  scale(service: string, replicas: number): Promise<ServiceView>
  /** Moves an instance (null: each one) to whom `to` selects; returns once it is on its way, rejects when none is. */
  migrate(service: string, number: number | null, to: string | null): Promise<MoveView>
  /** Opens or closes a device for work, or (null) says how it stands. */
  intake(node: string, set: IntakeView['intake'] | null): Promise<IntakeView>
  /** Submits the version before the newest once more, as the newest. */
  rollback(service: string): Promise<ServiceView>
  resolve(address: string, signal: AbortSignal): Promise<ResolveView>
  /** What opens registries, as kept on this node. */
  registries(): readonly RegistryView[]
  /** Keeps a login for the operator's pulls, on whichever device; one for the same registry is replaced. */
  registryLogin(login: RegistryView & { readonly password: string }): Promise<RegistryView>
  registryLogout(registry: string): Promise<{ readonly registry: string }>
  /** The policy of this node's operator. */
  policy(): PolicyView
  /** Signs a policy with the operator key on this device, or takes in one that was signed elsewhere. */
  setPolicy(text: string): Promise<PolicyView>
  /** What a device's owner has against a service. */
  explainPolicy(service: string, node: string): Promise<PolicyExplanation>
  /** What the instances that run on this device use. */
  stats(): Promise<readonly StatsView[]>
  /** The orders that this node holds signed, of one service or all. */
  audit(service: string | null): Promise<readonly AuditView[]>
  usage(): Promise<readonly UsageView[]>
  secrets(): readonly SecretView[]
  /** Keeps a secret on this operator's devices of the cluster; its value in base64. */
  setSecret(name: string, value: string): Promise<SecretChange>
  removeSecret(name: string): Promise<SecretChange>
  /** An order that a domain goes on without its majority, signed with the operator key on this device. */
  signRecovery(domain: string): Promise<string>
  /**
   * Has a domain go on without the majority that is gone; without an order this device's operator key signs one.
   * Refused while a majority was heard within the last lease.
   */
  recover(domain: string, order: string | null): Promise<RecoveryView>
  ping(node: string, signal: AbortSignal): Promise<PingView>
  events(signal: AbortSignal): AsyncIterable<EventView>
  logs(request: LogRequest, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>
  /** A program inside an instance, wherever it runs: the stream of frames that `callExec` speaks. */
  exec(target: ExecTarget, signal: AbortSignal): Promise<Duplex>
  /** Listens on loopback (a free port when `localPort` is 0) until the signal aborts. */
  forward(request: ForwardRequest, signal: AbortSignal): Promise<{ readonly host: string; readonly port: number }>
  /** Prometheus text format. */
  metrics(): Promise<string>
}

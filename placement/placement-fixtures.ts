// For the tests of this folder only: short ways to make specs, summaries, records and opened messages.

import { type DomainPath, type NodeId, nodeId, type OperatorId } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import { seededRandom } from '../overlay/kernel/random.ts'
import type { AnyMessage } from '../overlay/wire/codec.ts'
import { encodeCbor } from '../overlay/wire/codec.ts'
import type { Opened, SignerFacts } from '../overlay/wire/envelope.ts'
import type { Clock, SealedRecord, SpecRecord } from '../services-registry/record.ts'
import { claimOf } from '../services-registry/version.ts'
import type { StoreView } from '../services-registry/view.ts'
import { NOTHING } from './need.ts'
import { encodeSpec, type ServiceSpec, SPEC_DEFAULTS, serviceIdOf } from './spec.ts'
import type { NodeSummary } from './summary.ts'
import { nextVersion } from './versions.ts'

/** How an instance behaves on a node. */
export type Outcome =
  | { readonly kind: 'runs' }
  | { readonly kind: 'exits'; readonly afterMs: number; readonly code: number }
  | { readonly kind: 'fails'; readonly detail: string }
export type Script = (node: NodeId, spec: ServiceSpec, restarts: number) => Outcome

export const specOf = (changes: Partial<ServiceSpec> = {}): ServiceSpec => ({
  app: 'shop',
  appNamespace: 'prod',
  name: 'web',
  namespace: 'prod',
  kind: 'service',
  runtime: 'process',
  code: '',
  command: ['node', 'server.js'],
  environment: {},
  memoryMb: 100,
  vcpus: 0.5,
  vgpus: 0,
  storageMb: 0,
  ...SPEC_DEFAULTS,
  ports: [{ declared: 80, internal: 8080, protocol: 'tcp' }],
  volumes: [],
  privileged: false,
  replicas: 1,
  restart: { policy: 'always', delayMs: 100, delayMsMax: 60_000 },
  healthcheck: null,
  stopGraceMs: 10_000,
  priority: 100,
  labels: {},
  constraints: [],
  ...changes,
})

export const HEALTHCHECK: NonNullable<ServiceSpec['healthcheck']> = {
  kind: 'tcp',
  port: 80,
  path: '/',
  command: [],
  intervalMs: 1_000,
  timeoutMs: 100,
  retries: 2,
  startPeriodMs: 0,
}

export const summaryOf = (id: string, changes: Partial<NodeSummary> = {}): NodeSummary => ({
  name: `device-${id}`,
  cores: 4,
  memoryMb: { total: 4_000, free: 3_000 },
  diskMb: { total: 100_000, free: 50_000 },
  gpus: [],
  architecture: 'arm64',
  os: 'linux',
  runtimes: [{ name: 'process', version: '1' }],
  labels: {},
  pressure: 0,
  instances: 0,
  reserved: NOTHING,
  ...changes,
})

export const factsOf = (node: string, domain: DomainPath): SignerFacts => ({
  node: nodeId(node),
  operator: 'operator' as OperatorId,
  domain,
  capabilities: ['work', 'lead', 'deploy:*'],
  labels: {},
  expiresAt: Number.MAX_SAFE_INTEGER,
})

export const openedBy = <M extends AnyMessage>(
  signer: SignerFacts,
  message: M,
  bytes: Uint8Array = new Uint8Array(),
): Opened<M> => ({
  from: signer.node,
  signer,
  message,
  bytes,
})

export function specRecord(
  spec: ServiceSpec,
  domain: DomainPath,
  clock: Clock,
  isRemoval = false,
): SealedRecord<SpecRecord> {
  const message: SpecRecord = {
    kind: 'record/spec',
    domain,
    service: serviceIdOf(spec),
    clock,
    spec: isRemoval ? null : encodeSpec(spec),
  }
  return openedBy(factsOf('submitter', domain), message, encodeCbor(message))
}

/** What a submitter makes of a spec that follows on what the store holds. */
export function nextSpecRecord(
  store: StoreView,
  spec: ServiceSpec,
  clock: Clock,
  isScale: boolean,
): SealedRecord<SpecRecord> {
  const service = serviceIdOf(spec)
  const held = store.spec(service)?.message ?? null
  const { version, previous } = nextVersion(held, store.rollout(service)?.message ?? null, spec, isScale)
  const sealed = specRecord(spec, store.domain, clock)
  const claimed = held === null || held.spec === null ? clock : claimOf(held)
  const withVersion: SpecRecord = { ...sealed.message, claimed, ...(version !== null && { version }) }
  const message: SpecRecord = previous === null ? withVersion : { ...withVersion, previous }
  return { ...sealed, message, bytes: encodeCbor(message) }
}

export const contextAt = (now: number): StepContext => ({ now, wall: 1_790_000_000_000 + now, random: seededRandom(1) })

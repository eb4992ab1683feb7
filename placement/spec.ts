// A service as Coppice works with it: the canonical form that every descriptor (SLA JSON, Compose) is turned into once,
// at the door, and that travels in records. Fields that nobody set hold their documented default, so no reader needs
// one of its own.

import type { ServiceId } from '../overlay/kernel/ids.ts'
import { oncePerObject } from '../overlay/kernel/memo.ts'
import { err, type Result } from '../overlay/kernel/result.ts'
import { decodeBounded } from '../overlay/wire/codec.ts'
import {
  dictionary,
  encodeWith,
  flag,
  type Infer,
  list,
  literal,
  nullable,
  number,
  object,
  optional,
  readWith,
  text,
  whole,
} from '../overlay/wire/schema.ts'

const label = text(63)

/** Namespaces that a service may open itself to. A guess. */
export const CALLERS_MAX = 64

/** Secrets of one service. A guess. */
export const SECRETS_MAX = 32

/** A place on earth: degrees, north and east positive. */
export const placeSchema = object({ latitude: number(-90, 90), longitude: number(-180, 180) })
export type Place = Infer<typeof placeSchema>

/**
 * How strictly a measured limit is meant: the instance may stay while at most (1 - rigidness) of the measurements break
 * it, and is moved once it was broken for convergenceMs (Oakestra's SLA).
 */
const rigour = { rigidness: number(0, 1), convergenceMs: whole(0, 86_400_000) }

export const constraintSchema = object({
  /**
   * `direct` names nodes, clusters or labels by selectors; `clusters` lists allowed clusters; `geo`, `latency` and
   * `bandwidth` are measured limits. What a kind does not use is null or empty.
   */
  kind: literal('direct', 'clusters', 'geo', 'latency', 'bandwidth'),
  node: nullable(text(512)),
  cluster: nullable(text(512)),
  clusters: list(text(256), 64),
  geo: optional(object({ place: placeSchema, radiusKm: number(0, 21_000), ...rigour })),
  /**
   * Round trip to users around a place, to a node or a cluster by selector, or to a service of the same application;
   * exactly one of the three targets is set.
   */
  latency: optional(
    object({
      place: nullable(placeSchema),
      selector: nullable(text(512)),
      service: nullable(text<ServiceId>(255)),
      thresholdMs: number(0, 1e6),
      ...rigour,
    }),
  ),
  /** Mbit/s that the way to a service of the same application must have. */
  bandwidth: optional(object({ service: text<ServiceId>(255), mbitPerS: number(0, 1e6), ...rigour })),
})
export type Constraint = Infer<typeof constraintSchema>

/** How a new version takes the place of the old one. */
export const updateSchema = object({
  /** Instances replaced at the same time. */
  parallel: whole(1, 10_000),
  /** Whether the new instance runs before the old one ends (on another device, or the same where there is room). */
  order: literal('start-first', 'stop-first'),
  /** Pause between two steps. */
  delayMs: whole(0, 3_600_000),
  /** How long a new instance must run, and be healthy where there is a health check, before it counts as good. */
  monitorMs: whole(0, 3_600_000),
  /** What follows when a new instance fails within `monitorMs`. */
  onFailure: literal('rollback', 'pause', 'continue'),
})

/** What holds while a device cannot be reached. */
export const disconnectSchema = object({
  /** How long it must be gone before its instances count as lost; null for as soon as the roster says so. */
  lostAfterMs: nullable(whole(0, 86_400_000)),
  /** Whether a lost instance is replaced at all. */
  replace: flag,
  /** Which of the two stays when the device returns. */
  reconcile: literal('keep_original', 'keep_replacement', 'longest_running', 'best_score'),
  /** After how long without a leader in reach the device itself ends the instance; null for never. */
  stopAfterMs: nullable(whole(0, 86_400_000)),
})

/** Virtual addresses that callers on every device may use for the service; null where none is asked for. */
export const addressesSchema = object({
  roundRobin: nullable(text(45)),
  closest: nullable(text(45)),
  roundRobinV6: nullable(text(45)),
  closestV6: nullable(text(45)),
  instances: list(object({ number: whole(0, 9_999), address: nullable(text(45)), addressV6: nullable(text(45)) }), 64),
})

export const serviceSpecSchema = object({
  app: label,
  appNamespace: label,
  name: label,
  namespace: label,
  kind: literal('service', 'job', 'daemon'),
  /** Runtime by name: `process`, `docker` (SLA: container), or one that may have no driver anywhere. */
  runtime: text(32),
  /** The image reference; for a process empty or the folder to work in. */
  code: text(1_024),
  command: list(text(8_192), 256),
  /** What runs the command in place of the image's own entry point; null for that one. */
  entrypoint: nullable(list(text(8_192), 256)),
  /** Folder to start in, user (and group) to run as; empty for the image's own. */
  workingFolder: text(1_024),
  user: text(128),
  environment: dictionary(text(8_192), 256),
  /** What the operator's devices hold for it, by name: a file of that name, or a variable. Absent for none. */
  secrets: optional(list(object({ name: text(63), environment: nullable(text(127)) }), SECRETS_MAX)),
  /** MB (10^6 bytes) that the instance may use; enforced where the runtime can. */
  memoryMb: number(0, 1e9),
  /** Cores, fractions allowed. */
  vcpus: number(0, 1e5),
  vgpus: number(0, 1e4),
  vtpus: number(0, 1e4),
  /** MB on disk. */
  storageMb: number(0, 1e12),
  /** Mbit/s that the device must have left, into it and out of it. */
  bandwidthInMbit: number(0, 1e6),
  bandwidthOutMbit: number(0, 1e6),
  /** Processes and threads that it may have; null for the runtime's own limit. */
  pidsMax: nullable(whole(1, 4_194_304)),
  ports: list(object({ declared: whole(1, 65_535), internal: whole(1, 65_535), protocol: literal('tcp', 'udp') }), 64),
  volumes: list(text(1_024), 64),
  /** Device files, e.g. `/dev/ttyUSB0` or `/dev/video0:/dev/video1:rw`. */
  devices: list(text(512), 32),
  /** `http` and `https` addresses of files that stand at `path` before the start. */
  addedFiles: list(object({ url: text(2_048), path: text(1_024) }), 32),
  addresses: addressesSchema,
  /** Who may call it besides its own namespace: `namespace`, `app.namespace`, or `*`. */
  callers: list(text(127), CALLERS_MAX),
  privileged: flag,
  replicas: whole(0, 10_000),
  restart: object({
    policy: literal('always', 'on-failure', 'never'),
    /** First delay before a restart in ms; doubles up to `delayMsMax`. */
    delayMs: whole(0, 3_600_000),
    delayMsMax: whole(0, 3_600_000),
  }),
  /** Services of the same application that have to run (and be healthy) before this one starts. */
  dependsOn: list(text<ServiceId>(255), 32),
  update: updateSchema,
  disconnect: disconnectSchema,
  /** `manual`: nobody but `coppice migrate` moves an instance to another device. */
  autonomy: literal('automatic', 'manual'),
  healthcheck: nullable(
    object({
      kind: literal('tcp', 'http', 'command'),
      /** Of `tcp` and `http`; 0 for `command`. */
      port: whole(0, 65_535),
      path: text(1_024),
      /** What `command` runs inside the instance; exit code 0 is healthy. */
      command: list(text(8_192), 256),
      intervalMs: whole(100, 3_600_000),
      timeoutMs: whole(100, 600_000),
      /** Failures in a row before the instance is `unhealthy`. */
      retries: whole(1, 100),
      /** Failures that early do not count. */
      startPeriodMs: whole(0, 3_600_000),
    }),
  ),
  /** How long a stop waits between SIGTERM and SIGKILL, in ms. */
  stopGraceMs: whole(0, 600_000),
  /** Higher is kept longer under pressure. */
  priority: whole(0, 1_000),
  labels: dictionary(text(255), 64),
  constraints: list(constraintSchema, 64),
})
export type ServiceSpec = Infer<typeof serviceSpecSchema>
export type SecretUse = NonNullable<ServiceSpec['secrets']>[number]

/** What holds where a descriptor says nothing of these fields. The times of `update` are guesses. */
export const SPEC_DEFAULTS = {
  entrypoint: null,
  workingFolder: '',
  user: '',
  vtpus: 0,
  bandwidthInMbit: 0,
  bandwidthOutMbit: 0,
  pidsMax: null,
  devices: [],
  addedFiles: [],
  addresses: { roundRobin: null, closest: null, roundRobinV6: null, closestV6: null, instances: [] },
  callers: [],
  dependsOn: [],
  update: { parallel: 1, order: 'start-first', delayMs: 0, monitorMs: 5_000, onFailure: 'rollback' },
  disconnect: { lostAfterMs: null, replace: true, reconcile: 'keep_replacement', stopAfterMs: null },
  autonomy: 'automatic',
} as const satisfies Partial<ServiceSpec>

export const serviceIdOf = (spec: Pick<ServiceSpec, 'app' | 'appNamespace' | 'name' | 'namespace'>): ServiceId =>
  `${spec.app}.${spec.appNamespace}.${spec.name}.${spec.namespace}` as ServiceId

export const encodeSpec = (spec: ServiceSpec): Uint8Array => encodeWith(serviceSpecSchema, spec)

/**
 * Reads the canonical form out of a record, once for the same bytes: a leader, a device and a view read the same
 * record. The error names the field.
 */
export function decodeSpec(bytes: Uint8Array): Result<ServiceSpec, string> {
  return readOnce(bytes)
}

const readOnce = oncePerObject((bytes: Uint8Array): Result<ServiceSpec, string> => {
  const raw = decodeBounded(bytes)
  if (!raw.ok) return err(raw.error.detail)
  return readWith(serviceSpecSchema, raw.value, () => err('no envelope belongs here'))
})

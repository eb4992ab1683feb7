// A service as Coppice works with it: the canonical form that every descriptor (SLA JSON, Compose) is turned into once,
// at the door, and that travels in records. Fields that nobody set hold their documented default, so no reader needs
// one of its own.

import type { ServiceId } from '../overlay/kernel/ids.ts'
import { err, type Result } from '../overlay/kernel/result.ts'
import { decodeBounded, encodeCbor } from '../overlay/wire/codec.ts'
import {
  dictionary,
  flag,
  type Infer,
  list,
  literal,
  nullable,
  number,
  object,
  readWith,
  text,
  whole,
} from '../overlay/wire/schema.ts'

const label = text(63)

export const constraintSchema = object({
  /** `direct` names nodes, clusters or labels by selectors; `clusters` lists allowed clusters. */
  kind: literal('direct', 'clusters'),
  node: nullable(text(512)),
  cluster: nullable(text(512)),
  clusters: list(text(256), 64),
})
export type Constraint = Infer<typeof constraintSchema>

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
  environment: dictionary(text(8_192), 256),
  /** MB (10^6 bytes) that the instance may use; enforced where the runtime can. */
  memoryMb: number(0, 1e9),
  /** Cores, fractions allowed. */
  vcpus: number(0, 1e5),
  vgpus: number(0, 1e4),
  /** MB on disk. */
  storageMb: number(0, 1e12),
  ports: list(object({ declared: whole(1, 65_535), internal: whole(1, 65_535), protocol: literal('tcp', 'udp') }), 64),
  volumes: list(text(1_024), 64),
  privileged: flag,
  replicas: whole(0, 10_000),
  restart: object({
    policy: literal('always', 'on-failure', 'never'),
    /** First delay before a restart in ms; doubles up to `delayMsMax`. */
    delayMs: whole(0, 3_600_000),
    delayMsMax: whole(0, 3_600_000),
  }),
  healthcheck: nullable(
    object({
      kind: literal('tcp', 'http'),
      port: whole(1, 65_535),
      path: text(1_024),
      intervalMs: whole(100, 3_600_000),
      timeoutMs: whole(100, 600_000),
      /** Failures in a row before the instance is `unhealthy`. */
      retries: whole(1, 100),
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

export const serviceIdOf = (spec: Pick<ServiceSpec, 'app' | 'appNamespace' | 'name' | 'namespace'>): ServiceId =>
  `${spec.app}.${spec.appNamespace}.${spec.name}.${spec.namespace}` as ServiceId

export const encodeSpec = (spec: ServiceSpec): Uint8Array => encodeCbor(serviceSpecSchema.write(spec))

/** Reads the canonical form out of a record; the error names the field. */
export function decodeSpec(bytes: Uint8Array): Result<ServiceSpec, string> {
  const raw = decodeBounded(bytes)
  if (!raw.ok) return err(raw.error.detail)
  return readWith(serviceSpecSchema, raw.value, () => err('no envelope belongs here'))
}

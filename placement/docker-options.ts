// A spec in Docker's words: what a container is made with, and where it answers once it runs. Ports are published on
// loopback only, because traffic from other devices comes through tunnels and never straight to a container.

import type { InstanceKey } from '../overlay/kernel/ids.ts'
import type { Endpoint } from '../services-registry/record.ts'
import { deviceProblem, volumeProblem } from './docker-mounts.ts'
import { containerName, nameProblem } from './instance-name.ts'
import { LOG_LIMITS } from './log-rotation.ts'
import { identityOf } from './process-launch.ts'
import type { Launch } from './runtime.ts'
import type { ServiceSpec } from './spec.ts'

export const NODE_LABEL = 'coppice.node'
export const KEY_LABEL = 'coppice.key'
export const SPEC_LABEL = 'coppice.spec'

/** What Docker calls the driver that hands out graphics cards: any that has this capability. */
const GPU_CAPABILITIES = [['gpu']]

/** Where containers are published. */
export const PUBLISH_HOST = '127.0.0.1'

/**
 * Processes and threads in one container where the spec sets no limit: a guess that holds off fork bombs and leaves
 * room for a JVM.
 */
const PIDS_MAX = 1_024
/** What Docker's own client asks for where nothing is said. */
const DEVICE_PERMISSIONS = 'rwm'
const BYTES_PER_MB = 1_000_000
/** Docker refuses less than 6 MiB of memory. */
const MEMORY_BYTES_MIN = 6 * 1_024 * 1_024
const NANO_CPUS_PER_CPU = 1_000_000_000

/** The part of Docker's container creation that we use (Engine API, `POST /containers/create`). */
export interface ContainerOptions {
  readonly name: string
  readonly Image: string
  readonly Entrypoint?: string[]
  readonly Cmd?: string[]
  readonly WorkingDir?: string
  readonly User?: string
  readonly Env: string[]
  readonly Labels: Record<string, string>
  readonly ExposedPorts: Record<string, Record<string, never>>
  readonly HostConfig: {
    readonly Memory?: number
    readonly MemorySwap?: number
    readonly NanoCpus?: number
    readonly PidsLimit: number
    readonly Privileged: boolean
    readonly Binds: string[]
    readonly Devices: DeviceMapping[]
    readonly DeviceRequests?: { Driver: string; Count: number; Capabilities: string[][] }[]
    readonly NetworkMode: string
    readonly Dns?: string[]
    readonly PortBindings: Record<string, { HostIp: string; HostPort: string }[]>
    readonly RestartPolicy: { Name: string }
    readonly LogConfig: { Type: string; Config: Record<string, string> }
  }
}

/** A device file of the host inside a container. */
export interface DeviceMapping {
  readonly PathOnHost: string
  readonly PathInContainer: string
  /** Some of `r` (read), `w` (write), `m` (make). */
  readonly CgroupPermissions: string
}

/** Why no container is made for a launch, whatever the engine would say; null where one may be. */
export function launchProblem({ key, spec }: Launch): string | null {
  if (!isImageReference(spec.code)) return `"${spec.code}" is no image reference`
  const problems = [nameProblem(key), ...spec.volumes.map(volumeProblem), ...spec.devices.map(deviceProblem)]
  return problems.find((problem) => problem !== null) ?? null
}

/** What to create for a launch. The worker restarts instances, so Docker must not. */
export function containerOptions(launch: Launch, nodeId: string, resolver: string | null = null): ContainerOptions {
  const { spec, key, specId } = launch
  const published = publishedPorts(spec)
  return {
    name: containerName(nodeId, key),
    Image: imageReference(spec.code),
    ...(spec.entrypoint === null ? {} : { Entrypoint: [...spec.entrypoint] }),
    ...(spec.command.length > 0 ? { Cmd: [...spec.command] } : {}),
    ...(spec.workingFolder === '' ? {} : { WorkingDir: spec.workingFolder }),
    ...(spec.user === '' ? {} : { User: spec.user }),
    Env: containerEnvironment(spec, key, nodeId),
    Labels: { ...spec.labels, [NODE_LABEL]: nodeId, [KEY_LABEL]: key, [SPEC_LABEL]: specId },
    ExposedPorts: Object.fromEntries(published.map((port) => [port, {}])),
    HostConfig: {
      ...containerLimits(spec),
      PidsLimit: spec.pidsMax ?? PIDS_MAX,
      Privileged: spec.privileged,
      Binds: [...spec.volumes],
      Devices: spec.devices.map(deviceMapping),
      ...(spec.vgpus > 0 ? { DeviceRequests: [gpuRequest(spec.vgpus)] } : {}),
      NetworkMode: networkName(nodeId),
      ...(resolver === null ? {} : { Dns: [resolver] }),
      PortBindings: Object.fromEntries(published.map((port) => [port, [{ HostIp: PUBLISH_HOST, HostPort: '' }]])),
      RestartPolicy: { Name: 'no' },
      LogConfig: {
        Type: 'json-file',
        Config: { 'max-size': String(LOG_LIMITS.bytesMax), 'max-file': String(LOG_LIMITS.filesMax) },
      },
    },
  }
}

/**
 * The network that the containers of a node share, on which they find each other by name; the end of the node's id
 * tells apart the nodes that share an engine.
 */
export const networkName = (nodeId: string): string => `coppice-${nodeId.slice(-8)}`

/** Docker hands out whole cards only; a part of one is one. */
const gpuRequest = (vgpus: number) => ({ Driver: '', Count: Math.ceil(vgpus), Capabilities: GPU_CAPABILITIES })

/** `host[:container[:permissions]]`, as `docker run --device` has it. */
function deviceMapping(device: string): DeviceMapping {
  const [host = '', second, third] = device.split(':')
  // `/dev/sda:r` gives permissions in the second place.
  const isShort = second !== undefined && third === undefined && /^[rwm]{1,3}$/.test(second)
  const inside = second === undefined || isShort ? host : second
  return {
    PathOnHost: host,
    PathInContainer: inside,
    CgroupPermissions: isShort ? second : (third ?? DEVICE_PERMISSIONS),
  }
}

const IMAGE_PART = '[a-z0-9]+(?:(?:\\.|__?|-+)[a-z0-9]+)*'
const IMAGE_REFERENCE = new RegExp(
  `^(?:(?:[a-zA-Z0-9][a-zA-Z0-9.-]*|\\[[0-9a-fA-F:]+\\])(?::[0-9]+)?/)?` +
    `${IMAGE_PART}(?:/${IMAGE_PART})*(?::\\w[\\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$`,
)

/**
 * Whether a text is an image reference (distribution/reference, the grammar of Docker). It becomes a part of a path of
 * the engine's API, where anything else could lead to another question than the one that is asked.
 */
export const isImageReference = (text: string): boolean => text.length <= 512 && IMAGE_REFERENCE.test(text)

/** The reference with its tag: without one Docker would pull every tag of the repository. */
export function imageReference(code: string): string {
  const lastPart = code.slice(code.lastIndexOf('/') + 1)
  return code.includes('@') || lastPart.includes(':') ? code : `${code}:latest`
}

/** Memory and cores in the engine's words; 0 leaves them out, which in an update leaves them as they are. */
export const containerLimits = ({
  memoryMb,
  vcpus,
}: Pick<ServiceSpec, 'memoryMb' | 'vcpus'>): { Memory?: number; MemorySwap?: number; NanoCpus?: number } => ({
  ...memoryLimits(memoryMb),
  ...(vcpus > 0 ? { NanoCpus: Math.round(vcpus * NANO_CPUS_PER_CPU) } : {}),
})

/** Memory without swap on top, so that the limit is the limit. */
function memoryLimits(memoryMb: number): { Memory?: number; MemorySwap?: number } {
  if (memoryMb <= 0) return {}
  const bytes = Math.max(MEMORY_BYTES_MIN, Math.round(memoryMb * BYTES_PER_MB))
  return { Memory: bytes, MemorySwap: bytes }
}

/** Declared ports inside the container, and the health check's where it is another one. */
function publishedPorts(spec: ServiceSpec): readonly string[] {
  const ports = new Set(spec.ports.map((port) => `${port.internal}/${port.protocol}`))
  const checked = checkedPort(spec)
  if (checked !== null) ports.add(checked)
  return [...ports]
}

/**
 * The port inside the container that the health check means: a declared one by its outer number, else any by its own.
 */
function checkedPort(spec: ServiceSpec): string | null {
  if (spec.healthcheck === null || spec.healthcheck.kind === 'command') return null
  const { port } = spec.healthcheck
  return `${spec.ports.find((entry) => entry.declared === port && entry.protocol === 'tcp')?.internal ?? port}/tcp`
}

/** PORT and PORT_<declared> as in a process, so that one descriptor serves both runtimes; what the spec sets wins. */
function containerEnvironment(spec: ServiceSpec, key: InstanceKey, nodeId: string): string[] {
  const first = spec.ports[0]
  const ports = Object.fromEntries(spec.ports.map((port) => [`PORT_${port.declared}`, String(port.internal)]))
  const all = {
    ...(first === undefined ? {} : { PORT: String(first.internal) }),
    ...ports,
    ...spec.environment,
    ...identityOf(key, nodeId),
  }
  return Object.entries(all).map(([name, value]) => `${name}=${value}`)
}

/** Docker's table of published ports, as an inspection gives it. */
export type PublishedPorts = Readonly<
  Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[] | null | undefined>
>

/** Where the declared ports answer; a port that Docker did not publish is an error that names it. */
export function endpointOf(
  spec: ServiceSpec,
  published: PublishedPorts,
): { readonly endpoint: Endpoint; readonly missing: readonly string[] } {
  const ports: Endpoint['ports'][number][] = []
  const missing: string[] = []
  for (const { declared, internal, protocol } of spec.ports) {
    const actual = hostPort(published, `${internal}/${protocol}`)
    if (actual === null) missing.push(`${internal}/${protocol}`)
    else ports.push({ declared, actual, protocol })
  }
  return { endpoint: { host: PUBLISH_HOST, ports }, missing }
}

/** Where the health check of a container knocks on the host; null when it has none. */
export function containerHealthPort(spec: ServiceSpec, published: PublishedPorts): number | null {
  const checked = checkedPort(spec)
  return checked === null ? null : hostPort(published, checked)
}

function hostPort(published: PublishedPorts, name: string): number | null {
  const port = Number(published[name]?.[0]?.HostPort)
  return Number.isInteger(port) && port > 0 ? port : null
}

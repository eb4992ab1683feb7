// One microservice of a descriptor in its canonical form: the fields one by one, then what only holds between them.

import { distanceKm } from '../overlay/coordinates/distance.ts'
import { SPEC_BYTES_MAX } from '../services-registry/record.ts'
import { readConnection, readConstraint } from './descriptor-constraints.ts'
import { readKey } from './descriptor-field.ts'
import { checkKeys } from './descriptor-keys.ts'
import { checkHealth } from './descriptor-life.ts'
import { fieldOf, isObject, isRefused, isSet, type Place, refuse, show, warn } from './descriptor-report.ts'
import { resolveService, type Siblings } from './descriptor-siblings.ts'
import { DESCRIPTOR_DEFAULTS, MICROSERVICE_KEYS } from './descriptor-tables.ts'
import { isImageReference } from './docker-options.ts'
import { type Constraint, encodeSpec, type SecretUse, type ServiceSpec } from './spec.ts'

/** What the application says for all of its microservices. */
export interface Application extends Omit<Siblings, 'self'> {
  readonly autonomy: ServiceSpec['autonomy']
}

export function readMicroservice(place: Place, application: Application): ServiceSpec {
  checkKeys(place, 'microservice', MICROSERVICE_KEYS)
  const read = <K extends keyof typeof MICROSERVICE_KEYS>(key: K) => readKey(place, MICROSERVICE_KEYS, key)
  const name = read('microservice_name')
  const namespace = read('microservice_namespace')
  const siblings: Siblings = { ...application, self: { id: '', name, namespace } }
  const runtime = readRuntime(place)
  const ports = [...read('port')]
  const health = read('healthcheck')
  const autonomy = read('autonomy')
  const spec: ServiceSpec = {
    app: application.app,
    appNamespace: application.appNamespace,
    name,
    namespace,
    ...readKind(place),
    runtime,
    code: readCode(place, runtime),
    command: [...read('cmd'), ...read('args')],
    entrypoint: read('entrypoint'),
    workingFolder: read('working_dir'),
    user: read('user'),
    environment: read('environment'),
    ...secretsOf(read('secrets')),
    memoryMb: read('memory'),
    vcpus: read('vcpus'),
    vgpus: read('vgpus'),
    vtpus: read('vtpus'),
    storageMb: read('storage'),
    bandwidthInMbit: read('bandwidth_in'),
    bandwidthOutMbit: read('bandwidth_out'),
    pidsMax: read('pids_limit'),
    ports,
    volumes: read('volumes'),
    devices: read('devices'),
    addedFiles: read('added_files'),
    addresses: read('addresses'),
    callers: read('callers'),
    privileged: read('privileged'),
    replicas: read('replicas'),
    dependsOn: readDependencies(place, siblings),
    update: read('update'),
    disconnect: read('disconnect'),
    autonomy: autonomy === 'open' ? application.autonomy : autonomy,
    healthcheck: health === null ? null : checkHealth(health, ports),
    stopGraceMs: read('stop_grace'),
    priority: read('priority'),
    labels: read('labels'),
    constraints: readConstraints(place, siblings),
  }
  checkRuntimeNeeds(place, spec)
  checkSize(place, spec)
  return spec
}

/** A specification without secrets is the same as before there were any. */
const secretsOf = (secrets: readonly SecretUse[]): Pick<ServiceSpec, 'secrets'> =>
  secrets.length === 0 ? {} : { secrets }

const WITHOUT_DRIVER = ['unikernel', 'wasm', 'vm']

function readRuntime(place: Place): string {
  const written = readKey(place, MICROSERVICE_KEYS, 'virtualization')
  const raw = written.toLowerCase() || DESCRIPTOR_DEFAULTS.virtualization
  if (raw === 'container' || raw === 'docker') return 'docker'
  if (raw === 'process') return 'process'
  const field = fieldOf(place, 'virtualization')
  if (!/^[a-z0-9][a-z0-9_-]*$/.test(raw)) {
    refuse(place.report, field, `${show(raw)} is no runtime`, 'container, docker or process')
  } else if (WITHOUT_DRIVER.includes(raw)) {
    warn(place.report, field, `"${raw}" has no driver yet: no device offers it, so the service stays pending`)
  } else warn(place.report, field, `"${raw}" is no known runtime (container, docker, process): no device may offer it`)
  return raw
}

const SCHEME = /^(?:https?|docker):\/\//i
const SOURCES = /^(?:www\.)?(?:github\.com|gitlab\.com|bitbucket\.org)\/|\.git$/i

/** An image, or a repository of images; Oakestra's slides also write it as a web address. */
function readCode(place: Place, runtime: string): string {
  const code = readKey(place, MICROSERVICE_KEYS, 'code')
  if (runtime !== 'docker') return code
  const image = code.replace(SCHEME, '').replace(/\/+$/, '')
  const field = fieldOf(place, 'code')
  if (SOURCES.test(image)) {
    warn(place.report, field, `${show(code)} is a repository of source code: nothing is built, an image is needed`)
  } else if (image !== code) warn(place.report, field, `is read as the image ${show(image)}`)
  // One that is missing is said below, with where to get one.
  if (image !== '' && !isImageReference(image))
    refuse(place.report, field, `${show(code)} is no image`, 'a reference in small letters, as "registry/name:tag"')
  return image
}

function readKind(place: Place): Pick<ServiceSpec, 'kind' | 'restart'> {
  const { report } = place
  const oneShot = readKey(place, MICROSERVICE_KEYS, 'one_shot')
  const named = readKey(place, MICROSERVICE_KEYS, 'kind')
  if (oneShot && named !== 'open' && named !== 'job')
    refuse(report, fieldOf(place, 'kind'), `"${named}" contradicts one_shot`, 'job, or one_shot left out')
  const kind = oneShot ? 'job' : named === 'open' ? 'service' : named
  const { isOpen, ...restart } = readKey(place, MICROSERVICE_KEYS, 'restart')
  if (kind === 'job' && !isOpen && restart.policy === 'always') {
    const field = fieldOf(place, 'restart')
    const problem = `contradicts ${oneShot ? 'one_shot' : 'kind "job"'}, which ends when its program does`
    refuse(report, isObject(place.raw.restart) ? `${field}.policy` : field, problem, 'on-failure or never')
  }
  if (kind === 'daemon' && isSet(place.raw.replicas))
    warn(report, fieldOf(place, 'replicas'), 'has no effect on a daemon, which runs once on each device that matches')
  return { kind, restart: { ...restart, policy: kind === 'job' && isOpen ? 'on-failure' : restart.policy } }
}

function readDependencies(place: Place, siblings: Siblings): ServiceSpec['dependsOn'] {
  const named = readKey(place, MICROSERVICE_KEYS, 'depends_on')
  const found = named.flatMap(({ field, name }) => resolveService(place, field, siblings, name) ?? [])
  return [...new Set(found)]
}

/** Those of the list, the target node, and what is asked of the ways to other services. */
function readConstraints(place: Place, siblings: Siblings): ServiceSpec['constraints'] {
  const read = <K extends keyof typeof MICROSERVICE_KEYS>(key: K) => readKey(place, MICROSERVICE_KEYS, key)
  const target = read('target_node')
  const direct: readonly Constraint[] =
    target === null ? [] : [{ kind: 'direct', node: target, cluster: null, clusters: [] }]
  const found = [
    ...read('constraints').flatMap((inner) => readConstraint(inner, siblings)),
    ...direct,
    ...read('connectivity').flatMap((inner) => readConnection(inner, siblings)),
  ]
  warnApart(place, found)
  const strategy = read('sla_violation_strategy')
  if (place.raw.sla_violation_strategy === 'replicate') {
    const problem = 'is read as "migrate": the instance moves; "replicas" says how many there are'
    warn(place.report, fieldOf(place, 'sla_violation_strategy'), problem)
  }
  if (found.length <= CONSTRAINTS_MAX) return strategy === 'none' ? found.map(withoutMoving) : found
  const problem = `the microservice has ${found.length} constraints in all`
  refuse(place.report, fieldOf(place, 'constraints'), problem, `at most ${CONSTRAINTS_MAX}`)
  return found.slice(0, CONSTRAINTS_MAX)
}

/** Of spec.ts, which no entry of the descriptor may exceed together with the others. */
const CONSTRAINTS_MAX = 64

/** No device is in two circles that do not touch. */
function warnApart(place: Place, found: readonly Constraint[]): void {
  const circles = found.flatMap(({ geo }) => geo ?? [])
  const apart = circles.some((one, index) =>
    circles.slice(index + 1).some((other) => distanceKm(one.place, other.place) > one.radiusKm + other.radiusKm),
  )
  const problem = 'no device can be within two places that are farther apart than their thresholds: all entries hold'
  if (apart) warn(place.report, fieldOf(place, 'constraints'), problem)
}

/** A rigidness of 0 lets the instance stay whatever is measured; where it is placed first still counts. */
function withoutMoving({ geo, latency, bandwidth, ...constraint }: Constraint): Constraint {
  return {
    ...constraint,
    ...(geo !== undefined && { geo: { ...geo, rigidness: 0 } }),
    ...(latency !== undefined && { latency: { ...latency, rigidness: 0 } }),
    ...(bandwidth !== undefined && { bandwidth: { ...bandwidth, rigidness: 0 } }),
  }
}

const ONLY_IN_CONTAINERS = ['privileged', 'volumes', 'devices'] as const

function checkRuntimeNeeds(place: Place, spec: ServiceSpec): void {
  const { report } = place
  if (spec.runtime === 'process') {
    if ([...(spec.entrypoint ?? []), ...spec.command].length === 0 && !isRefused(report, fieldOf(place, 'cmd'))) {
      const expected = 'the program to run and its arguments, e.g. ["node", "server.js"]'
      refuse(report, fieldOf(place, 'cmd'), 'is missing', expected)
    }
    for (const key of ONLY_IN_CONTAINERS)
      if (isSet(place.raw[key])) warn(report, fieldOf(place, key), 'has no effect on a process')
  }
  if (spec.runtime === 'docker' && spec.code === '' && !isRefused(report, fieldOf(place, 'code'))) {
    const expected = 'an image, e.g. docker.io/library/nginx:alpine (or "virtualization": "process")'
    refuse(report, fieldOf(place, 'code'), 'is missing', expected)
  }
}

export function checkSize(place: Place, spec: ServiceSpec): void {
  const size = encodeSpec(spec).length
  if (size <= SPEC_BYTES_MAX) return
  const expected = `at most ${SPEC_BYTES_MAX} bytes: shorten the environment`
  refuse(place.report, place.path, `takes ${size} bytes as a record`, expected)
}

// A descriptor as people write it (Oakestra SLA v2.0 JSON and our additions) becomes the canonical form of its
// services, or a list of everything that is wrong with it. All findings at once; nothing is dropped in silence.

import { SPEC_BYTES_MAX } from '../services-registry/record.ts'
import { readCallers } from './descriptor-callers.ts'
import {
  readCommand,
  readDuration,
  readEnvironment,
  readHealthcheck,
  readLabels,
  readPorts,
  readRestart,
  readVolumes,
} from './descriptor-fields.ts'
import { APPLICATION_KEYS, checkKeys, MICROSERVICE_KEYS, ROOT_KEYS } from './descriptor-keys.ts'
import {
  type FieldError,
  type FieldWarning,
  fieldOf,
  isObject,
  isRefused,
  isSet,
  NO_LABEL,
  type Place,
  type Report,
  readFlag,
  readLabel,
  readNumber,
  readObjects,
  readText,
  refuse,
  show,
  warn,
} from './descriptor-report.ts'
import { readJson } from './json.ts'
import { parseSelector } from './selector.ts'
import { type Constraint, encodeSpec, type ServiceSpec, SPEC_DEFAULTS, serviceIdOf } from './spec.ts'

/** Characters of a descriptor, applications in it and microservices in one. Far above any real one. */
export const DESCRIPTOR_CHARS_MAX = 512 * 1_024
export const APPLICATIONS_MAX = 64
export const MICROSERVICES_MAX = 256

/**
 * What holds where a descriptor says nothing; README.md repeats this table. The amounts are guesses for small devices.
 */
export const DESCRIPTOR_DEFAULTS = {
  virtualization: 'container',
  memoryMb: 64,
  vcpus: 0.1,
  vgpus: 0,
  storageMb: 0,
  replicas: 1,
  priority: 100,
  stopGraceMs: 10_000,
} as const

export interface ParsedDescriptor {
  readonly valid: boolean
  readonly errors: readonly FieldError[]
  readonly warnings: readonly FieldWarning[]
  /** Empty unless valid. */
  readonly services: readonly ServiceSpec[]
}

/** Reads and checks a descriptor. Never throws. */
export function parseDescriptor(text: string): ParsedDescriptor {
  const report: Report = { errors: [], warnings: [] }
  const services = readDescriptor(report, text)
  const valid = report.errors.length === 0
  return { valid, errors: report.errors, warnings: report.warnings, services: valid ? services : [] }
}

function readDescriptor(report: Report, text: string): readonly ServiceSpec[] {
  if (text.length > DESCRIPTOR_CHARS_MAX) {
    refuse(report, '$', `the descriptor has ${text.length} characters`, `at most ${DESCRIPTOR_CHARS_MAX} characters`)
    return []
  }
  const json = readJson(text)
  if (!json.ok) {
    const { line, column, problem } = json.error
    refuse(report, '$', `not JSON: line ${line}, column ${column}: ${problem}`, 'an SLA descriptor in JSON')
    return []
  }
  if (!isObject(json.value)) {
    refuse(report, '$', `${show(json.value)} is no descriptor`, 'an object with "applications"')
    return []
  }
  const root: Place = { report, path: '$', raw: json.value }
  checkKeys(root, ROOT_KEYS)
  checkVersion(root)
  const applications = readObjects(root, 'applications', APPLICATIONS_MAX)
  if (applications.length === 0 && report.errors.length === 0) {
    refuse(report, '$.applications', 'is missing or empty', 'a list with at least one application')
  }
  const found = applications.flatMap(readApplication)
  reportTwins(report, found)
  return found.map(({ spec }) => spec)
}

function checkVersion(root: Place): void {
  const version = root.raw.sla_version
  if (version === undefined || version === 'v2.0' || version === '2.0' || version === 2) return
  warn(root.report, '$.sla_version', `${show(version)} is read as v2.0, the version that is understood`)
}

interface Located {
  readonly path: string
  readonly spec: ServiceSpec
}

function readApplication(place: Place): readonly Located[] {
  checkKeys(place, APPLICATION_KEYS)
  const app = readLabel(place, 'application_name')
  const appNamespace = readLabel(place, 'application_namespace')
  const microservices = readObjects(place, 'microservices', MICROSERVICES_MAX)
  if (!Array.isArray(place.raw.microservices) || place.raw.microservices.length === 0) {
    refuse(
      place.report,
      fieldOf(place, 'microservices'),
      'is missing or empty',
      'a list with at least one microservice',
    )
  }
  return microservices.map((inner) => ({ path: inner.path, spec: readMicroservice(inner, app, appNamespace) }))
}

function reportTwins(report: Report, found: readonly Located[]): void {
  const first = new Map<string, string>()
  for (const { path, spec } of found) {
    const id = serviceIdOf(spec)
    const twin = first.get(id)
    if (id.split('.').includes(NO_LABEL)) continue
    if (twin === undefined) first.set(id, path)
    else refuse(report, path, `is ${id}, and so is ${twin}`, 'a name and namespace that no other microservice has')
  }
}

function readMicroservice(place: Place, app: string, appNamespace: string): ServiceSpec {
  checkKeys(place, MICROSERVICE_KEYS)
  const defaults = DESCRIPTOR_DEFAULTS
  const runtime = readRuntime(place)
  const ports = readPorts(place, 'port')
  const amount = (key: string, fallback: number, unit: string, max: number): number =>
    readNumber(place, key, { fallback, min: 0, max, whole: false, unit })
  const spec: ServiceSpec = {
    app,
    appNamespace,
    name: readLabel(place, 'microservice_name'),
    namespace: readLabel(place, 'microservice_namespace'),
    kind: 'service',
    runtime,
    code: readText(place, 'code', 1_024),
    command: [...readCommand(place, 'cmd'), ...readCommand(place, 'args')],
    ...SPEC_DEFAULTS,
    environment: readEnvironment(place, 'environment'),
    memoryMb: amount('memory', defaults.memoryMb, 'MB', 1e9),
    vcpus: amount('vcpus', defaults.vcpus, 'cores', 1e5),
    vgpus: amount('vgpus', defaults.vgpus, 'gpus', 1e4),
    storageMb: amount('storage', defaults.storageMb, 'MB', 1e12),
    ports,
    volumes: readVolumes(place, 'volumes'),
    privileged: readFlag(place, 'privileged'),
    callers: readCallers(place, 'callers'),
    replicas: readNumber(place, 'replicas', {
      fallback: defaults.replicas,
      min: 0,
      max: 10_000,
      whole: true,
      unit: '',
    }),
    restart: readRestart(place, readFlag(place, 'one_shot')),
    healthcheck: readHealthcheck(place, ports),
    stopGraceMs: readDuration(place, 'stop_grace', { fallbackMs: defaults.stopGraceMs, minMs: 0, maxMs: 600_000 }),
    priority: readNumber(place, 'priority', { fallback: defaults.priority, min: 0, max: 1_000, whole: true, unit: '' }),
    labels: readLabels(place, 'labels'),
    constraints: readObjects(place, 'constraints', 64).flatMap(readConstraint),
  }
  checkKind(place)
  checkRuntimeNeeds(place, spec)
  const size = encodeSpec(spec).length
  if (size > SPEC_BYTES_MAX) {
    refuse(
      place.report,
      place.path,
      `takes ${size} bytes as a record`,
      `at most ${SPEC_BYTES_MAX} bytes: shorten the environment`,
    )
  }
  return spec
}

const WITHOUT_DRIVER = ['unikernel', 'wasm', 'vm']

function readRuntime(place: Place): string {
  const raw = readText(place, 'virtualization', 32).toLowerCase() || DESCRIPTOR_DEFAULTS.virtualization
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

function checkKind(place: Place): void {
  const kind = place.raw.kind
  if (kind === undefined || kind === null || kind === '' || kind === 'service') return
  const later = kind === 'job' || kind === 'daemon'
  const problem = later ? `"${kind}" is not supported yet` : `${show(kind)} is no kind of microservice`
  refuse(place.report, fieldOf(place, 'kind'), problem, 'service (or nothing)')
}

function checkRuntimeNeeds(place: Place, spec: ServiceSpec): void {
  const { report } = place
  if (spec.runtime === 'process') {
    if (spec.command.length === 0 && !isRefused(report, fieldOf(place, 'cmd'))) {
      refuse(
        report,
        fieldOf(place, 'cmd'),
        'is missing',
        'the program to run and its arguments, e.g. ["node", "server.js"]',
      )
    }
    if (spec.privileged) warn(report, fieldOf(place, 'privileged'), 'has no effect on a process')
    if (spec.volumes.length > 0) warn(report, fieldOf(place, 'volumes'), 'has no effect on a process')
  }
  if (spec.runtime === 'docker' && spec.code === '' && !isRefused(report, fieldOf(place, 'code'))) {
    const expected = 'an image, e.g. docker.io/library/nginx:alpine (or "virtualization": "process")'
    refuse(report, fieldOf(place, 'code'), 'is missing', expected)
  }
}

function readConstraint(place: Place): readonly Constraint[] {
  const { report, raw } = place
  switch (raw.type) {
    case 'direct': {
      warnUnknown(place, ['type', 'node', 'cluster'])
      const node = readSelector(place, 'node')
      const cluster = readSelector(place, 'cluster')
      if (node !== null || cluster !== null) return [{ kind: 'direct', node, cluster, clusters: [] }]
      if (report.errors.length === 0) warn(report, place.path, 'names neither a node nor a cluster and has no effect')
      return []
    }
    case 'clusters': {
      const key = ['allowed', 'clusters', 'cluster'].find((name) => isSet(raw[name])) ?? 'allowed'
      warnUnknown(place, ['type', 'allowed', 'clusters', 'cluster'])
      const clusters = readClusterList(place, key)
      return clusters.length === 0 ? [] : [{ kind: 'clusters', node: null, cluster: null, clusters }]
    }
    case 'geo':
    case 'latency':
      warn(report, place.path, `a "${raw.type}" constraint is accepted but not enforced yet`)
      return []
    default:
      refuse(
        report,
        fieldOf(place, 'type'),
        `${show(raw.type)} is no type of constraint`,
        'direct, clusters, geo or latency',
      )
      return []
  }
}

function warnUnknown(place: Place, known: readonly string[]): void {
  checkKeys(place, Object.fromEntries(known.map((key) => [key, 'enforced'])))
}

function readSelector(place: Place, key: string): string | null {
  const source = readText(place, key, 512)
  if (source === '') return null
  const parsed = parseSelector(source)
  if (parsed.ok) return source
  const { at, problem } = parsed.error
  const expected = 'names, "*", /regex/, label=value, "!" for not, a space for and, "," for or'
  refuse(place.report, fieldOf(place, key), `at character ${at + 1} of ${show(source)}: ${problem}`, expected)
  return null
}

function readClusterList(place: Place, key: string): readonly string[] {
  const raw = place.raw[key]
  const items = typeof raw === 'string' ? [raw] : raw
  const field = fieldOf(place, key)
  if (!Array.isArray(items) || items.length === 0 || items.length > 64) {
    refuse(
      place.report,
      field,
      `${show(raw)} is no list of clusters`,
      'a list of 1 to 64 cluster selectors, e.g. ["berlin"]',
    )
    return []
  }
  return items.flatMap((_, index) => {
    const inner: Place = { report: place.report, path: field, raw: { [String(index)]: items[index] } }
    const selector = readSelector(inner, String(index))
    return selector === null ? [] : [selector.slice(0, 256)]
  })
}

// A descriptor as people write it (Oakestra SLA v2.0 JSON and our additions) becomes the canonical form of its
// services, or a list of everything that is wrong with it. All findings at once; nothing is dropped in silence.

import type { ServiceId } from '../overlay/kernel/ids.ts'
import { readCompose } from './compose.ts'
import {
  composeText,
  environmentFiles,
  isCompose,
  NOWHERE,
  type Surroundings,
  settleCompose,
} from './compose-settle.ts'
import type { Variables } from './compose-variables.ts'
import { readKey } from './descriptor-field.ts'
import { checkKeys } from './descriptor-keys.ts'
import { type Application, readMicroservice } from './descriptor-microservice.ts'
import {
  type FieldError,
  type FieldWarning,
  fieldOf,
  isObject,
  NO_LABEL,
  type Place,
  type Report,
  refuse,
  show,
  warn,
} from './descriptor-report.ts'
import type { Sibling } from './descriptor-siblings.ts'
import { APPLICATION_KEYS, ROOT_KEYS } from './descriptor-tables.ts'
import { type PlainText, readText } from './descriptor-text.ts'
import { type ServiceSpec, serviceIdOf } from './spec.ts'

export interface ParsedDescriptor {
  readonly valid: boolean
  readonly errors: readonly FieldError[]
  readonly warnings: readonly FieldWarning[]
  /** Empty unless valid. */
  readonly services: readonly ServiceSpec[]
  /** The same descriptor as a text that needs no surroundings, for another device. */
  readonly settled: string
}

/**
 * Reads and checks a descriptor: Oakestra's SLA in JSON or YAML, or a Compose file. Never throws. `surroundings` is for
 * Compose files that are not settled (compose-settle.ts).
 */
export function parseDescriptor(text: string, surroundings: Surroundings = NOWHERE): ParsedDescriptor {
  const report: Report = { errors: [], warnings: [] }
  const { value, lineOf } = readText(report, text)
  const settled = isCompose(value) ? settleCompose(report, value, surroundings) : null
  const found =
    settled !== null
      ? readCompose({ report, path: '$', raw: settled })
      : report.errors.length === 0
        ? readSla(report, value)
        : []
  reportTwins(report, found)
  reportCircles(report, found)
  const valid = report.errors.length === 0
  return {
    valid,
    errors: report.errors.map((error) => withLine(error, lineOf)),
    warnings: report.warnings.map((warning) => withLine(warning, lineOf)),
    services: valid ? found.map(({ spec }) => spec) : [],
    settled: settled === null ? text : composeText(settled),
  }
}

/** The environment files that a Compose file names with these variables; null where the text is no Compose file. */
export function environmentFilesOf(text: string, variables: Variables): readonly string[] | null {
  const { value } = readText({ errors: [], warnings: [] }, text)
  return isCompose(value) ? environmentFiles(value, variables) : null
}

function withLine<T extends FieldWarning>(finding: T, lineOf: PlainText['lineOf']): T {
  const line = finding.line ?? lineOf(finding.field)
  return line === undefined ? finding : { ...finding, line }
}

function readSla(report: Report, value: unknown): readonly Located[] {
  if (isObject(value)) return readApplications({ report, path: '$', raw: value })
  refuse(report, '$', `${show(value)} is no descriptor`, 'an object with "applications", or with "services" (Compose)')
  return []
}

function readApplications(root: Place): readonly Located[] {
  checkKeys(root, 'root', ROOT_KEYS)
  checkVersion(root)
  const applications = readKey(root, ROOT_KEYS, 'applications')
  if (applications.length === 0 && root.report.errors.length === 0) {
    refuse(root.report, '$.applications', 'is missing or empty', 'a list with at least one application')
  }
  return applications.flatMap(readApplication)
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
  checkKeys(place, 'application', APPLICATION_KEYS)
  const microservices = readKey(place, APPLICATION_KEYS, 'microservices')
  if (!Array.isArray(place.raw.microservices) || place.raw.microservices.length === 0) {
    const expected = 'a list with at least one microservice'
    refuse(place.report, fieldOf(place, 'microservices'), 'is missing or empty', expected)
  }
  const application: Application = {
    app: readKey(place, APPLICATION_KEYS, 'application_name'),
    appNamespace: readKey(place, APPLICATION_KEYS, 'application_namespace'),
    autonomy: readKey(place, APPLICATION_KEYS, 'autonomy'),
    all: microservices.map(siblingOf),
  }
  return microservices.map((inner) => ({ path: inner.path, spec: readMicroservice(inner, application) }))
}

/** What others may call it; what is wrong with its names is reported where it is read itself. */
function siblingOf({ raw }: Place): Sibling {
  const text = (key: string): string => (typeof raw[key] === 'string' ? raw[key].trim() : '')
  return {
    id: text('microserviceID') || (typeof raw.microserviceID === 'number' ? String(raw.microserviceID) : ''),
    name: text('microservice_name').toLowerCase(),
    namespace: text('microservice_namespace').toLowerCase(),
  }
}

/** Services that wait for each other would never start. */
function reportCircles(report: Report, found: readonly Located[]): void {
  const dependencies = new Map(found.map(({ spec }) => [serviceIdOf(spec), spec.dependsOn] as const))
  const reaches = (from: ServiceId, to: ServiceId, seen: Set<ServiceId>): boolean =>
    (dependencies.get(from) ?? []).some((next) => {
      if (next === to) return true
      if (seen.has(next)) return false
      seen.add(next)
      return reaches(next, to, seen)
    })
  for (const { path, spec } of found) {
    const id = serviceIdOf(spec)
    if (reaches(id, id, new Set()))
      refuse(report, `${path}.depends_on`, 'leads back to the service itself', 'dependencies without a circle')
  }
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

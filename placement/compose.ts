// A Compose file becomes the same canonical services as an SLA does: each service is said in the words of the SLA and
// read by the same rules, and what is found there is told with the path in the Compose file.

import {
  APP_NAMESPACE_LABEL,
  awaitedEnds,
  COMPOSE_PATHS,
  composeService,
  NAMESPACE_LABEL,
  type Project,
} from './compose-service.ts'
import { labelOf, warnUnsupported } from './compose-values.ts'
import { composeVolumeNames } from './compose-volumes.ts'
import type { Application } from './descriptor-microservice.ts'
import { readMicroservice } from './descriptor-microservice.ts'
import {
  childPath,
  isObject,
  isSet,
  NO_LABEL,
  type Place,
  type Report,
  readLabel,
  refuse,
  show,
  textOf,
  warn,
} from './descriptor-report.ts'
import type { Sibling } from './descriptor-siblings.ts'
import type { ServiceSpec } from './spec.ts'

/** Services in a Compose file. Far above any real one. */
const SERVICES_MAX = 256

const ROOT = ['name', 'version', 'services', 'volumes']
const ROOT_UNSUPPORTED = ['networks', 'configs', 'secrets', 'include', 'models']

export interface ComposedService {
  readonly path: string
  readonly spec: ServiceSpec
}

/** The services of a Compose file whose variables are filled in (compose-settle.ts). */
export function readCompose(root: Place): readonly ComposedService[] {
  warnUnsupported(root, ROOT, ROOT_UNSUPPORTED)
  const services = Object.entries(root.raw.services as Readonly<Record<string, unknown>>)
  if (services.length === 0 || services.length > SERVICES_MAX) {
    const problem = services.length === 0 ? 'is empty' : `names ${services.length} services`
    refuse(root.report, '$.services', problem, `1 to ${SERVICES_MAX} services`)
    return []
  }
  const app = projectLabel(root)
  const wanted = services.flatMap(([name, raw]) => {
    const path = childPath('$.services', name)
    if (!isObject(raw)) refuse(root.report, path, `${show(raw)} is no service`, 'an object with an "image"')
    else if (Array.isArray(raw.profiles) && raw.profiles.length > 0)
      warn(root.report, `${path}.profiles`, 'the service belongs to a profile and is left out')
    else return [{ name, place: { report: root.report, path, raw } }]
    return []
  })
  warnUncallable(wanted)
  const project: Project = {
    name: textOf(root.raw.name),
    volumes: composeVolumeNames(root, textOf(root.raw.name)),
    jobs: new Set(wanted.flatMap(({ place }) => awaitedEnds(place))),
  }
  const all = wanted.map(({ name, place }) => siblingOf(name, place))
  return wanted.map(({ name, place }) => ({
    path: place.path,
    spec: readService(place, name, project, {
      app,
      appNamespace: labelIn(place, APP_NAMESPACE_LABEL),
      autonomy: 'automatic',
      all,
    }),
  }))
}

/** In Docker's networks all ports of a container can be called, here those that are declared. */
function warnUncallable(services: readonly { readonly name: string; readonly place: Place }[]): void {
  for (const { name, place } of services) {
    const isCalled = services.some(({ place: { raw } }) =>
      (Array.isArray(raw.depends_on)
        ? raw.depends_on
        : Object.keys(isObject(raw.depends_on) ? raw.depends_on : {})
      ).includes(name),
    )
    if (isCalled && !isSet(place.raw.ports) && !isSet(place.raw.expose))
      warn(place.report, place.path, 'declares no port, so that nobody can call it: name one under "expose"')
  }
}

function projectLabel(root: Place): string {
  const { name } = root.raw
  if (name === undefined || name === null) {
    const expected = 'a name for the application, e.g. "name: shop" (the CLI takes the folder of the file)'
    refuse(root.report, '$.name', 'is missing', expected)
    return NO_LABEL
  }
  return readLabel({ ...root, raw: { name: typeof name === 'string' ? labelOf(name) : name } }, 'name')
}

const siblingOf = (name: string, place: Place): Sibling => ({
  id: '',
  name: labelOf(name),
  namespace: labelIn(place, NAMESPACE_LABEL),
})

/** A label of ours, or the default for it. */
function labelIn({ raw }: Place, label: string): string {
  const { labels } = raw
  const listed = Array.isArray(labels) ? labels.find((item) => textOf(item).startsWith(`${label}=`)) : undefined
  const named = isObject(labels) ? labels[label] : listed?.slice(label.length + 1)
  return named === undefined || named === null || named === '' ? 'default' : textOf(named).toLowerCase()
}

function readService(place: Place, name: string, project: Project, application: Application): ServiceSpec {
  const fields = composeService(place, name, project)
  if (fields.microservice_name !== name)
    warn(place.report, place.path, `is called ${String(fields.microservice_name)} in addresses`)
  const inner: Report = { errors: [], warnings: [] }
  const spec = readMicroservice({ report: inner, path: place.path, raw: fields }, application)
  for (const error of inner.errors) place.report.errors.push({ ...error, field: composePath(place.path, error.field) })
  for (const warning of inner.warnings)
    place.report.warnings.push({ ...warning, field: composePath(place.path, warning.field) })
  return spec
}

/** Where in the Compose file that stands which was found under a key of the SLA. */
function composePath(service: string, field: string): string {
  const inner = field.slice(service.length + 1)
  if (inner === '' || inner === 'microservice_name') return service
  const key = Object.keys(COMPOSE_PATHS).find((name) => new RegExp(`^${name}(?![\\w])`).test(inner))
  return key === undefined ? field : `${service}.${COMPOSE_PATHS[key]}${inner.slice(key.length)}`
}

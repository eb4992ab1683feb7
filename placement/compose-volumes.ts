// Volumes of a Compose service in Docker's notation. A named volume carries the project's name, as Docker Compose has
// it, so that two projects on one device share none by chance.

import { itemsAt, objectAt, warnUnsupported } from './compose-values.ts'
import { childPath, isObject, isOpen, type Place, refuse, show, textOf, warn } from './descriptor-report.ts'

/** The volumes of the project by the name in the file: what each is called on the device. */
export function composeVolumeNames(root: Place, project: string): ReadonlyMap<string, string> {
  const volumes = objectAt(root, 'volumes')
  const names = Object.entries(volumes.raw).map(([key, raw]) => {
    const options = isObject(raw) ? raw : {}
    const isExternal = options.external === true || isObject(options.external)
    const named = typeof options.name === 'string' && options.name !== '' ? options.name : null
    const isLocal = options.driver === 'local' || isOpen(options.driver)
    const place: Place = { report: root.report, path: childPath(volumes.path, key), raw: options }
    warnUnsupported(place, ['name', 'external', ...(isLocal ? ['driver'] : [])], ['driver', 'driver_opts', 'labels'])
    return [key, named ?? (isExternal ? key : `${project}_${key}`)] as const
  })
  return new Map(names)
}

const EXPECTED = '"data:/var/lib/data", "/srv/data:/data:ro", or {type: volume, source: data, target: /var/lib/data}'

const OPTIONS = ['bind', 'volume', 'tmpfs', 'image', 'consistency']

/** `service` names volumes that nobody named. */
export function composeVolumes(
  place: Place,
  names: ReadonlyMap<string, string>,
  project: string,
  service: string,
): readonly string[] {
  return itemsAt(place, 'volumes').flatMap(({ path, raw }) => {
    const mount = isObject(raw) ? longForm(raw) : shortForm(raw)
    if (isObject(raw)) warnUnsupported({ ...place, path, raw }, ['type', 'source', 'target', 'read_only'], OPTIONS)
    if (mount === null) {
      refuse(place.report, path, `${show(raw)} is no volume`, EXPECTED)
      return []
    }
    const { kind, source, target, options } = mount
    if (kind === 'other') {
      warn(place.report, path, `a ${show(isObject(raw) ? raw.type : raw)} mount is not supported and has no effect`)
      return []
    }
    const suffix = options === '' ? '' : `:${options}`
    if (source === '') {
      const anonymous = `${project}_${service}${target.replace(/[^A-Za-z0-9_.-]+/g, '_').replace(/_+$/, '')}`
      return [`${anonymous}:${target}${suffix}`]
    }
    if (source.startsWith('/')) {
      warn(place.report, path, `${source} is a folder of the device that runs the instance, and has to exist there`)
      return [`${source}:${target}${suffix}`]
    }
    const name = names.get(source)
    if (name === undefined)
      refuse(place.report, path, `there is no volume "${source}"`, `"${source}" under "volumes", or a path`)
    return [`${name ?? source}:${target}${suffix}`]
  })
}

interface Mount {
  readonly kind: 'mount' | 'other'
  readonly source: string
  readonly target: string
  readonly options: string
}

function shortForm(raw: unknown): Mount | null {
  const parts = typeof raw === 'string' ? raw.split(':') : []
  const [first = '', second, options = ''] = parts
  if (parts.length === 0 || parts.length > 3 || first === '') return null
  if (second === undefined)
    return first.startsWith('/') ? { kind: 'mount', source: '', target: first, options: '' } : null
  return second.startsWith('/') ? { kind: 'mount', source: first, target: second, options } : null
}

function longForm(raw: Readonly<Record<string, unknown>>): Mount | null {
  const { type, source, target } = raw
  if (typeof target !== 'string' || !target.startsWith('/')) return null
  const kind = isOpen(type) || type === 'volume' || type === 'bind' ? 'mount' : 'other'
  if (type === 'bind' && (typeof source !== 'string' || !source.startsWith('/'))) return null
  return { kind, source: textOf(source), target, options: raw.read_only === true ? 'ro' : '' }
}

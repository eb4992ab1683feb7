// Services that a descriptor names: others of the same application, by microserviceID, by name, by name and namespace
// or by the whole id. One that is not in this descriptor may have been deployed before, so it is a warning only.

import type { ServiceId } from '../overlay/kernel/ids.ts'
import { type Field, honoured, orOpen } from './descriptor-field.ts'
import { fieldOf, isOpen, NO_LABEL, type Place, refuse, show, warn } from './descriptor-report.ts'

export interface Sibling {
  /** The `microserviceID`, which may be empty. */
  readonly id: string
  readonly name: string
  readonly namespace: string
}

export interface Siblings {
  readonly app: string
  readonly appNamespace: string
  readonly self: Sibling
  readonly all: readonly Sibling[]
}

const NAMES_MAX = 32
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const NAME_AND_NAMESPACE = new RegExp(`^(${LABEL})(?:\\.(${LABEL}))?$`)

/** Names of services in a list, or one. */
export const serviceNames = (about: string): Field<readonly { readonly field: string; readonly name: string }[]> => {
  const listed = { type: 'array', maxItems: NAMES_MAX, items: { type: 'string', minLength: 1 } }
  return honoured(about, orOpen({ type: 'string' }, listed), (place, key) => {
    const raw = place.raw[key]
    if (isOpen(raw)) return []
    const field = fieldOf(place, key)
    if (typeof raw === 'string') return [{ field, name: raw }]
    const isList = Array.isArray(raw) && raw.length <= NAMES_MAX
    if (isList && raw.every((name) => typeof name === 'string' && name !== ''))
      return raw.map((name, index) => ({ field: `${field}[${index}]`, name }))
    refuse(place.report, field, `${show(raw)} is no list of services`, `a list of at most ${NAMES_MAX} names`)
    return []
  })
}

export const siblingId = ({ app, appNamespace }: Siblings, { name, namespace }: Sibling): ServiceId =>
  `${app}.${appNamespace}.${name}.${namespace}` as ServiceId

/** The service of this descriptor that is meant, null where there is none. */
export function findSibling(siblings: Siblings, meant: string): ServiceId | null {
  const text = meant.trim().toLowerCase()
  const { self, all } = siblings
  const found =
    all.find(({ id }) => id !== '' && id === meant.trim()) ??
    all.find(({ name, namespace }) => name === text && namespace === self.namespace) ??
    all.find((one) => one.name === text || `${one.name}.${one.namespace}` === text) ??
    all.find((one) => siblingId(siblings, one) === text)
  return found === undefined ? null : siblingId(siblings, found)
}

/** The service that is meant, here or deployed elsewhere; null, with an error, where the text is no name. */
export function resolveService(place: Place, field: string, siblings: Siblings, meant: string): ServiceId | null {
  const found = findSibling(siblings, meant)
  const self = siblingId(siblings, siblings.self)
  if (found === self) {
    refuse(place.report, field, `${show(meant)} is the microservice itself`, 'another microservice of the application')
    return null
  }
  if (found !== null) return found
  const match = NAME_AND_NAMESPACE.exec(meant.trim().toLowerCase())
  if (match === null) {
    const known = siblings.all.map(({ name }) => name).filter((name) => name !== siblings.self.name)
    const expected = `a microservice of the application${known.length > 0 ? `: ${known.join(', ')}` : ''}`
    refuse(place.report, field, `${show(meant)} names no microservice`, expected)
    return null
  }
  const { app, appNamespace, self: own } = siblings
  const id = siblingId(siblings, { id: '', name: match[1] as string, namespace: match[2] ?? own.namespace })
  if (![app, appNamespace, own.namespace].includes(NO_LABEL))
    warn(place.report, field, `no microservice here is called ${show(meant)}: taken for ${id}`)
  return id
}

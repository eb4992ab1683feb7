// `callers` in a descriptor: which namespaces besides its own may call a service (overlay/callers.ts).

import { fieldOf, type Place, refuse, show } from './descriptor-report.ts'
import { CALLERS_MAX } from './spec.ts'

const namespacePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const EXPECTED = 'namespaces, "app.namespace", or "*" for all, e.g. ["billing", "shop.test"]'

/** A text or a list of texts; each is a namespace, `app.namespace`, or `*`. Nobody else where it is left out. */
export function readCallers(place: Place, key: string): readonly string[] {
  const raw = place.raw[key]
  if (raw === undefined || raw === null || raw === '') return []
  const items: readonly unknown[] = Array.isArray(raw) ? raw : [raw]
  if (items.length > CALLERS_MAX) {
    refuse(place.report, fieldOf(place, key), `has ${items.length} entries`, `at most ${CALLERS_MAX}`)
    return []
  }
  return items.flatMap((item, index) => {
    const text = typeof item === 'string' ? item.trim().toLowerCase() : ''
    const labels = text.split('.')
    if (text === '*' || (labels.length <= 2 && labels.every((label) => namespacePattern.test(label)))) return [text]
    const field = Array.isArray(raw) ? `${fieldOf(place, key)}[${index}]` : fieldOf(place, key)
    refuse(place.report, field, `${show(item)} is no namespace`, EXPECTED)
    return []
  })
}

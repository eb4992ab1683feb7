// `callers` in a descriptor: which namespaces besides its own may call a service (overlay/callers.ts).

import { type Field, honoured, orOpen } from './descriptor-field.ts'
import { fieldOf, isOpen, type Place, refuse, show } from './descriptor-report.ts'
import { CALLERS_MAX } from './spec.ts'

const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
const CALLER = `^\\s*(?:\\*|${LABEL}(?:\\.${LABEL})?)\\s*$`
const isCaller = new RegExp(CALLER)
const EXPECTED = 'namespaces, "app.namespace", or "*" for all, e.g. ["billing", "shop.test"]'

/** A text or a list of texts; each is a namespace, `app.namespace`, or `*`. Nobody else where it is left open. */
export const callers = (about: string): Field<readonly string[]> => {
  const one = { type: 'string', pattern: CALLER }
  return honoured(about, orOpen(one, { type: 'array', maxItems: CALLERS_MAX, items: one }), readCallers)
}

function readCallers(place: Place, key: string): readonly string[] {
  const raw = place.raw[key]
  if (isOpen(raw)) return []
  const items: readonly unknown[] = Array.isArray(raw) ? raw : [raw]
  if (items.length > CALLERS_MAX) {
    refuse(place.report, fieldOf(place, key), `has ${items.length} entries`, `at most ${CALLERS_MAX}`)
    return []
  }
  return items.flatMap((item, index) => {
    if (typeof item === 'string' && isCaller.test(item)) return [item.trim().toLowerCase()]
    const field = Array.isArray(raw) ? `${fieldOf(place, key)}[${index}]` : fieldOf(place, key)
    refuse(place.report, field, `${show(item)} is no namespace`, EXPECTED)
    return []
  })
}

// `secrets` in a descriptor: by name only. What they are is on the operator's devices, and never in a descriptor.

import { type Field, honoured, orOpen } from './descriptor-field.ts'
import { fieldOf, isObject, isOpen, type Place, refuse, show } from './descriptor-report.ts'
import { SECRETS_MAX, type SecretUse } from './spec.ts'

/** As `coppice secret set` takes it, and as a file is called. */
export const SECRET_NAME = '[A-Za-z0-9][A-Za-z0-9._-]{0,62}'
const isName = new RegExp(`^${SECRET_NAME}$`)
const VARIABLE = '[A-Za-z_][A-Za-z0-9_]{0,126}'
const isVariable = new RegExp(`^${VARIABLE}$`)
const EXPECTED = 'names, as ["db-password", {"name": "api-key", "environment": "API_KEY"}]'

/** Names, each a file of that name; or with the variable that holds it. */
export const secrets = (about: string): Field<readonly SecretUse[]> => {
  const name = { type: 'string', pattern: `^${SECRET_NAME}$` }
  const environment = { type: ['string', 'null'], pattern: `^${VARIABLE}$` }
  const use = { type: 'object', properties: { name, environment }, required: ['name'] }
  return honoured(about, orOpen({ type: 'array', maxItems: SECRETS_MAX, items: { anyOf: [name, use] } }), readSecrets)
}

function readSecrets(place: Place, key: string): readonly SecretUse[] {
  const raw = place.raw[key]
  if (isOpen(raw)) return []
  const field = fieldOf(place, key)
  if (!Array.isArray(raw) || raw.length > SECRETS_MAX) {
    refuse(place.report, field, `${show(raw)} is no list of secrets`, EXPECTED)
    return []
  }
  return raw.flatMap((item: unknown, index): readonly SecretUse[] => {
    const { name, environment = null } = isObject(item) ? item : { name: item }
    const isUse = typeof name === 'string' && isName.test(name)
    if (isUse && environment === null) return [{ name, environment }]
    if (isUse && typeof environment === 'string' && isVariable.test(environment)) return [{ name, environment }]
    // What stands there may be the secret itself: it is not repeated.
    refuse(place.report, `${field}[${index}]`, 'is no name of a secret', EXPECTED)
    return []
  })
}

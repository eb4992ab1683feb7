// The keys that a descriptor may have and what becomes of each: honoured, carried for people only, or understood but
// not enforced yet, which is said out loud. A key that nobody knows is met with the nearest one that somebody does.

import { fieldOf, isSet, type Place, warn } from './descriptor-report.ts'

export type Treatment = 'enforced' | 'informative' | 'not-yet'

type KeyTable = Readonly<Record<string, Treatment>>

const table = (enforced: string, informative: string, notYet: string): KeyTable =>
  Object.fromEntries([
    ...words(enforced).map((key) => [key, 'enforced'] as const),
    ...words(informative).map((key) => [key, 'informative'] as const),
    ...words(notYet).map((key) => [key, 'not-yet'] as const),
  ])

const words = (text: string): readonly string[] => text.split(' ').filter((word) => word !== '')

export const ROOT_KEYS = table('applications', 'sla_version customerID', '')
export const APPLICATION_KEYS = table(
  'application_name application_namespace microservices',
  'application_desc applicationID',
  'autonomy',
)
export const MICROSERVICE_KEYS = table(
  'microservice_name microservice_namespace virtualization cmd args memory vcpus vgpus storage code port environment ' +
    'one_shot privileged volumes constraints replicas kind restart healthcheck stop_grace priority labels callers',
  'microserviceID',
  'vtpus bandwidth_in bandwidth_out state addresses added_files sla_violation_strategy target_node connectivity ' +
    'update disconnect autonomy',
)
export const RESTART_KEYS = table('policy delay delay_max', '', '')
export const HEALTHCHECK_KEYS = table('kind type port path interval timeout retries', '', '')

/** Warns of keys that are not enforced yet and of unknown ones. */
export function checkKeys(place: Place, keys: KeyTable): void {
  for (const [key, raw] of Object.entries(place.raw)) {
    const treatment = Object.hasOwn(keys, key) ? keys[key] : undefined
    if (treatment === undefined) {
      const near = nearest(key, Object.keys(keys))
      const hint = near === null ? '' : `: did you mean "${near}"?`
      warn(place.report, fieldOf(place, key), `"${key.slice(0, 64)}" is not a known key and has no effect${hint}`)
    } else if (treatment === 'not-yet' && isSet(raw)) {
      const verb = key === 'addresses' ? 'honoured' : 'enforced'
      warn(place.report, fieldOf(place, key), `"${key}" is accepted but not ${verb} yet`)
    }
  }
}

/** The known word at most two edits away (Levenshtein), null where there is none. */
export function nearest(word: string, known: readonly string[]): string | null {
  const lower = word.toLowerCase().slice(0, 64)
  let best: string | null = null
  let bestDistance = EDITS_MAX + 1
  for (const candidate of known) {
    const distance = editDistance(lower, candidate.toLowerCase())
    if (distance < bestDistance && distance < candidate.length) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Two slips of the finger; at three, "cmd" would be taken for "code". */
const EDITS_MAX = 2

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, (previous[j] as number) + 1, (row[j - 1] as number) + 1))
    }
    previous = row
  }
  return previous[b.length] as number
}

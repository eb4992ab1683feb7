// What a domain has granted to its children: which line of a child that lost its majority is the child from then on.
// It is part of the domain's register, so every later leader knows it, and of each announcement, so everybody does.

import type { ChildId, DomainPath } from '../overlay/kernel/ids.ts'
import { err } from '../overlay/kernel/result.ts'
import { decodeBounded, encodeCbor } from '../overlay/wire/codec.ts'
import { encodeWith, type Infer, list, object, readWith, text, whole } from '../overlay/wire/schema.ts'
import { GRANTS_MAX } from './constants.ts'
import type { Register } from './register.ts'

const grantedSchema = object({
  domain: text<DomainPath>(256),
  /** The line that broke, and the one that goes on in its place. */
  of: text(32),
  line: text(32),
  epoch: whole(),
  /** The elector that begins the line. */
  child: text<ChildId>(256),
  /** Counts the grants of the domain, from 1. */
  number: whole(1),
})
export type Granted = Infer<typeof grantedSchema>

/** The newest grant of each child. */
export const grantsSchema = list(grantedSchema, GRANTS_MAX)

/** Where the register remembers them. */
export const GRANTS_KEY = 'grants'

export function grantsOf(register: Register | null): readonly Granted[] {
  const kept = decodeBounded(register?.memory[GRANTS_KEY] ?? NOTHING)
  if (!kept.ok) return []
  const read = readWith(grantsSchema, kept.value, () => err('no envelope belongs here'))
  return read.ok ? read.value : []
}
const NOTHING = encodeCbor([])

/** What to remember when one more was granted: it takes the place of the child's last one. */
export const withGrant = (before: readonly Granted[], granted: Granted): Uint8Array =>
  encodeWith(grantsSchema, [...before.filter(({ domain }) => domain !== granted.domain), granted])

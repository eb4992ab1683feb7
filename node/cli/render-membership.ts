// Invites, proposals and the charter as text for people.

import type { CharterLog, LoggedEntry } from '../../bootstrap/charter-log.ts'
import type { InviteView } from '../../bootstrap/enrolment.ts'
import type { ProposalView } from '../control-membership.ts'
import { clean, table } from './render.ts'

/** Of an entry's hash: enough to name it. */
const HASH_CHARS = 12

export function renderInvites(invites: readonly InviteView[]): string {
  if (invites.length === 0) return 'this device has made no invites'
  const rows = invites.map(({ id, domain, state, usesLeft, joined, expiresAt, node }) => [
    id,
    domain,
    state,
    `${usesLeft} of ${usesLeft + joined.length} left`,
    new Date(expiresAt).toISOString(),
    node ?? '',
  ])
  return table(['INVITE', 'DOMAIN', 'STATE', 'USES', 'EXPIRES', 'ONLY FOR'], rows)
}

export function sayProposal({ entry, kind, state, signedBy, missing }: ProposalView): string {
  const what = `${kind} ${entry.slice(0, HASH_CHARS)}, signed by ${signedBy.map(clean).join(', ')}`
  if (state === 'in-force') return `${what}, is in force`
  const more = missing === 1 ? 'one more signature' : `${missing} more signatures`
  return `${what}, waits for ${more}: \`coppice operator sign\` where another operator’s key is`
}

export function renderCharter({ name, federation, head, threshold, operators, entries, forks }: CharterLog): string {
  const rows = entries.map((entry) => [
    String(entry.seq),
    entry.hash.slice(0, HASH_CHARS),
    entry.at === null ? '' : new Date(entry.at).toISOString(),
    stateOf(entry),
    entry.signedBy.map(clean).join(', '),
    clean(entry.says),
  ])
  const who = operators.map((one) => `  ${clean(one.name)}  ${one.id}${one.key === one.id ? '' : `  now ${one.key}`}`)
  return [
    `${clean(name)}  ${federation}`,
    `head ${head}; every signature was checked`,
    `operators (${threshold} decides):`,
    ...who,
    ...(forks === 0 ? [] : [`${forks} ${forks === 1 ? 'fork' : 'forks'}: entries signed for one place; see STATE`]),
    '',
    table(['SEQ', 'ENTRY', 'AT', 'STATE', 'SIGNED BY', 'SAYS'], rows),
  ].join('\n')
}

const stateOf = ({ state, missing }: LoggedEntry): string => (state === 'waiting' ? `waiting for ${missing}` : state)

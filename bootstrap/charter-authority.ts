// Who has a say at one place of the charter, and whether an entry may stand there: each entry is judged by the
// operators that the entries before it made, and by nothing else.

import type { OperatorId } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import {
  type CharterEntry,
  type CharterFact,
  type Crypto,
  hexOf,
  isConsent,
  OPERATORS_MAX,
  operatorPublicKey,
  readFact,
  type Threshold,
} from './charter-entry.ts'

export interface Operator {
  /** Its first key: what it is called by for good. */
  readonly id: OperatorId
  /** The key that it signs with now. */
  readonly key: OperatorId
  readonly name: string
}

/** A key that ever stood for an operator. */
export interface KnownKey {
  readonly operator: OperatorId
  /** Credentials that it signed count no more. */
  readonly isDropped: boolean
}

/** The operators, from the eldest to the youngest, and how they decide. */
export interface Authority {
  readonly operators: readonly Operator[]
  readonly keys: ReadonlyMap<OperatorId, KnownKey>
  readonly threshold: Threshold
}

export interface CharterProblem {
  readonly kind:
    | 'malformed'
    | 'too-large'
    | 'empty'
    | 'bad-sequence'
    | 'broken-link'
    | 'unknown-kind'
    | 'misplaced-genesis'
    | 'bad-body'
    | 'not-an-operator'
    | 'repeated-signature'
    | 'bad-signature'
    | 'too-few-signatures'
  /** A sentence without its subject, e.g. `entry 3: …`. */
  readonly detail: string
}

/** What an entry asks for, and who has answered so far. */
export interface Standing {
  readonly fact: CharterFact
  /** Who has a say after it, once it is signed enough. */
  readonly authority: Authority
  /** Operators that signed, and how many have to; `among` when only some may. */
  readonly signed: readonly OperatorId[]
  readonly needed: number
  readonly among: readonly OperatorId[]
}

/** How many operators must sign what concerns all: more than half, two thirds, or all. */
export function signaturesNeeded(operators: number, threshold: Threshold = 'majority'): number {
  switch (threshold) {
    case 'majority':
      return Math.floor(operators / 2) + 1
    case 'two-thirds':
      return Math.ceil((operators * 2) / 3)
    case 'all':
      return operators
  }
}

/** The operator whose key this is, whether it still signs with it or not; null when it is nobody's or was dropped. */
export function operatorOfKey(authority: Pick<Authority, 'keys' | 'operators'>, key: OperatorId): OperatorId | null {
  const known = authority.keys.get(key)
  if (known === undefined || known.isDropped) return null
  return authority.operators.some(({ id }) => id === known.operator) ? known.operator : null
}

/**
 * Checks an entry, of which `payload` is signed, in its place, and what it would change; signatures may still be too
 * few (`Standing`).
 */
export function judgeEntry(
  before: Authority | null,
  entry: CharterEntry,
  payload: Uint8Array,
  crypto: Crypto,
): Result<Standing, CharterProblem> {
  const at = `entry ${entry.seq}`
  const read = readFact(entry)
  if (read === null) return refuse('unknown-kind', `${at}: this version does not know the kind "${entry.kind}"`)
  if (!read.ok) return refuse('bad-body', `${at}: ${read.error}`)
  const fact = read.value
  if ((before === null) !== (fact.kind === 'genesis')) {
    return refuse('misplaced-genesis', `${at}: a charter has one genesis, and it is its first entry`)
  }
  const after = applyFact(before, fact, crypto)
  if (!after.ok) return refuse('bad-body', `${at}: ${after.error}`)
  const { needed, among } = voicesFor(before ?? after.value, fact)
  const signed = checkSignatures(entry, payload, before ?? after.value, at, crypto)
  if (!signed.ok) return signed
  const counted = signed.value.filter((operator) => among.includes(operator))
  return ok({ fact, authority: after.value, signed: counted, needed, among })
}

export const isSignedEnough = ({ signed, needed }: Standing): boolean => signed.length >= needed

/** Who may sign, and how many must. */
function voicesFor(
  { operators, threshold }: Authority,
  fact: CharterFact,
): { readonly needed: number; readonly among: readonly OperatorId[] } {
  const all = operators.map(({ id }) => id)
  switch (fact.kind) {
    case 'genesis':
      // Nobody becomes an operator without consent.
      return { needed: all.length, among: all }
    case 'rotate':
      return { needed: 1, among: [fact.body.operator] }
    case 'revoke':
      if (fact.body.operator !== null) return { needed: 1, among: [fact.body.operator] }
      return { needed: signaturesNeeded(all.length, threshold), among: all }
    case 'remove-operator': {
      if (fact.body.isLeaving) return { needed: 1, among: [fact.body.operator] }
      const others = all.filter((id) => id !== fact.body.operator)
      // Of two, neither could ever be made to leave: the elder's word counts then.
      if (others.length === 1) return { needed: 1, among: all.slice(0, 1).filter((id) => others.includes(id)) }
      return { needed: Math.min(signaturesNeeded(all.length, threshold), others.length), among: others }
    }
    case 'admit-operator':
    case 'policy':
      return { needed: signaturesNeeded(all.length, threshold), among: all }
  }
}

/** What holds after an entry, supposing that it is signed; the error says what is wrong with it. */
function applyFact(before: Authority | null, fact: CharterFact, crypto: Crypto): Result<Authority, string> {
  if (before === null) return fact.kind === 'genesis' ? founded(fact.body.operators) : err('not a genesis')
  const { operators, keys } = before
  switch (fact.kind) {
    case 'genesis':
      return err('a second genesis')
    case 'admit-operator': {
      const { request } = fact.body.consent
      if (!isConsent(fact.body.consent, crypto)) return err(`"${request.name}" did not ask for it`)
      const known = keys.get(request.key)
      if (known !== undefined && known.operator !== request.key) return err('the key is a retired one')
      if (operators.some(({ id }) => id === request.key)) return err(`"${request.name}" is an operator already`)
      if (known?.isDropped) return err('the key was given up as lost')
      if (operators.length >= OPERATORS_MAX) return err(`at most ${OPERATORS_MAX} operators`)
      const admitted = { id: request.key, key: request.key, name: request.name }
      return ok({ ...before, operators: [...operators, admitted], keys: withKey(keys, request.key, request.key) })
    }
    case 'remove-operator': {
      const left = operators.filter(({ id }) => id !== fact.body.operator)
      if (left.length === operators.length) return err(`${fact.body.operator} is not an operator`)
      return left.length === 0 ? err('a federation has at least one operator') : ok({ ...before, operators: left })
    }
    case 'rotate': {
      const { operator, consent, isDropped } = fact.body
      const old = operators.find(({ id }) => id === operator)
      if (old === undefined) return err(`${operator} is not an operator`)
      if (!isConsent(consent, crypto)) return err('the new key did not sign')
      if (keys.has(consent.request.key)) return err('the new key was an operator’s before')
      const changed = new Map(keys)
      changed.set(old.key, { operator, isDropped }).set(consent.request.key, { operator, isDropped: false })
      const { key, name } = consent.request
      return ok({
        ...before,
        operators: operators.map((one) => (one === old ? { id: operator, key, name } : one)),
        keys: changed,
      })
    }
    case 'policy':
      return ok({ ...before, threshold: fact.body.threshold })
    case 'revoke': {
      const { operator } = fact.body
      if (operator === null || operators.some(({ id }) => id === operator)) return ok(before)
      return err(`${operator} is not an operator`)
    }
  }
}

function founded(named: readonly { readonly id: OperatorId; readonly name: string }[]): Result<Authority, string> {
  const ids = new Set(named.map(({ id }) => id))
  if (ids.size === 0 || ids.size !== named.length)
    return err('a federation has at least one operator and names each once')
  const bad = named.find(({ id }) => operatorPublicKey(id) === null)
  if (bad !== undefined) return err(`"${bad.id}" is not an operator's id`)
  return ok({
    operators: named.map(({ id, name }) => ({ id, key: id, name })),
    keys: new Map(named.map(({ id }) => [id, { operator: id, isDropped: false }])),
    threshold: 'majority',
  })
}

const withKey = (keys: Authority['keys'], key: OperatorId, operator: OperatorId): Authority['keys'] =>
  new Map(keys).set(key, { operator, isDropped: false })

/** The operators that signed; every signature that stands there must be good, so that tampering never goes unseen. */
function checkSignatures(
  entry: CharterEntry,
  payload: Uint8Array,
  { operators }: Authority,
  at: string,
  crypto: Crypto,
): Result<readonly OperatorId[], CharterProblem> {
  const signers = new Set<OperatorId>()
  for (const { key, signature } of entry.signatures) {
    const operator = operators.find((known) => known.key === key)
    const raw = operatorPublicKey(key)
    if (operator === undefined || raw === null) {
      return refuse('not-an-operator', `${at}: signed by ${key}, which is no operator's key at that place`)
    }
    if (signers.has(operator.id)) return refuse('repeated-signature', `${at}: ${operator.id} signed twice`)
    signers.add(operator.id)
    if (!crypto.verify(raw, payload, signature)) return refuse('bad-signature', `${at}: the signature is not good`)
  }
  return ok([...signers])
}

export const tooFewSignatures = (entry: CharterEntry, { signed, needed }: Standing): CharterProblem => ({
  kind: 'too-few-signatures',
  detail: `entry ${entry.seq}: ${signed.length} of the ${needed} signatures that it needs`,
})

export const previousOf = (entry: CharterEntry): string | null => (entry.prev === null ? null : hexOf(entry.prev))

export const refuse = (kind: CharterProblem['kind'], detail: string): Result<never, CharterProblem> =>
  err({ kind, detail })

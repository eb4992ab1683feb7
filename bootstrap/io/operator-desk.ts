// What an operator does with its key on this device: decide with others who belongs, put devices out, change its key.

import type { NodeId, OperatorId } from '../../overlay/kernel/ids.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import type { Operator } from '../charter-authority.ts'
import { giveConsent, REASON_CHARS_MAX, REVOKED_PER_ENTRY_MAX, type Threshold } from '../charter-entry.ts'
import { isPutOut, isRevoked } from '../credential.ts'
import { BootstrapError } from '../errors.ts'
import { decodeRequest } from '../operator-request.ts'
import type { CharterKeeper, Proposed } from './charter-keeper.ts'
import type { CredentialDirectory } from './credential-directory.ts'
import { nodeCrypto, rawKeyOfNode } from './crypto.ts'
import { requireOperatorKey } from './enrolment-desk.ts'
import type { OperatorKey } from './key-file.ts'

/** All reject with BootstrapError. */
export interface OperatorDesk {
  /** Admits whoever made the request. */
  admit(request: string): Promise<Proposed>
  /** By name, id or key; the own one leaves. */
  remove(operator: string, reason: string): Promise<Proposed>
  /** Signs what waits, by the beginning of its hash; all of it when that is empty. */
  sign(hashBegins: string): Promise<readonly Proposed[]>
  setThreshold(threshold: Threshold): Promise<Proposed>
  /** Has the next key take over; `isDropped` when the one before may be in other hands. */
  rotate(next: OperatorKey, isDropped: boolean): Promise<Proposed>
  /** Puts a node out for good: by its own operator alone, else by all together. */
  revoke(node: NodeId, reason: string): Promise<Proposed>
  /** Makes a node's credentials worthless, and with them those that it enrolled; a new invite lets it in again. */
  revokeCredentials(node: NodeId, reason: string): Promise<Proposed>
}

export interface OperatorDeskOptions {
  readonly self: NodeId
  readonly keeper: CharterKeeper
  readonly directory: CredentialDirectory
  readonly operatorKey: () => OperatorKey | null
  readonly wall: () => UnixMillis
}

export function createOperatorDesk({ self, keeper, directory, operatorKey, wall }: OperatorDeskOptions): OperatorDesk {
  const key = (): OperatorKey => requireOperatorKey(operatorKey(), keeper.current())
  const view = () => keeper.current().view
  const own = (): Operator => view().operators.find((one) => one.key === key().operator) as Operator
  const at = (): number => Math.floor(wall())

  async function revoke(node: NodeId, reason: string): Promise<Proposed> {
    const seal = key()
    if (rawKeyOfNode(node) === null) throw badOption(`"${node}" is not a node's id`, '`coppice nodes` lists the ids.')
    if (node === self)
      throw badOption('a node cannot revoke itself', 'Do this on another device with the operator key.')
    const owner = directory.operatorOf(node) ?? own().id
    if (isPutOut(node, owner, view())) {
      return { hash: view().head, kind: 'revoke', isInForce: true, signed: [seal.operator], needed: 1 }
    }
    const operator = owner === own().id ? owner : null
    const body = { operator, nodes: [node], credentials: [], reason: reason.slice(0, REASON_CHARS_MAX), at: at() }
    return await keeper.propose({ kind: 'revoke', body }, seal)
  }

  async function revokeCredentials(node: NodeId, reason: string): Promise<Proposed> {
    const seal = key()
    if (node === self) throw badOption('a node cannot revoke its own credential', 'Do this on another device.')
    const all = directory.allOf(node)
    const [latest] = all.slice(-1)
    if (latest === undefined) throw badOption(`no credential of ${node} is known here`, 'Do this where it was met.')
    const valid = all.filter(({ bearer }) => !isRevoked(bearer, view())).slice(-REVOKED_PER_ENTRY_MAX)
    if (valid.length === 0)
      return { hash: view().head, kind: 'revoke', isInForce: true, signed: [seal.operator], needed: 1 }
    const operator = latest.facts.operator === own().id ? own().id : null
    const credentials = valid.map(({ hash }) => hash)
    const body = { operator, nodes: [], credentials, reason: reason.slice(0, REASON_CHARS_MAX), at: at() }
    return await keeper.propose({ kind: 'revoke', body }, seal)
  }

  return {
    admit: async (line) => {
      const seal = key()
      const consent = decodeRequest(line, nodeCrypto)
      if (!consent.ok) throw badOption(consent.error.detail, 'Copy it again from `coppice operator request`.')
      return await keeper.propose({ kind: 'admit-operator', body: { consent: consent.value, at: at() } }, seal)
    },
    remove: async (who, reason) => {
      const seal = key()
      const operator = findOperator(view().operators, who)
      const isLeaving = operator.id === own().id
      const body = { operator: operator.id, isLeaving, reason: reason.slice(0, REASON_CHARS_MAX), at: at() }
      return await keeper.propose({ kind: 'remove-operator', body }, seal)
    },
    sign: async (hashBegins) => {
      const seal = key()
      if (hashBegins !== '') return [await keeper.sign(hashBegins, seal)]
      const signed: Proposed[] = []
      for (const draft of keeper.drafts()) signed.push(await keeper.sign(draft.hash, seal))
      return signed
    },
    setThreshold: async (threshold) => {
      const seal = key()
      return await keeper.propose({ kind: 'policy', body: { threshold, at: at() } }, seal)
    },
    rotate: async (next, isDropped) => {
      const seal = key()
      const consent = giveConsent({ key: next.operator, name: next.name, at: at() }, next)
      return await keeper.propose({ kind: 'rotate', body: { operator: own().id, consent, isDropped, at: at() } }, seal)
    },
    revoke,
    revokeCredentials,
  }
}

/** An operator by its id, its key, its name, or a beginning of its id that only it has. */
function findOperator(operators: readonly Operator[], who: string): Operator {
  const named = operators.filter(({ id, key, name }) => [id, key, name].includes(who as OperatorId))
  const found = named.length > 0 ? named : operators.filter(({ id }) => id.startsWith(who))
  const [only] = found
  if (only !== undefined && found.length === 1) return only
  const problem = found.length === 0 ? `there is no operator "${who}"` : `"${who}" could be ${found.length} operators`
  throw badOption(problem, '`coppice charter log` shows the operators.')
}

const badOption = (what: string, hint: string): BootstrapError => new BootstrapError('bad-option', what, hint)

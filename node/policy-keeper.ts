// The policy of this node's operator, as this node keeps it: the latest that was signed, on disk before it counts. What
// comes from other devices is believed for the operator's signature alone.

import {
  type MembershipGate,
  type OperatorKey,
  openPolicy,
  POLICY_KEY,
  type PolicyStatement,
  type Store,
  signPolicy,
  supersedes,
} from '../bootstrap/index.ts'
import { NO_POLICY, type PolicyFile, readPolicy, withOperatorIds } from '../placement/index.ts'
import type { CoreInput } from './core/effects.ts'
import { CoppiceError } from './errors.ts'

export interface HeldPolicy {
  /** 0 where the operator never said anything: the defaults hold. */
  readonly version: number
  /** When it was signed; null for the defaults. */
  readonly at: string | null
  /** The operator's own words, and what the worker goes by: with ids for the names of operators. */
  readonly file: PolicyFile
  readonly policy: PolicyFile
  /** As it was signed, to be carried to other devices by hand; null for the defaults. */
  readonly statement: string | null
}

export interface PolicyKeeper {
  current(): HeldPolicy
  /** Takes in what another device shows, where it is later; what is refused is noticed. */
  offer(statement: string): void
  /**
   * Signs a file with the operator's key on this device, or takes in a signed statement. Rejects with CoppiceError
   * `invalid-policy`, `no-operator-key` or `old-policy`.
   */
  set(text: string): Promise<HeldPolicy>
  /** The charter is another one: whom the names in the policy mean may have changed. */
  onCharter(): void
  /** Says which policy counts, now and whenever it is another one. */
  tellFrom(listener: (input: Input) => void): void
}

export interface PolicyKeeperOptions {
  readonly store: Store
  readonly gate: Pick<MembershipGate, 'facts' | 'federation' | 'charter'>
  readonly operatorKey: OperatorKey | null
  readonly wall: () => number
  readonly onNotice: (code: string, detail: string) => void
}

type Input = Extract<CoreInput, { readonly kind: 'policy' }>

const NOTHING_SAID: HeldPolicy = { version: 0, at: null, file: NO_POLICY, policy: NO_POLICY, statement: null }
/** A compact JWS: three parts of base64url. */
const SIGNED = /^[\w-]+\.[\w-]+\.[\w-]+$/

export async function openPolicyKeeper(options: PolicyKeeperOptions): Promise<PolicyKeeper> {
  const { store, gate, operatorKey, wall, onNotice } = options
  const { operator } = gate.facts
  const expected = () => ({ operator, federation: gate.federation, charter: gate.charter() })
  let held: PolicyStatement | null = null
  let shown = NOTHING_SAID
  let listener: (input: Input) => void = () => undefined
  /** One after the other, so that two that come at once are compared with each other. */
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(task: () => Promise<T>): Promise<T> => {
    const done = turn.then(task, task)
    turn = done
    return done
  }

  const say = (): void => {
    const { version, statement, policy } = shown
    if (statement !== null) listener({ kind: 'policy', version, statement, policy })
  }

  const show = (statement: PolicyStatement): boolean => {
    const read = readPolicy(statement.claims.policy)
    if (!read.ok) return false
    held = statement
    shown = {
      version: statement.claims.version,
      at: new Date(statement.claims.iat * 1_000).toISOString(),
      file: read.value,
      policy: withOperatorIds(read.value, gate.charter().operators),
      statement: statement.text,
    }
    say()
    return true
  }

  const take = async (statement: PolicyStatement): Promise<string | null> => {
    if (!readPolicy(statement.claims.policy).ok) return 'this version of Coppice cannot read it'
    if (!supersedes(statement, held)) return null
    await store.put(POLICY_KEY, new TextEncoder().encode(statement.text), { sync: true })
    show(statement)
    return null
  }

  const offer = async (text: string): Promise<string | null> => {
    const opened = await openPolicy(text, expected())
    return opened.ok ? await take(opened.value) : opened.error
  }

  const takeSigned = async (text: string): Promise<HeldPolicy> => {
    const problem = await offer(text)
    if (problem !== null) throw new CoppiceError('invalid-policy', `the signed policy is not taken: ${problem}`, '')
    if (shown.statement === text) return shown
    const hint = '`coppice policy show` prints it.'
    throw new CoppiceError('old-policy', `this device has version ${shown.version}, which is later`, hint)
  }

  const sign = async (text: string): Promise<HeldPolicy> => {
    const read = readPolicy(text)
    if (!read.ok) {
      const problems = read.error.map(({ field, problem }) => (field === '' ? problem : `${field}: ${problem}`))
      const hint = '`coppice policy schema` prints what may stand there.'
      throw new CoppiceError('invalid-policy', problems.join('\n'), hint)
    }
    if (operatorKey === null || gate.charter().keys.get(operatorKey.operator)?.operator !== operator) {
      const hint = 'Set it on a device that has the key, or sign it there: `coppice policy show --signed`.'
      throw new CoppiceError('no-operator-key', 'the key of this device’s operator is not on this device', hint)
    }
    const version = (held?.claims.version ?? 0) + 1
    const iat = Math.floor(wall() / 1_000)
    const claims = { federation: gate.federation, version, iat, policy: text }
    await take(await signPolicy(claims, operatorKey))
    return shown
  }

  const stored = await store.get(POLICY_KEY)
  if (stored !== null) {
    const opened = await openPolicy(new TextDecoder().decode(stored), expected())
    if (opened.ok) show(opened.value)
  }
  return {
    current: () => shown,
    offer: (statement) => {
      const tell = (problem: unknown): void => onNotice('policy-refused', String(problem))
      inTurn(() => offer(statement)).then((problem) => (problem === null ? undefined : tell(problem)), tell)
    },
    onCharter: () => {
      if (held !== null) show(held)
    },
    tellFrom: (next) => {
      listener = next
      say()
    },
    set: (text) => inTurn(() => (SIGNED.test(text.trim()) ? takeSigned(text.trim()) : sign(text))),
  }
}

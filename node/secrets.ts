// The secrets of an operator: kept on its devices, each copy sealed to the device that has it. A device that runs an
// instance asks for what the service names and gets it sealed to itself, where the records say that it runs there. In
// between nobody can read it; in no record, log or command line does it ever stand.

import type { Duplex } from 'node:stream'
import { type NodeKey, openSealed, sealTo } from '../bootstrap/index.ts'
import { type InstanceKey, instanceKey, type NodeId, splitInstanceKey } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { TunnelHeader, TunnelRefusal } from '../overlay/tunnel.ts'
import type { SignerFacts } from '../overlay/wire/envelope.ts'
import { SECRET_NAME } from '../placement/descriptor-secrets.ts'
import type { SecretSource } from '../placement/runtime.ts'
import type { SecretView } from './control.ts'
import type { CoreView } from './core/core-view.ts'
import { CoppiceError } from './errors.ts'
import type { SecretFile } from './io/secret-file.ts'
import type { Lookups } from './lookups.ts'
import { devicesToAsk, isPlacedOn, type OwnView, oneMessage, readMessage, submitterOf, taking } from './owner-proof.ts'
import type { Traffic } from './traffic.ts'
import { readSpec, specOf } from './view.ts'

/** Of one secret. A guess: keys and certificates fit, data does not. */
export const SECRET_BYTES_MAX = 64_000
/** What a sealed one is longer by, and a little. */
const SEALED_BYTES_MAX = SECRET_BYTES_MAX + 1_024
/** Secrets that a node keeps, and that are lent to it. Guesses. */
const SECRETS_KEPT_MAX = 256
/** Devices that a secret is handed to when it is set. A guess: some of them are up when it is needed. */
const HOLDERS_MAX = 32
/** Devices of which is remembered what they took. A guess: an operator's devices. */
const TOLD_MAX = 1_024
/** How long a device may take to hand one over, or to take one. A guess: a slow relay. */
const HAND_OVER_MS_MAX = 5_000
const isName = new RegExp(`^${SECRET_NAME}$`)

export interface SecretsOptions {
  readonly core: OwnView
  readonly nodeKey: Pick<NodeKey, 'node' | 'exchangeKey'>
  readonly file: SecretFile
  readonly lookUp: Lookups['lookUp']
  readonly traffic: () => Pick<Traffic, 'tunnelTo'>
  readonly wall: () => number
}

export type SecretHeader = Extract<TunnelHeader, { readonly kind: 'secret' | 'keep-secret' }>

export interface Secrets {
  list(): readonly SecretView[]
  /** Resolves to how many devices of the operator have it, this one among them. Rejects with CoppiceError. */
  set(name: string, value: Uint8Array): Promise<number>
  remove(name: string): Promise<number>
  /** A device is connected: one of the operator's is handed what it has not taken from this one yet. */
  onConnected(facts: SignerFacts): Promise<void>
  /** What another device gets that asks for one, or brings one. */
  readonly serve: (facts: SignerFacts, header: SecretHeader) => Result<Duplex, TunnelRefusal>
  readonly source: SecretSource
}

const keepingIt = (name: string): string => `coppice secret ${name}`
const lendingIt = (name: string, key: string): string => `coppice secret ${name} for ${key}`
const base64 = (box: Uint8Array | null): string => Buffer.from(box ?? []).toString('base64')

export function createSecrets(options: SecretsOptions): Secrets {
  const { core, nodeKey, file, traffic } = options
  const self = nodeKey.node
  const open = (box: Uint8Array, about: string): Uint8Array | null => openSealed(nodeKey.exchangeKey, box, about)

  const openKept = (name: string): Uint8Array | null => {
    const kept = file.content().kept.find((one) => one.name === name && one.box !== '')
    return kept === undefined ? null : open(Buffer.from(kept.box, 'base64'), keepingIt(name))
  }

  /** Takes a later word on a secret; an empty value removes it. Says whether it was one. */
  const take = async (name: string, at: string, value: Uint8Array): Promise<boolean> => {
    const { kept, lent } = file.content()
    const before = kept.find((one) => one.name === name)
    if (before !== undefined && before.at >= at) return false
    if (before === undefined && kept.length >= SECRETS_KEPT_MAX) return false
    const box = value.length === 0 ? '' : base64(sealTo(self, value, keepingIt(name)))
    await file.save({ kept: [...kept.filter((one) => one !== before), { name, at, box }], lent })
    return true
  }

  const holders = (): readonly NodeId[] =>
    [...core.roster().values()]
      .filter(({ node, state, facts }) => node !== self && state === 'alive' && facts.operator === core.self.operator)
      .map(({ node }) => node)
      .slice(0, HOLDERS_MAX)

  const handTo = async (node: NodeId, name: string, at: string, value: Uint8Array, domain = core.self.domain) => {
    const box = sealTo(node, value, keepingIt(name))
    if (box === null) return false
    const signal = AbortSignal.timeout(HAND_OVER_MS_MAX)
    const opened = await traffic().tunnelTo(node, domain, { kind: 'keep-secret', name, at }, signal)
    if (!opened.ok) return false
    opened.value.end(box)
    const isTaken = (await readMessage(opened.value, 1, HAND_OVER_MS_MAX))?.length === 1
    if (isTaken) noteTold(node, name, at)
    return isTaken
  }

  /** What each device has taken from this one since its start, so that a link that comes and goes costs nothing. */
  const told = new Map<NodeId, Map<string, string>>()
  const noteTold = (node: NodeId, name: string, at: string): void => {
    const known = told.get(node) ?? new Map<string, string>()
    told.delete(node)
    told.set(node, known.set(name, at))
    const [oldest] = told.keys()
    if (told.size > TOLD_MAX && oldest !== undefined) told.delete(oldest)
  }

  /** Whoever was away when a secret was set, or is in another cluster, has it from the first that it meets. */
  const meet = async ({ node, operator, domain }: SignerFacts): Promise<void> => {
    if (operator !== core.self.operator || node === self) return
    for (const { name, at, box } of file.content().kept) {
      if (told.get(node)?.get(name) === at) continue
      const value = box === '' ? new Uint8Array() : open(Buffer.from(box, 'base64'), keepingIt(name))
      if (value !== null && !(await handTo(node, name, at, value, domain))) return
    }
  }

  const change = async (name: string, value: Uint8Array): Promise<number> => {
    const before = file.content().kept.find((one) => one.name === name)?.at ?? ''
    const now = new Date(options.wall()).toISOString()
    // Later than what is replaced, whatever the clock says.
    const at = now > before ? now : new Date(Date.parse(before) + 1).toISOString()
    await take(name, at, value)
    const handed = await Promise.all(holders().map((node) => handTo(node, name, at, value)))
    return 1 + handed.filter(Boolean).length
  }

  const lend = async (key: InstanceKey, name: string, box: Uint8Array): Promise<void> => {
    const { kept, lent } = file.content()
    const others = lent.filter((one) => one.instance !== key || one.name !== name)
    await file.save({ kept, lent: [...others, { instance: key, name, box: base64(box) }].slice(-SECRETS_KEPT_MAX) })
  }

  /** Asks the operator's devices; what was lent the last time is used when none answers. */
  const borrow = async (key: InstanceKey, name: string, signer: SignerFacts | null, signal: AbortSignal) => {
    const { service, number } = splitInstanceKey(key)
    const about = lendingIt(name, key)
    for (const node of signer === null ? [] : devicesToAsk(core, signer)) {
      if (signal.aborted) break
      const domain = node === signer?.node ? signer.domain : core.self.domain
      const within = AbortSignal.any([signal, AbortSignal.timeout(HAND_OVER_MS_MAX)])
      const opened = await traffic().tunnelTo(node, domain, { kind: 'secret', name, service, number }, within)
      if (!opened.ok) continue
      opened.value.end()
      const box = await readMessage(opened.value, SEALED_BYTES_MAX, HAND_OVER_MS_MAX)
      const value = box === null ? null : open(box, about)
      if (box === null || value === null) continue
      await lend(key, name, box)
      return value
    }
    const last = file.content().lent.find((one) => one.instance === key && one.name === name)
    return last === undefined ? null : open(Buffer.from(last.box, 'base64'), about)
  }

  /** What is news here is passed on to the operator's others in this cluster: they may have met nobody who knows. */
  const serveKeep = ({ name, at }: Extract<SecretHeader, { readonly kind: 'keep-secret' }>, from: NodeId): Duplex =>
    taking(SEALED_BYTES_MAX, async (box) => {
      const value = open(box, keepingIt(name))
      if (value === null || !isName.test(name)) return false
      noteTold(from, name, at)
      if (await take(name, at, value)) {
        const others = holders().filter((node) => told.get(node)?.get(name) !== at)
        void Promise.all(others.map((node) => handTo(node, name, at, value)))
      }
      return true
    })

  return {
    list: () =>
      file
        .content()
        .kept.filter(({ box }) => box !== '')
        .map(({ name, at }) => ({ name, at }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    set: async (name, value) => {
      checkSecret(name, value)
      const { kept } = file.content()
      if (kept.length >= SECRETS_KEPT_MAX && !kept.some((one) => one.name === name))
        throw new CoppiceError('too-many-secrets', `a node keeps ${SECRETS_KEPT_MAX} secrets at most`, '')
      return await change(name, value)
    },
    remove: async (name) => {
      if (openKept(name) !== null) return await change(name, new Uint8Array())
      const problem = `this node has no secret "${name}"`
      throw new CoppiceError('no-such-secret', problem, '`coppice secret list` shows those that it has.')
    },
    onConnected: meet,
    serve: (facts, header) => {
      if (header.kind === 'keep-secret') {
        if (facts.operator === core.self.operator) return ok(serveKeep(header, facts.node))
        return notAllowed('secrets are taken from the same operator only')
      }
      const { name, service, number } = header
      const value = mayHave(core, facts, header) ? openKept(name) : null
      const box = value === null ? null : sealTo(facts.node, value, lendingIt(name, instanceKey(service, number)))
      // One answer for what is not there and for what is not the caller's: neither tells which secrets there are.
      return box === null ? notAllowed('this node has nothing of that name for that instance') : ok(oneMessage(box))
    },
    source: {
      of: async (key, names, signal) => {
        const signer = await submitterOf(options, splitInstanceKey(key).service, signal)
        const found = new Map<string, Uint8Array>()
        for (const name of names) {
          const own = signer?.operator === core.self.operator ? openKept(name) : null
          const value = own ?? (await borrow(key, name, signer, signal))
          if (value !== null) found.set(name, value)
        }
        return found
      },
    },
  }
}

const notAllowed = (detail: string): Result<Duplex, TunnelRefusal> => err({ code: 'not-allowed', detail })

function checkSecret(name: string, value: Uint8Array): void {
  if (!isName.test(name)) {
    throw new CoppiceError('bad-name', 'that is no name for a secret', 'Letters, digits, "-", "_", "."; at most 63.')
  }
  if (value.length > 0 && value.length <= SECRET_BYTES_MAX) return
  throw new CoppiceError('bad-secret', `a secret has 1 to ${SECRET_BYTES_MAX} bytes`, '')
}

/** A device of the operator may have it; another operator's what the service names and it runs, as the records tell. */
function mayHave(
  core: OwnView,
  facts: SignerFacts,
  { name, service, number }: Extract<SecretHeader, { readonly kind: 'secret' }>,
): boolean {
  const record = specOf(core as CoreView, service)
  const isOurs = record?.signer.operator === core.self.operator
  if (facts.operator === core.self.operator) return record === null || isOurs
  const spec = record !== null && isOurs ? readSpec(record) : null
  const isNamed = spec?.secrets?.some((use) => use.name === name) === true
  return isNamed && isPlacedOn(core, facts, service, number)
}

// Whom a registry's login is asked of, and who gets it. It goes from device to device over a tunnel that only the two
// can read, to be used for one pull; it is in no record, and nobody who gets it keeps it.

import type { Duplex } from 'node:stream'
import type { TunnelHeader } from '../overlay/io/network.ts'
import type { ServiceId } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { TunnelRefusal } from '../overlay/tunnel.ts'
import type { SignerFacts } from '../overlay/wire/envelope.ts'
import {
  PASSWORD_CHARS_MAX,
  type RegistryLogin,
  type RegistryLogins,
  registryOf,
  USERNAME_CHARS_MAX,
} from '../placement/registry-login.ts'
import type { CoreView } from './core/core-view.ts'
import type { RegistryFile } from './io/registry-file.ts'
import type { Lookups } from './lookups.ts'
import { devicesToAsk, isPlacedOn, type OwnView, oneMessage, readMessage, submitterOf } from './owner-proof.ts'
import type { Traffic } from './traffic.ts'
import { readSpec, specOf } from './view.ts'

/** How long an answer of a few hundred bytes may take once the tunnel is open. A guess: a slow relay. */
const LOGIN_MS_MAX = 5_000
/** Characters escaped in JSON take six bytes at most. */
const LOGIN_BYTES_MAX = 6 * (USERNAME_CHARS_MAX + PASSWORD_CHARS_MAX) + 100

export interface LoginOptions {
  readonly core: OwnView
  readonly file: Pick<RegistryFile, 'of'>
  readonly lookUp: Lookups['lookUp']
  readonly traffic: () => Pick<Traffic, 'tunnelTo'>
}

export type LoginHeader = Extract<TunnelHeader, { readonly kind: 'registry' }>
/** What another device gets that asks for a login. */
export type AnswerLogin = (facts: SignerFacts, header: LoginHeader) => Result<Duplex, TunnelRefusal>

export function createRegistryLogins(options: LoginOptions): RegistryLogins {
  const { core, file, traffic } = options
  return {
    own: async (registry, service, signal) => {
      const login = file.of(registry)
      if (login === null) return null
      // Another operator's service would get at images of ours with it.
      const signer = await submitterOf(options, service as ServiceId, signal)
      return signer?.operator === core.self.operator ? login : null
    },
    others: async function* (registry, service, number, signal) {
      const signer = await submitterOf(options, service as ServiceId, signal)
      if (signer === null) return
      const header: LoginHeader = { kind: 'registry', registry, service: service as ServiceId, number }
      for (const node of devicesToAsk(core, signer)) {
        if (signal.aborted) return
        const domain = node === signer.node ? signer.domain : core.self.domain
        const opened = await traffic().tunnelTo(node, domain, header, signal)
        if (!opened.ok) continue
        opened.value.end()
        const login = await readLogin(opened.value, registry)
        if (login !== null) yield login
      }
    },
  }
}

export const createAnswerLogin =
  ({ core, file }: Pick<LoginOptions, 'core' | 'file'>): AnswerLogin =>
  (facts, header) => {
    const refusal = whyNotHave(core, facts, header)
    if (refusal !== null) return err({ code: 'not-allowed', detail: refusal })
    const login = file.of(header.registry)
    if (login !== null) return ok(oneMessage(JSON.stringify([login.username, login.password])))
    return err({ code: 'no-such-instance', detail: `this node has no login of ${header.registry}` })
  }

/**
 * A device of the same operator may have it. Another operator's may when it runs, by the placements that this node
 * holds, an instance of a service of this operator that has an image there. A placement on a domain stands for the
 * devices in it: who places work there lets its leader choose among them.
 */
function whyNotHave(
  core: LoginOptions['core'],
  facts: SignerFacts,
  { registry, service, number }: LoginHeader,
): string | null {
  if (facts.operator === core.self.operator) return null
  const record = specOf(core as CoreView, service)
  if (record?.signer.operator !== core.self.operator) return `${service} is not known here as one of this operator`
  const spec = readSpec(record)
  if (spec === null || spec.runtime !== 'docker' || registryOf(spec.code) !== registry) {
    return `${service} has no image of ${registry}`
  }
  const isPlaced = isPlacedOn(core, facts, service, number)
  return isPlaced ? null : `${service}#${number} is not placed on that device, as far as this node knows`
}

/** Null for whatever is no login; what other devices send is not believed to be one. */
export async function readLogin(stream: Duplex, registry: string): Promise<RegistryLogin | null> {
  const message = await readMessage(stream, LOGIN_BYTES_MAX, LOGIN_MS_MAX)
  try {
    const read: unknown = message === null ? null : JSON.parse(Buffer.from(message).toString('utf8'))
    const [username, password] = Array.isArray(read) ? read : []
    const isLogin = typeof username === 'string' && typeof password === 'string'
    return isLogin ? { registry, username, password } : null
  } catch {
    return null
  }
}

// How an operator's policy gets to its devices: each tells the others of its operator which version it has, and
// who has a later one hands it over. Devices of other operators hear nothing of it.

import type { PolicyHeld, PolicySigned } from '../../bootstrap/messages.ts'
import type { NodeId } from '../../overlay/kernel/ids.ts'
import type { Opened, SignerFacts } from '../../overlay/wire/envelope.ts'
import type { CoreEffect } from './effects.ts'

export interface Policies {
  /** The operator's policy is this one from now on; the keeper has checked it. */
  onPolicy(held: { readonly version: number; readonly statement: string }, out: CoreEffect[]): void
  onConnected(peer: NodeId, facts: SignerFacts, out: CoreEffect[]): void
  onMessage(opened: Opened<PolicyHeld | PolicySigned>, out: CoreEffect[]): void
}

export function createPolicies(self: SignerFacts, connected: () => ReadonlyMap<NodeId, SignerFacts>): Policies {
  let held: { readonly version: number; readonly statement: string } | null = null

  const sayHeld = (to: NodeId, out: CoreEffect[]): void => {
    out.push({ kind: 'send', to, message: { kind: 'policy/held', version: held?.version ?? 0 } })
  }
  const sayAll = (to: NodeId, out: CoreEffect[]): void => {
    if (held !== null) out.push({ kind: 'send', to, message: { kind: 'policy/signed', statement: held.statement } })
  }

  return {
    onPolicy: (next, out) => {
      const isNew = held === null || held.statement !== next.statement
      held = next
      if (!isNew) return
      for (const [peer, { operator }] of connected()) if (operator === self.operator) sayAll(peer, out)
    },
    onConnected: (peer, { operator }, out) => {
      if (operator === self.operator) sayHeld(peer, out)
    },
    onMessage: ({ from, signer, message }, out) => {
      if (signer.operator !== self.operator || from === self.node) return
      if (message.kind === 'policy/signed') {
        if (message.statement !== held?.statement) out.push({ kind: 'policy', statement: message.statement })
        return
      }
      const version = held?.version ?? 0
      if (message.version < version) sayAll(from, out)
      else if (message.version > version) sayHeld(from, out)
    },
  }
}

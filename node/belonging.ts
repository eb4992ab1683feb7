// How a running node keeps belonging: it tells others what is new in the charter, hears it from them, cuts those that
// were put out, and gets itself a new credential in time.

import type { CharterMessage, CharterView, MembershipGate } from '../bootstrap/index.ts'
import { ENROL } from '../bootstrap/index.ts'
import type { NetworkPort, PeerConnected } from '../overlay/io/network.ts'
import type { NodeId } from '../overlay/kernel/ids.ts'
import type { CoreInput } from './core/effects.ts'

/** How often a node looks whether its credential is due; a guess: a few times a day, for a life of 90 days. */
const RENEWAL_LOOK_MS = 3_600_000
const RENEWAL_MS_MAX = 15_000

export interface Belonging {
  onCharterChanged(view: CharterView, news: readonly Uint8Array[]): void
  /** A member says what is new, or wants to know. */
  onCharter(message: CharterMessage, from: NodeId): void
  onConnected(peer: PeerConnected): void
  /** Before anybody hears that a credential was learned: it may be of one whose earlier one was revoked. */
  onCredential(then: (learned: boolean) => void): (learned: boolean) => void
  onDisconnected(peer: NodeId): void
  stop(): void
}

/** The parts that refer to each other: null until they stand. */
export interface BelongingParts {
  readonly gate: () => MembershipGate
  readonly network: () => NetworkPort | null
  readonly input: (input: CoreInput) => void
  readonly notice: (code: string, detail: string) => void
}

export function createBelonging({ gate, network, input, notice }: BelongingParts): Belonging {
  const outcasts = new Set<NodeId>()
  /** Connected members of our operator that may enrol. */
  const enrollers = new Set<NodeId>()
  let isRenewing = false

  function cutOutcasts(): void {
    // Also those that are not connected: their records are here all the same.
    const now = new Set(gate().outcasts())
    for (const node of [...outcasts].filter((one) => !now.has(one))) {
      outcasts.delete(node)
      input({ kind: 'readmitted', node })
    }
    for (const node of now) {
      if (outcasts.has(node)) continue
      outcasts.add(node)
      input({ kind: 'revoked', node })
      void network()?.cut(node)
    }
  }

  async function onNews(packed: Uint8Array, from: NodeId): Promise<void> {
    if ((await gate().takeNews(packed)) !== 'missing') return
    input({ kind: 'charter', message: { kind: 'charter/want', shown: gate().shownCharter() }, to: from })
  }

  async function renew(): Promise<void> {
    const request = gate().renewalRequest()
    if (request === null || isRenewing) return
    isRenewing = true
    for (const enroller of enrollers) {
      const problem = await askFor(enroller, request)
      if (problem === null) break
      notice('credential-not-renewed', `${enroller}: ${problem}`)
    }
    isRenewing = false
  }

  async function askFor(enroller: NodeId, request: Uint8Array): Promise<string | null> {
    try {
      const answer = await network()?.askRenewal(enroller, request, AbortSignal.timeout(RENEWAL_MS_MAX))
      if (answer === undefined) return 'the network is not up yet'
      const taken = await gate().takeRenewal(answer)
      return taken.ok ? null : taken.error
    } catch (problem) {
      return problem instanceof Error ? problem.message : String(problem)
    }
  }

  const timer = setInterval(() => void renew(), RENEWAL_LOOK_MS)
  timer.unref()
  return {
    onCharterChanged: ({ operators }, news) => {
      input({ kind: 'operators', count: operators.length })
      for (const packed of news) input({ kind: 'charter', message: { kind: 'charter/news', packed }, to: null })
      cutOutcasts()
    },
    onCharter: (message, from) => {
      if (message.kind === 'charter/news') {
        onNews(message.packed, from).catch((problem: unknown) => notice('charter-refused', String(problem)))
        return
      }
      for (const packed of gate().newsFor(message.shown)) {
        input({ kind: 'charter', message: { kind: 'charter/news', packed }, to: from })
      }
    },
    onCredential: (then) => (learned) => {
      if (learned && outcasts.size > 0) cutOutcasts()
      then(learned)
    },
    onConnected: ({ peer, facts }) => {
      if (outcasts.has(peer)) cutOutcasts()
      if (facts.operator !== gate().facts.operator || !facts.capabilities.includes(ENROL)) return
      enrollers.add(peer)
      void renew()
    },
    onDisconnected: (peer) => {
      enrollers.delete(peer)
    },
    stop: () => clearInterval(timer),
  }
}

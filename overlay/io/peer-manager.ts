// Carries out the dial plan: tells it what happened, dials and hangs up as it says, and keeps its one timer.

import type { Connection } from '@libp2p/interface'
import {
  createDialPlan,
  type DialOutcome,
  type DialPlanEffect,
  type DialPlanInput,
  step,
  wakeAt,
} from '../dial-plan.ts'
import type { NodeId } from '../kernel/ids.ts'
import { seededRandom } from '../kernel/random.ts'
import { isUnready, NoDirectPath } from '../not-direct.ts'
import { createDialler, type DiallerSetup, isRefusal } from './dialler.ts'
import type { WantedPeer } from './network.ts'

export interface PeerManager {
  want(peers: readonly WantedPeer[]): void
  tell(input: DialPlanInput): void
  /** A connection that passed hello; dials when there is none. Rejects when there is no path. */
  connect(peer: NodeId, signal: AbortSignal): Promise<Connection>
  close(): void
}

export interface PeerManagerSetup extends DiallerSetup {
  readonly self: NodeId
  /** Of the chance that spreads dials over time. */
  readonly seed: number
  /** A direct connection besides a relayed one, by both ends dialling at once. Rejects with the reason why not. */
  punch(peer: NodeId, signal: AbortSignal): Promise<Connection>
}

export function managePeers(setup: PeerManagerSetup): PeerManager {
  const random = seededRandom(setup.seed)
  const stop = new AbortController()
  const dialler = createDialler(setup, stop.signal)
  let wanted: ReadonlyMap<NodeId, readonly string[]> = new Map()
  let plan = createDialPlan(setup.self)
  let timer: NodeJS.Timeout | undefined

  const tell = (input: DialPlanInput): void => {
    if (stop.signal.aborted) return
    const now = performance.now()
    const { state, effects } = step(plan, input, { now, wall: Date.now(), random })
    plan = state
    for (const effect of effects) carryOut(effect)
    clearTimeout(timer)
    const due = wakeAt(plan)
    if (due !== null) timer = setTimeout(() => tell({ kind: 'wake' }), Math.max(0, due - now))
  }
  const carryOut = (effect: DialPlanEffect): void => {
    const { peer, attempt, addresses } = effect
    if (effect.besides) return void dialler.dialBesides(peer, addresses).catch(() => {})
    const dialling = effect.upgrade ? upgrade(effect) : dialler.dial(peer, addresses)
    dialling.then(
      () => tell({ kind: 'dialled', peer, attempt, outcome: 'connected' }),
      (problem) => tell({ kind: 'dialled', peer, attempt, outcome: outcomeOf(problem) }),
    )
  }
  const upgrade = ({ peer, addresses, punch }: DialPlanEffect): Promise<Connection> => {
    const dialling = addresses.length > 0 ? [dialler.dialBesides(peer, addresses)] : []
    if (!punch) return Promise.any(dialling)
    const punching = setup.punch(peer, stop.signal)
    return unlessUnready(punching, Promise.any([...dialling, punching]))
  }
  return {
    want: (peers) => {
      wanted = new Map(peers.map(({ peer, addresses }) => [peer, addresses]))
      tell({ kind: 'want', peers })
    },
    tell,
    connect: (peer, signal) => dialler.connect(peer, wanted.get(peer) ?? [], signal),
    close: () => {
      clearTimeout(timer)
      stop.abort(new Error('the network was stopped'))
    },
  }
}

/**
 * Rejects as soon as the punch has come to nothing because a side was not ready: the next one need not wait until
 * addresses fail that swallow packets.
 */
function unlessUnready(punching: Promise<Connection>, any: Promise<Connection>): Promise<Connection> {
  const { promise, resolve, reject } = Promise.withResolvers<Connection>()
  any.then(resolve, reject)
  punching.catch((problem) => isUnready(problem) && reject(problem))
  return promise
}

function outcomeOf(problem: unknown): DialOutcome {
  if (isUnready(problem)) return 'unready'
  const all: readonly unknown[] = problem instanceof AggregateError ? problem.errors : [problem]
  if (all.some((one) => one instanceof NoDirectPath && one.isFinal)) return 'in-vain'
  return isRefusal(problem) ? 'refused' : 'failed'
}

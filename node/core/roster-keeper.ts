// The cluster's roster inside the node: it runs the membership machine, says what this node is fit for, and shows the
// members as the election needs to see them.

import { type Announcement, type ChildFact, fitnessOf } from '../../election/index.ts'
import type { NodeId } from '../../overlay/kernel/ids.ts'
import type { StepContext } from '../../overlay/kernel/machine.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import {
  createMembership,
  type MembershipEffect,
  type MembershipInput,
  type MembershipMessage,
  type MembershipPreset,
  wakeAt as membershipWakeAt,
  presentNodes,
  type RosterEntry,
  type RosterView,
  rosterOf,
  type SealedStatement,
  step as stepMembership,
  watchPartnersOf,
} from '../../overlay/membership/index.ts'
import type { Opened, SignerFacts } from '../../overlay/wire/envelope.ts'
import type { HostReading } from '../../placement/host-reading.ts'
import type { CoreEffect } from './effects.ts'
import type { Sink } from './news.ts'

export interface RosterKeeperOptions {
  readonly self: SignerFacts
  readonly name: string
  readonly preset: MembershipPreset
  readonly incarnation: number
  /** The statements that the disk held. */
  readonly known: readonly SealedStatement[]
  /** Whether the device gives away what it has. */
  readonly isDrained: () => boolean
}

/** A member came, went, or changed; `to` is null when it was dropped from the roster. */
export interface RosterNews {
  readonly kind: 'roster-news'
  readonly node: NodeId
  readonly to: RosterEntry['state'] | null
}

export type RosterTurn = readonly [context: StepContext, out: CoreEffect[], news: Sink<RosterNews>]

export interface RosterKeeper {
  view(): RosterView
  /** The members to be connected to in a cluster of any size. */
  watchPartners(): readonly NodeId[]
  /** The members as candidates for elector: the same table all the time. */
  children(): ReadonlyMap<NodeId, ChildFact>
  /** The members that are not known to be gone. */
  present(): readonly NodeId[]
  isGone(node: NodeId): boolean
  face(): Pick<Announcement, 'name' | 'addresses' | 'fitness'>
  onStart(...turn: RosterTurn): void
  onMessage(opened: Opened<MembershipMessage>, ...turn: RosterTurn): void
  onHeard(peer: NodeId, ...turn: RosterTurn): void
  onConnected(peer: NodeId, ...turn: RosterTurn): void
  onDisconnected(peer: NodeId, ...turn: RosterTurn): void
  onReach(reach: { readonly addresses: readonly string[]; readonly isRelay: boolean }, ...turn: RosterTurn): void
  onReading(reading: HostReading, loopDelayMs: Millis, ...turn: RosterTurn): void
  /** The device was opened or closed. */
  onIntake(...turn: RosterTurn): void
  onRemoved(node: NodeId, ...turn: RosterTurn): void
  onReadmitted(node: NodeId, ...turn: RosterTurn): void
  onWake(...turn: RosterTurn): void
  wakeAt(): Millis | null
}

const HOUR_MS = 3_600_000

const childOf = ({ node, state, since, fitness, canLead }: RosterEntry): ChildFact => ({
  child: node,
  alive: state === 'alive' || state === 'suspect',
  steadySince: since,
  fitness,
  canLead,
})

export function createRosterKeeper(options: RosterKeeperOptions): RosterKeeper {
  const { self, name, isDrained } = options
  const canLead = self.capabilities.includes('lead')
  let state = createMembership({ ...options, self: self.node, domain: self.domain, canLead, isRelay: false })
  let startedAt: Millis = 0
  let addresses: readonly string[] = []
  let isRelay = false
  let fitness = 0.5
  const children = new Map<NodeId, ChildFact>()

  const feed = (input: MembershipInput, ...turn: RosterTurn): void => {
    const stepped = stepMembership(state, input, turn[0])
    state = stepped.state
    for (const effect of stepped.effects) {
      if (effect.kind === 'roster-changed') {
        noteChild(effect.node)
        turn[2].push({ kind: 'roster-news', node: effect.node, to: effect.to })
      } else turn[1].push(...translated(effect))
    }
  }

  const noteChild = (node: NodeId): void => {
    const roster = rosterOf(state)
    const entry = roster.get(node)
    if (entry !== undefined) children.set(node, childOf(entry))
    // Whoever made room for somebody else went without a word.
    if (children.size > roster.size) for (const child of children.keys()) if (!roster.has(child)) children.delete(child)
  }

  const translated = (effect: MembershipEffect): CoreEffect[] => {
    switch (effect.kind) {
      case 'send':
        return [{ kind: 'send', to: effect.to as NodeId, message: effect.message }]
      case 'publish':
        return [{ kind: 'author', message: effect.message, topics: [{ domain: effect.domain, topic: effect.topic }] }]
      case 'author':
        return [{ kind: 'author', message: effect.message, topics: [] }]
      case 'persist':
        return [{ ...effect, then: effect.then.flatMap(translated) }]
      case 'emit':
        return [effect]
      case 'roster-changed':
        return []
    }
  }

  /** Whether any other member could lead. */
  const hasOtherLeader = (): boolean =>
    [...rosterOf(state).values()].some(
      (one) => one.node !== self.node && one.canLead && (one.state === 'alive' || one.state === 'suspect'),
    )

  /** Who is drained gives its vote up to whoever can have it (election/electors.ts); the last one may still found. */
  const sayWhetherCanLead = (...turn: RosterTurn): void =>
    feed({ kind: 'self-changed', canLead: canLead && !(isDrained() && hasOtherLeader()) }, ...turn)

  return {
    view: () => rosterOf(state),
    watchPartners: () => watchPartnersOf(state),
    children: () => children,
    present: () => presentNodes(rosterOf(state)),
    isGone: (node) => {
      const standing = rosterOf(state).get(node)?.state
      return standing === 'dead' || standing === 'left'
    },
    face: () => ({ name, addresses, fitness }),
    onStart: (...turn) => {
      startedAt = turn[0].now
      feed({ kind: 'start' }, ...turn)
    },
    onMessage: (opened, ...turn) => feed({ kind: 'message', opened }, ...turn),
    onHeard: (peer, ...turn) => feed({ kind: 'heard', peer }, ...turn),
    onConnected: (peer, ...turn) => feed({ kind: 'connected', peer }, ...turn),
    onDisconnected: (peer, ...turn) => feed({ kind: 'disconnected', peer }, ...turn),
    onReach: (reach, ...turn) => {
      addresses = reach.addresses
      isRelay = reach.isRelay
      feed({ kind: 'self-changed', addresses, isRelay }, ...turn)
    },
    onReading: (reading, loopDelayMs, ...turn) => {
      const measured = fitnessOf({
        cores: reading.cores,
        memoryFreeMb: reading.memoryMb.free,
        loopDelayMs,
        uptimeHours: (turn[0].now - startedAt) / HOUR_MS,
        onBattery: reading.power === undefined ? null : reading.power === 'battery',
        isReachable: isRelay,
      })
      // The last to be chosen, for whatever it is that somebody else can do.
      fitness = isDrained() ? 0 : measured
      feed({ kind: 'self-health', delayMs: loopDelayMs }, ...turn)
      feed({ kind: 'self-changed', fitness }, ...turn)
      sayWhetherCanLead(...turn)
    },
    onIntake: (...turn) => sayWhetherCanLead(...turn),
    onRemoved: (node, ...turn) => feed({ kind: 'removed', node }, ...turn),
    onReadmitted: (node, ...turn) => feed({ kind: 'readmitted', node }, ...turn),
    onWake: (...turn) => {
      const due = membershipWakeAt(state)
      if (due !== null && due <= turn[0].now) feed({ kind: 'wake' }, ...turn)
    },
    wakeAt: () => membershipWakeAt(state),
  }
}

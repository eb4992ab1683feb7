// What the devices of this node's operator are called in other clusters. In a federation of several operators no name
// leaves its cluster in what others hear (discretion.ts); but devices of one operator tell each other the names of
// theirs, and hand on what they hear. Whose device a name is for is that operator's word.

import type { ChildId, DomainPath, NodeId } from '../../overlay/kernel/ids.ts'
import type { Opened, SignerFacts } from '../../overlay/wire/envelope.ts'
import type { CoreEffect } from './effects.ts'
import type { Inventories } from './inventories.ts'
import { NAMES_PER_MESSAGE_MAX, type NamesMessage } from './messages.ts'
import type { Neighbours } from './neighbours.ts'
import type { RosterKeeper } from './roster-keeper.ts'

/**
 * Devices of other clusters whose names are kept; further ones are shown by their ids. At the limit one that is named
 * by a device of its own cluster takes the place of the one for which that was longest ago. A guess.
 */
export const NAMES_MAX = 1_000

type Called = NamesMessage['names'][number]

export interface NamesOptions {
  readonly self: SignerFacts
  readonly name: string
  readonly incarnation: number
  readonly roster: Pick<RosterKeeper, 'view'>
  readonly inventories: Pick<Inventories, 'summaryOf'>
  readonly neighbours: Pick<Neighbours, 'connected'>
}

export interface Names {
  /** Whether the federation is of several operators: where there is one, everybody hears each name anyway. */
  onShared(isShared: boolean, out: CoreEffect[]): void
  onConnected(peer: NodeId, facts: SignerFacts, out: CoreEffect[]): void
  /** A child was heard of: of interest where it is a device of this cluster. */
  onChild(child: ChildId, out: CoreEffect[]): void
  onMessage(opened: Opened<NamesMessage>, out: CoreEffect[]): void
  /** Null where nobody said one. */
  nameOf(node: NodeId): string | null
  /** The cluster of a device that was told of. */
  domainOf(node: NodeId): DomainPath | null
  /** Those of other clusters that were told of. */
  nodes(): Iterable<NodeId>
}

export function createNames({ self, name, incarnation, roster, inventories, neighbours }: NamesOptions): Names {
  /** Whose cluster named it longest ago comes first. */
  const heard = new Map<NodeId, Called>()
  /** Of this cluster, as it was last said: the name and the incarnation. */
  const told = new Map<NodeId, string>()
  let isShared = false

  const kin = (): readonly [NodeId, SignerFacts][] =>
    [...neighbours.connected()].filter(([, { operator }]) => operator === self.operator)

  const say = (to: NodeId, names: readonly Called[], out: CoreEffect[]): void => {
    for (let from = 0; from < names.length; from += NAMES_PER_MESSAGE_MAX) {
      const some = names.slice(from, from + NAMES_PER_MESSAGE_MAX)
      out.push({ kind: 'send', to, message: { kind: 'node/names', names: some } })
    }
  }

  const calledHere = (node: NodeId): Called | null => {
    const { domain } = self
    if (node === self.node) return { node, name, domain, incarnation }
    const entry = roster.view().get(node)
    const its = inventories.summaryOf(node)?.name
    if (entry === undefined || entry.facts.operator !== self.operator || its === undefined) return null
    return { node, name: its, domain, incarnation: entry.incarnation }
  }

  const sayAll = (peer: NodeId, facts: SignerFacts, out: CoreEffect[]): void => {
    const nodes = facts.domain === self.domain ? [] : new Set([self.node, ...roster.view().keys()])
    const here = [...nodes].flatMap((node) => calledHere(node) ?? [])
    say(peer, [...here, ...heard.values()], out)
  }

  /**
   * Notes a name, and returns whether it is news to hand on. Whoever is gone for good is named by others as long as
   * they remember it, so that only its own cluster's word keeps a name, or makes room for one. What took another's
   * place is not handed on: among more devices than are kept it would go round for ever.
   */
  const hear = (one: Called, isFirstHand: boolean): boolean => {
    const before = heard.get(one.node)
    if (one.node === self.node || roster.view().has(one.node)) return false
    const isFull = before === undefined && heard.size >= NAMES_MAX
    if (isFull && !isFirstHand) return false
    const isNews = before === undefined || before.incarnation < one.incarnation
    if (isFirstHand) heard.delete(one.node)
    if (isNews) heard.set(one.node, one)
    else if (isFirstHand) heard.set(one.node, before)
    const oldest = heard.keys().next().value
    if (heard.size > NAMES_MAX && oldest !== undefined) heard.delete(oldest)
    return isNews && !isFull
  }

  return {
    onShared: (next, out) => {
      const isNew = next && !isShared
      isShared = next
      if (isNew) for (const [peer, facts] of kin()) sayAll(peer, facts, out)
    },
    onConnected: (peer, facts, out) => {
      if (isShared && facts.operator === self.operator) sayAll(peer, facts, out)
    },
    onChild: (child, out) => {
      const called = isShared ? calledHere(child as NodeId) : null
      if (called === null) return
      const saying = `${called.incarnation} ${called.name}`
      if (told.get(called.node) === saying) return
      told.set(called.node, saying)
      for (const [peer, { domain }] of kin()) if (domain !== self.domain) say(peer, [called], out)
    },
    onMessage: ({ from, signer, message }, out) => {
      if (signer.operator !== self.operator || from === self.node) return
      const fresh = message.names.filter((one) => hear(one, signer.domain === one.domain))
      for (const [peer] of kin()) if (peer !== from) say(peer, fresh, out)
    },
    nameOf: (node) => heard.get(node)?.name ?? null,
    domainOf: (node) => heard.get(node)?.domain ?? null,
    nodes: () => heard.keys(),
  }
}

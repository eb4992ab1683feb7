// The connections that passed hello, by peer. Two nodes that dial each other at once get two; both are kept and used as
// one, and the peer is gone when the last is. One that is doubted is used only where there is no other: of a device
// that moved the older connections are dead, and it takes seconds to be sure.

import type { Connection } from '@libp2p/interface'
import { type NodeId, nodeId } from '../kernel/ids.ts'
import type { Deadline } from './deadline.ts'
import type { Member } from './hello.ts'
import type { PathKind, PeerConnected } from './network.ts'

export interface ConnectionEvents {
  /** The first connection to a peer, or a change of its best path. */
  onConnected(peer: PeerConnected): void
  onDisconnected(peer: NodeId): void
  /** Another connection is the best from now on. */
  onBestChanged(peer: NodeId): void
  /** One of several connections closed: whatever ran over it alone has to be set up anew on the one given. */
  onLeaned(peer: NodeId, remaining: Connection): void
}

export interface Connections {
  add(connection: Connection, member: Member): void
  /** Whether there is reason to think that a connection is dead. */
  doubt(connection: Connection, isDoubted: boolean): void
  /** The best open connection: none that is doubted, a direct one before a relayed one, the oldest first. */
  best(peer: NodeId): Connection | null
  /** All connections; those that are doubted come last. */
  all(peer: NodeId): readonly Connection[]
  /** The open ones that are not doubted; all, where there is none of these. */
  usable(peer: NodeId): readonly Connection[]
  /** Aborts with the outer signal, or as soon as this one is doubted or closed and there is another to use instead. */
  leaving(connection: Connection, outer: AbortSignal): Deadline
  member(peer: NodeId): Member | null
  peers(): readonly NodeId[]
}

interface Entry {
  readonly member: Member
  /** The oldest first. */
  readonly connections: readonly Connection[]
}

export function trackConnections(events: ConnectionEvents): Connections {
  const entries = new Map<NodeId, Entry>()
  const doubted = new WeakSet<Connection>()
  /** The best ones as they were told of: one that ends is not open any more when its end is told. */
  const used = new Map<NodeId, Connection>()
  const isTrusted = (connection: Connection): boolean => connection.status === 'open' && !doubted.has(connection)
  const watches = new Map<NodeId, Set<() => void>>()
  const usable = (peer: NodeId): readonly Connection[] => {
    const all = entries.get(peer)?.connections ?? []
    const trusted = all.filter(isTrusted)
    return trusted.length > 0 ? trusted : all
  }
  const best = (peer: NodeId): Connection | null => {
    const all = usable(peer)
    return all.find(({ direct }) => direct) ?? all[0] ?? null
  }
  const tell = (peer: NodeId): void => {
    tellOthers(peer)
    for (const look of [...(watches.get(peer) ?? [])]) look()
  }
  const tellOthers = (peer: NodeId): void => {
    const entry = entries.get(peer)
    const [before, now] = [used.get(peer), best(peer)]
    if (entry === undefined || now === null) {
      if (used.delete(peer)) events.onDisconnected(peer)
      return
    }
    used.set(peer, now)
    if (before !== undefined && before !== now) events.onBestChanged(peer)
    if (before !== undefined && pathOf(before) === pathOf(now) && viaOf(before) === viaOf(now)) return
    const { facts, name } = entry.member
    events.onConnected({ peer, facts, name, path: pathOf(now), via: viaOf(now) })
  }
  const remove = (connection: Connection): void => {
    const peer = peerOf(connection)
    const entry = entries.get(peer)
    if (entry === undefined || !entry.connections.includes(connection)) return
    const connections = entry.connections.filter((other) => other !== connection)
    if (connections.length === 0) entries.delete(peer)
    else entries.set(peer, { ...entry, connections })
    tell(peer)
    const remaining = best(peer)
    if (remaining !== null) events.onLeaned(peer, remaining)
  }
  const leaving: Connections['leaving'] = (connection, outer) => {
    const peer = peerOf(connection)
    const controller = new AbortController()
    const watching = watches.get(peer) ?? new Set()
    const end = (): void => {
      watching.delete(look)
      if (watching.size === 0) watches.delete(peer)
      outer.removeEventListener('abort', onAbort)
    }
    const abort = (reason: unknown): void => {
      end()
      controller.abort(reason)
    }
    const onAbort = (): void => abort(outer.reason)
    const look = (): void => {
      const isLeft = !isTrusted(connection) && usable(peer).some(isTrusted)
      if (isLeft) abort(new Error('there is a better connection'))
    }
    watches.set(peer, watching.add(look))
    outer.addEventListener('abort', onAbort, { once: true })
    if (outer.aborted) onAbort()
    else look()
    return { signal: controller.signal, end }
  }
  return {
    add: (connection, member) => {
      if (connection.status !== 'open') return
      const peer = peerOf(connection)
      entries.set(peer, { member, connections: [...(entries.get(peer)?.connections ?? []), connection] })
      connection.addEventListener('close', () => remove(connection))
      tell(peer)
    },
    doubt: (connection, isDoubted) => {
      if (doubted.has(connection) === isDoubted) return
      if (isDoubted) doubted.add(connection)
      else doubted.delete(connection)
      tell(peerOf(connection))
    },
    best,
    usable,
    leaving,
    all: (peer) =>
      (entries.get(peer)?.connections ?? []).toSorted((a, b) => Number(isTrusted(b)) - Number(isTrusted(a))),
    member: (peer) => entries.get(peer)?.member ?? null,
    peers: () => [...entries.keys()],
  }
}

export const peerOf = (connection: Connection): NodeId => nodeId(connection.remotePeer.toString())

export const pathOf = (connection: Connection): PathKind => (connection.direct ? 'direct' : 'relay')

/** The relay's id, which stands before `/p2p-circuit` in the address. */
export function viaOf(connection: Connection): NodeId | null {
  if (connection.direct) return null
  const before = connection.remoteAddr.toString().split('/p2p-circuit')[0] ?? ''
  const id = before.slice(before.lastIndexOf('/p2p/') + '/p2p/'.length)
  return id === '' ? null : nodeId(id)
}

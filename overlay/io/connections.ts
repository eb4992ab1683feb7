// The connections that passed hello, by peer. Two nodes that dial each other at once get two; both are kept and used as
// one, and the peer is gone when the last is.

import type { Connection } from '@libp2p/interface'
import { type NodeId, nodeId } from '../kernel/ids.ts'
import type { Member } from './hello.ts'
import type { PathKind, PeerConnected } from './network.ts'

export interface ConnectionEvents {
  /** The first connection to a peer (`isNew`), or a change of its best path. */
  onConnected(peer: PeerConnected, isNew: boolean): void
  onDisconnected(peer: NodeId): void
  /** One of several connections closed: whatever ran over it alone has to be set up anew on the one given. */
  onLeaned(peer: NodeId, remaining: Connection): void
}

export interface Connections {
  add(connection: Connection, member: Member): void
  /** The best open connection: a direct one before a relayed one, the oldest first. */
  best(peer: NodeId): Connection | null
  /** All open connections. */
  all(peer: NodeId): readonly Connection[]
  member(peer: NodeId): Member | null
  peers(): readonly NodeId[]
}

interface Entry {
  readonly member: Member
  readonly connections: readonly Connection[]
}

export function trackConnections(events: ConnectionEvents): Connections {
  const entries = new Map<NodeId, Entry>()
  const tell = (peer: NodeId, before: Connection | null): void => {
    const entry = entries.get(peer)
    const now = bestOf(entry)
    if (entry === undefined || now === null) {
      if (before !== null) events.onDisconnected(peer)
      return
    }
    if (before !== null && pathOf(before) === pathOf(now) && viaOf(before) === viaOf(now)) return
    const { facts, name } = entry.member
    events.onConnected({ peer, facts, name, path: pathOf(now), via: viaOf(now) }, before === null)
  }
  const remove = (connection: Connection): void => {
    const peer = peerOf(connection)
    const entry = entries.get(peer)
    if (entry === undefined || !entry.connections.includes(connection)) return
    const before = bestOf(entry)
    const connections = entry.connections.filter((other) => other !== connection)
    if (connections.length === 0) entries.delete(peer)
    else entries.set(peer, { ...entry, connections })
    tell(peer, before)
    const remaining = bestOf(entries.get(peer))
    if (remaining !== null) events.onLeaned(peer, remaining)
  }
  return {
    add: (connection, member) => {
      if (connection.status !== 'open') return
      const peer = peerOf(connection)
      const entry = entries.get(peer)
      entries.set(peer, { member, connections: [...(entry?.connections ?? []), connection] })
      connection.addEventListener('close', () => remove(connection))
      tell(peer, bestOf(entry))
    },
    best: (peer) => bestOf(entries.get(peer)),
    all: (peer) => entries.get(peer)?.connections ?? [],
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

function bestOf(entry: Entry | undefined): Connection | null {
  const connections = entry?.connections ?? []
  return connections.find((connection) => connection.direct) ?? connections[0] ?? null
}

// Who is connected to whom, as each side believes it, and what stands between them. The two sides of a connection learn
// of its end at different times: at once where a process dies, late where a cable or the power goes.

import type { NodeId } from '../../overlay/kernel/ids.ts'

export interface Links {
  /** The connection that `from` believes to have to `to`; 0 for none. */
  believed(from: number, to: number): number
  /** Whom `from` believes to be connected to. */
  peersOf(from: number): Iterable<number>
  hasPeers(from: number): boolean
  /** A new connection, which both sides may now believe in. */
  open(): number
  believe(from: number, to: number, connection: number): void
  /** Messages from one to the other get lost, silently. */
  block(from: number, to: number): void
  /** Takes back one `block`; what was blocked twice stays blocked. */
  unblock(from: number, to: number): void
  isBlocked(from: number, to: number): boolean
  clearBlocks(): void
}

/** What each device believes and misses, kept by device: of thousands each knows a few dozen. */
export function createLinks(count: number): Links {
  const beliefs = Array.from({ length: count }, () => new Map<number, number>())
  const blocks = Array.from({ length: count }, () => new Map<number, number>())
  let opened = 0
  /** How many pairs are blocked: mostly none, and that is quickly said. */
  let blocked = 0
  return {
    believed: (from, to) => beliefs[from]?.get(to) ?? 0,
    peersOf: (from) => (beliefs[from] ?? NONE).keys(),
    hasPeers: (from) => (beliefs[from] ?? NONE).size > 0,
    open: () => {
      opened += 1
      return opened
    },
    believe: (from, to, connection) => {
      if (connection === 0) beliefs[from]?.delete(to)
      else beliefs[from]?.set(to, connection)
    },
    block: (from, to) => {
      const before = blocks[from]?.get(to) ?? 0
      if (before === 0) blocked += 1
      blocks[from]?.set(to, before + 1)
    },
    unblock: (from, to) => {
      const left = (blocks[from]?.get(to) ?? 0) - 1
      if (left > 0) blocks[from]?.set(to, left)
      else if (blocks[from]?.delete(to) === true) blocked -= 1
    },
    isBlocked: (from, to) => blocked > 0 && blocks[from]?.has(to) === true,
    clearBlocks: () => {
      for (const ofOne of blocks) ofOne.clear()
      blocked = 0
    },
  }
}

const NONE: ReadonlyMap<number, number> = new Map()

/** A device as the network sees it. */
export interface Endpoint {
  readonly index: number
  readonly node: NodeId
  /** Whether a process is there to answer. */
  isUp(): boolean
  /** Whether the device has power: then its kernel refuses what its process does not take. */
  isPowered(): boolean
  /** Grows with each start of its process. */
  boot(): number
  receive(bytes: Uint8Array, deliveredBy: NodeId, topic: string | null): void
  onConnected(peer: number): void
  onDisconnected(peer: number): void
}

// Who is connected to whom, as each side believes it, and what stands between them. The two sides of a connection learn
// of its end at different times: at once where a process dies, late where a cable or the power goes.

import type { NodeId } from '../../overlay/kernel/ids.ts'

export interface Links {
  /** The connection that `from` believes to have to `to`; 0 for none. */
  believed(from: number, to: number): number
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

export function createLinks(count: number): Links {
  const beliefs = new Uint32Array(count * count)
  const blocks = new Uint16Array(count * count)
  let opened = 0
  return {
    believed: (from, to) => beliefs[from * count + to] as number,
    open: () => {
      opened += 1
      return opened
    },
    believe: (from, to, connection) => {
      beliefs[from * count + to] = connection
    },
    block: (from, to) => {
      blocks[from * count + to] = (blocks[from * count + to] as number) + 1
    },
    unblock: (from, to) => {
      blocks[from * count + to] = Math.max(0, (blocks[from * count + to] as number) - 1)
    },
    isBlocked: (from, to) => blocks[from * count + to] !== 0,
    clearBlocks: () => {
      blocks.fill(0)
    },
  }
}

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

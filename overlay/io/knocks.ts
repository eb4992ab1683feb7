// The door at which members knock: gives out tickets, and tells whoever comes with one how it is seen. A connection
// that knocked stays open until the other end closes it, because it holds a mapping of that end's NAT.

import type { Socket } from 'node:net'
import type { NodeId } from '../kernel/ids.ts'
import { decodeSeen, encodeSeen, KNOCK, KNOCK_BYTES_MAX, type Seen } from '../knock.ts'
import type { Counters } from './counters.ts'
import { readFrame, writeFrame } from './frames.ts'
import { awaitTicket, connectWith, newTicket } from './ticketed.ts'

/** How long a ticket is good for: the time to agree on a punch. */
const TICKET_MS_MAX = 10_000
/** How long a connection that knocked is kept: agreeing on a punch and making it, twice. */
const KEPT_MS_MAX = 30_000
/** Tickets and connections of one member at once: one per punch, of which it may run as many (punch.ts), and more. */
const KNOCKS_PER_MEMBER_MAX = 128
const KNOCKS_MAX = 2_048
/** As the system writes an address of IPv4 to a socket that serves both families. */
const MAPPED_IPV4 = /^::ffff:(?=\d+\.)/i

export interface Expected {
  readonly ticket: string
  /** Whether somebody came with it. */
  isKnocked(): boolean
}

export interface KnockDoor {
  /** A ticket for one knock by a member; null where it, or all together, have too many. */
  expect(by: NodeId): Expected | null
  /** A connection that began like a knock. */
  accept(socket: Socket): void
  close(): void
}

interface Guest {
  readonly by: NodeId
  socket: Socket | null
  readonly end: () => void
}

export function openKnockDoor(counters: Counters): KnockDoor {
  const guests = new Set<Guest>()
  const invited = new Map<string, Guest>()

  const knocked = (socket: Socket, ticket: string): void => {
    const guest = invited.get(ticket)
    invited.delete(ticket)
    const { remoteAddress, remotePort } = socket
    if (guest === undefined || remoteAddress === undefined || remotePort === undefined) {
      counters.add('knocks-refused')
      socket.destroy()
      return
    }
    guest.socket = socket
    socket.once('close', guest.end).resume()
    writeFrame(socket, encodeSeen({ host: remoteAddress.replace(MAPPED_IPV4, ''), port: remotePort }))
  }
  return {
    expect: (by) => {
      const own = [...guests].filter((guest) => guest.by === by)
      if (guests.size >= KNOCKS_MAX || own.length >= KNOCKS_PER_MEMBER_MAX) return null
      const ticket = newTicket()
      const end = (): void => {
        clearTimeout(unused)
        clearTimeout(kept)
        guests.delete(guest)
        invited.delete(ticket)
        guest.socket?.destroy()
      }
      const guest: Guest = { by, socket: null, end }
      const unused = setTimeout(() => guest.socket === null && end(), TICKET_MS_MAX).unref()
      const kept = setTimeout(end, KEPT_MS_MAX).unref()
      guests.add(guest)
      invited.set(ticket, guest)
      return { ticket, isKnocked: () => guest.socket !== null }
    },
    accept: (socket) => {
      socket.on('error', () => {})
      awaitTicket(socket).then(
        (ticket) => knocked(socket, ticket),
        () => socket.destroy(),
      )
    },
    close: () => {
      for (const guest of [...guests]) guest.end()
    },
  }
}

/** A connection that knocked, and how the other end sees it. */
export interface Knocked {
  readonly socket: Socket
  readonly seen: Seen
}

/** Knocks, from a local port where one is given. Rejects when nobody is there who expects the ticket. */
export async function knock(
  at: { readonly host: string; readonly port: number; readonly localPort?: number; readonly localAddress?: string },
  ticket: string,
  signal: AbortSignal,
): Promise<Knocked> {
  const socket = await connectWith({ ...at, noDelay: true }, KNOCK, ticket, signal)
  try {
    const seen = decodeSeen(await readFrame(socket, KNOCK_BYTES_MAX, signal))
    if (!seen.ok) throw new Error(`the member did not say how it sees this node: ${seen.error}`)
    return { socket, seen: seen.value }
  } catch (problem) {
    socket.destroy()
    throw problem
  }
}

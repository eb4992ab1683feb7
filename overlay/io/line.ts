// A line: one TLS connection between two nodes that carries tunnels. It runs beside the libp2p connection over which
// its key was agreed, on a socket of its own, so that bulk waits for bulk and never for control.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createFrameReader, type FrameKind, readCredit, writeCredit, writeHead } from '../line-frames.ts'
import type { Purse } from '../line-window.ts'
import { createLineTunnel, type LineTunnel, lostTunnel, type TunnelCarrier } from './line-tunnel.ts'

/** Bytes that wait in front of the system's own buffer; then tunnels wait for their turn. Four frames. */
const QUEUED_BYTES_MAX = 262_144
/** A tunnel that carried more is bulk, and new tunnels go to another line: as much as a web page. A guess. */
const BULK_BYTES = 4_194_304
/** The system asks an idle connection for a sign of life after this long, and gives it up 10 s later. */
const KEEP_ALIVE_MS = 5_000

export interface LineSetup {
  readonly socket: Socket
  readonly isDialler: boolean
  readonly purse: Purse
  /** The peer opened a tunnel. */
  onTunnel(duplex: Duplex): void
  /** The number of its tunnels changed, or it turned bulky. */
  onChange(): void
  onClose(problem: Error | null): void
}

export interface Line {
  open(): Duplex
  tunnels(): number
  /** Whether a tunnel on it carries bulk, so that others would wait behind it. */
  isBulky(): boolean
  /** Asks the peer for a sign of life; resolves to whether anything came within so many ms. */
  check(patienceMs: number): Promise<boolean>
  /** Cuts all that it carries. */
  destroy(problem?: Error): void
}

export function createLine(setup: LineSetup): Line {
  const { socket, isDialler, purse } = setup
  const tunnels = new Map<number, LineTunnel>()
  const waiting = new Set<LineTunnel>()
  const bulky = new Set<LineTunnel>()
  // Numbers only grow, odd ones from the dialler: so a frame for a tunnel that is gone is told from the first of a new
  // one.
  let own = isDialler ? -1 : 0
  let lastOfPeer = isDialler ? 0 : -1
  let heard = 0

  const send = (kind: FrameKind, number: number, parts: readonly Uint8Array[], length: number): void => {
    if (socket.destroyed) return
    socket.cork()
    socket.write(writeHead(kind, number, length))
    for (const part of parts) socket.write(part)
    socket.uncork()
  }
  const hasRoom = (): boolean => socket.writableLength < QUEUED_BYTES_MAX
  const pumpWaiting = (): void => {
    while (waiting.size > 0 && hasRoom()) {
      const [next] = waiting
      if (next === undefined) return
      waiting.delete(next)
      if (next.pump()) waiting.add(next)
    }
  }

  const look = (tunnel: LineTunnel): void => {
    if (tunnel.carried() <= BULK_BYTES || bulky.has(tunnel)) return
    bulky.add(tunnel)
    setup.onChange()
  }

  const addTunnel = (number: number): LineTunnel => {
    let isCut = false
    const carrier: TunnelCarrier = {
      hasRoom,
      waitForRoom: (one) => void waiting.add(one),
      data: (parts) => {
        send(
          'data',
          number,
          parts,
          parts.reduce((sum, part) => sum + part.length, 0),
        )
      },
      end: () => send('end', number, [], 0),
      credit: (bytes) => {
        send('credit', number, [writeCredit(bytes)], 4)
        look(tunnel)
      },
      cut: () => {
        if (!isCut) send('cut', number, [], 0)
        isCut = true
      },
      closed: () => {
        waiting.delete(tunnel)
        bulky.delete(tunnel)
        if (tunnels.delete(number)) setup.onChange()
      },
    }
    const tunnel = createLineTunnel(carrier, purse)
    tunnels.set(number, tunnel)
    setup.onChange()
    return tunnel
  }

  /** The tunnel that a frame is for; null when it is gone. The first bytes of a new one open it. */
  const tunnelFor = (kind: FrameKind, number: number): LineTunnel | null => {
    const known = tunnels.get(number)
    if (known !== undefined || kind !== 'data') return known ?? null
    const isPeers = number % 2 === (isDialler ? 0 : 1)
    if (!isPeers || number <= lastOfPeer) return null
    lastOfPeer = number
    const tunnel = addTunnel(number)
    setup.onTunnel(tunnel.duplex)
    return tunnel
  }

  const onFrame = (kind: FrameKind, number: number, bytes: Uint8Array): void => {
    if (kind === 'ping') return send('pong', 0, [], 0)
    if (kind === 'pong') return
    const tunnel = tunnelFor(kind, number)
    if (tunnel === null) return
    switch (kind) {
      case 'data':
        if (!tunnel.receive(bytes)) destroy(new Error('the peer sent more than it was allowed to'))
        return
      case 'end':
        return tunnel.receiveEnd()
      case 'credit':
        tunnel.receiveCredit(readCredit(bytes) ?? 0)
        return look(tunnel)
      case 'cut':
        return tunnel.lose(lostTunnel('the tunnel was reset by the other side'))
    }
  }

  const frames = createFrameReader(onFrame)
  let problem: Error | null = null
  const destroy = (reason?: Error): void => {
    problem ??= reason ?? null
    socket.destroy()
  }

  socket.setNoDelay(true)
  socket.setKeepAlive(true, KEEP_ALIVE_MS)
  socket.setTimeout(0)
  socket.on('data', (bytes: Uint8Array) => {
    heard += 1
    const read = frames.take(bytes)
    if (!read.ok) destroy(new Error(read.error))
  })
  socket.on('drain', pumpWaiting)
  socket.on('error', (reason) => {
    problem ??= reason
  })
  socket.on('end', () => socket.end())
  socket.on('close', () => {
    for (const tunnel of [...tunnels.values()])
      tunnel.lose(lostTunnel(`the line was lost${problem === null ? '' : `: ${problem.message}`}`))
    setup.onClose(problem)
  })
  return {
    open: () => {
      own += 2
      return addTunnel(own).duplex
    },
    tunnels: () => tunnels.size,
    isBulky: () => bulky.size > 0,
    check: async (patienceMs) => {
      const before = heard
      send('ping', 0, [], 0)
      const { promise, resolve } = Promise.withResolvers<boolean>()
      setTimeout(() => resolve(heard > before), patienceMs)
      return await promise
    },
    destroy,
  }
}

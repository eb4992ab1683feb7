// A line: one TLS connection between two nodes that carries tunnels. It runs beside the libp2p connection over which
// its key was agreed, on a socket of its own, so that bulk waits for bulk and never for control.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { unreachable } from '../kernel/assert.ts'
import { createFrameReader, type FrameKind, readCredit, writeCredit, writeHead } from '../line-frames.ts'
import type { Purse } from '../line-window.ts'
import { createLineTunnel, type Done, type LineTunnel, lostTunnel } from './line-tunnel.ts'
import { receiveIntoSlabs } from './slab-reading.ts'
import { lend } from './slabs.ts'

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
  /** Whether it was ended by an error, or under tunnels that had not ended. */
  onClose(isBroken: boolean): void
}

/** The life of one connection: from the handshake until its socket closes. */
export class Line {
  readonly #setup: LineSetup
  readonly #tunnels = new Map<number, LineTunnel>()
  readonly #waiting = new Set<LineTunnel>()
  readonly #bulky = new Set<LineTunnel>()
  readonly #frames = createFrameReader((kind, number, bytes) => this.#onFrame(kind, number, bytes))
  // Numbers only grow, odd ones from the dialler: so a frame for a tunnel that is gone is told from the first of a new
  // one.
  #own: number
  #lastOfPeer: number
  readonly #asking = new Set<() => void>()
  #heardAt = performance.now()
  #problem: Error | null = null
  #isCorked = false
  #isInSlabs = false

  constructor(setup: LineSetup) {
    this.#setup = setup
    this.#own = setup.isDialler ? -1 : 0
    this.#lastOfPeer = setup.isDialler ? 0 : -1
    const { socket } = setup
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    socket.on('data', this.#take)
    socket.on('error', (problem) => {
      this.#problem ??= problem
    })
    socket.on('end', () => socket.end())
    socket.on('close', () => this.#onClose())
  }

  /** A new tunnel; the peer hears of it with its first bytes. */
  open(): Duplex {
    this.#own += 2
    return this.#addTunnel(this.#own).duplex
  }

  get tunnels(): number {
    return this.#tunnels.size
  }

  /** Whether a tunnel on it carries bulk, so that others would wait behind it. */
  get isBulky(): boolean {
    return this.#bulky.size > 0
  }

  /** How long nothing has come from the peer, in ms. */
  get silentMs(): number {
    return performance.now() - this.#heardAt
  }

  /** Asks the peer for a sign of life; resolves to true when anything comes, to false after so many ms. */
  check(patienceMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => resolve(false), patienceMs).unref()
    this.#asking.add(() => {
      clearTimeout(timer)
      resolve(true)
    })
    this.#send('ping', 0, [])
    return promise
  }

  /** Cuts all that it carries. */
  destroy(problem?: Error): void {
    this.#problem ??= problem ?? null
    this.#setup.socket.destroy()
  }

  readonly #take = (bytes: Uint8Array): void => {
    this.#heardAt = performance.now()
    for (const answer of this.#asking) answer()
    this.#asking.clear()
    const read = this.#frames.take(bytes)
    if (!read.ok) this.destroy(new Error(read.error))
    const { socket } = this.#setup
    if (this.#isInSlabs || socket.bytesRead <= BULK_BYTES || !receiveIntoSlabs(socket, this.#take)) return
    this.#isInSlabs = true
    socket.off('data', this.#take)
  }

  #send(kind: FrameKind, number: number, parts: readonly Uint8Array[], written?: Done): void {
    const { socket } = this.#setup
    if (socket.destroyed) return
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    this.#cork()
    socket.write(writeHead(kind, number, length))
    for (const [index, part] of parts.entries()) socket.write(part, index === parts.length - 1 ? written : undefined)
  }

  /** What is sent in one callback is one write: TLS begins a record with each, and the system is called for each. */
  #cork(): void {
    if (this.#isCorked) return
    const { socket } = this.#setup
    this.#isCorked = true
    socket.cork()
    process.nextTick(() => {
      this.#isCorked = false
      socket.uncork()
    })
  }

  #hasRoom(): boolean {
    return this.#setup.socket.writableLength < QUEUED_BYTES_MAX
  }

  /** One frame of each tunnel that waits, turn after turn. None goes ahead of them, or they might wait for ever. */
  #pumpWaiting(): void {
    for (const next of this.#waiting) {
      if (!this.#hasRoom()) return
      this.#waiting.delete(next)
      // Whoever is added comes last.
      if (next.pump()) this.#waiting.add(next)
    }
  }

  #addTunnel(number: number): LineTunnel {
    const tunnel: LineTunnel = createLineTunnel(
      {
        sendInTurn: (one) => {
          this.#waiting.add(one)
          this.#pumpWaiting()
        },
        data: (parts, written) =>
          this.#send('data', number, parts, (problem) => {
            written?.(problem)
            this.#pumpWaiting()
          }),
        end: () => this.#send('end', number, []),
        credit: (bytes) => {
          this.#send('credit', number, [writeCredit(bytes)])
          this.#look(tunnel)
        },
        cut: () => this.#send('cut', number, []),
        closed: () => {
          this.#waiting.delete(tunnel)
          this.#bulky.delete(tunnel)
          if (this.#tunnels.delete(number)) this.#setup.onChange()
        },
      },
      this.#setup.purse,
    )
    this.#tunnels.set(number, tunnel)
    this.#setup.onChange()
    return tunnel
  }

  /** Whether a tunnel has turned into bulk. */
  #look(tunnel: LineTunnel): void {
    if (tunnel.carried() <= BULK_BYTES || this.#bulky.has(tunnel)) return
    this.#bulky.add(tunnel)
    this.#setup.onChange()
  }

  #onFrame(kind: FrameKind, number: number, bytes: Uint8Array): void {
    if (kind === 'ping') return this.#send('pong', 0, [])
    if (kind === 'pong') return
    const tunnel = this.#tunnels.get(number) ?? (kind === 'data' ? this.#accept(number) : null)
    if (tunnel === null) return
    switch (kind) {
      case 'data':
        if (!tunnel.receive(lend(bytes))) this.destroy(new Error('the peer sent more than it was allowed to'))
        return
      case 'end':
        return tunnel.receiveEnd()
      case 'credit':
        tunnel.receiveCredit(readCredit(bytes) ?? 0)
        return this.#look(tunnel)
      case 'cut':
        return tunnel.lose(lostTunnel('the tunnel was reset by the other side'))
      default:
        return unreachable(kind)
    }
  }

  /** The tunnel that the peer opens with its first bytes; null for bytes of one that is gone. */
  #accept(number: number): LineTunnel | null {
    const isPeers = number % 2 === (this.#setup.isDialler ? 0 : 1)
    if (!isPeers || number <= this.#lastOfPeer) return null
    this.#lastOfPeer = number
    const tunnel = this.#addTunnel(number)
    this.#setup.onTunnel(tunnel.duplex)
    return tunnel
  }

  #onClose(): void {
    const why = this.#problem === null ? '' : `: ${this.#problem.message}`
    const isBroken = this.#problem !== null || this.#tunnels.size > 0
    for (const tunnel of [...this.#tunnels.values()]) tunnel.lose(lostTunnel(`the line was lost${why}`))
    this.#setup.onClose(isBroken)
  }
}

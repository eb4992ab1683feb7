// The caller's side of UDP: a flow is what one program sends to one service, carried by a tunnel of its own, so that an
// answer finds its way back. A flow begins with its first datagram and ends when it is idle or its tunnel is cut.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { createDatagramReader, frameDatagram } from '../datagrams.ts'
import { DATAGRAM_IDLE_MS } from './datagram-duplex.ts'
import type { Connect, ConnectProblem, Listener, Origin } from './way-in.ts'

/** Flows of one listener at once; the datagram that would begin another is dropped. A guess. */
export const FLOWS_MAX = 1_024
/** Datagrams that wait while their flow's tunnel opens; more are dropped. A guess. */
const OPENING_DATAGRAMS_MAX = 64
/** Bytes that wait for a slow tunnel; datagrams beyond are dropped, as a full link would. */
const WAITING_BYTES_MAX = 262_144

/** One program's datagram for `address`. */
export interface Outgoing {
  readonly from: Origin
  /** `name:port` of the service. */
  readonly address: string
  /** Tells flows apart that differ in how their answers are written; empty where there is one way. */
  readonly label: string
  readonly datagram: Uint8Array
  /** Takes an answer back to the program. */
  readonly answer: (datagram: Uint8Array) => void
}

export interface DatagramFlows {
  carry(outgoing: Outgoing): void
  close(): void
}

interface Flow {
  readonly waiting: Uint8Array[]
  tunnel: Duplex | null
}

export function createDatagramFlows(connect: Connect, onProblem: (problem: ConnectProblem) => void): DatagramFlows {
  const flows = new Map<string, Flow>()
  const closing = new AbortController()

  const begin = async (key: string, flow: Flow, { from, address, answer }: Outgoing): Promise<void> => {
    const connected = await connect(address, closing.signal, { protocol: 'udp', from })
    if (!connected.ok) {
      flows.delete(key)
      onProblem(connected.error)
      return
    }
    const tunnel = connected.value
    if (closing.signal.aborted) return void tunnel.destroy()
    flow.tunnel = tunnel
    const idle = setTimeout(() => tunnel.destroy(), DATAGRAM_IDLE_MS)
    const reader = createDatagramReader()
    tunnel.on('data', (chunk: Uint8Array) => {
      idle.refresh()
      const datagrams = reader.push(chunk)
      if (!datagrams.ok) return void tunnel.destroy()
      for (const datagram of datagrams.value) answer(datagram)
    })
    tunnel.on('error', () => {})
    tunnel.once('end', () => tunnel.destroy())
    tunnel.once('close', () => {
      clearTimeout(idle)
      flows.delete(key)
    })
    for (const framed of flow.waiting.splice(0)) tunnel.write(framed)
  }

  return {
    carry: (outgoing) => {
      const { from, address, label, datagram } = outgoing
      const framed = frameDatagram(datagram)
      if (framed === null || closing.signal.aborted) return
      const key = `${from.address} ${from.port} ${address} ${label}`
      const known = flows.get(key)
      if (known?.tunnel) {
        if (known.tunnel.writableLength + framed.length <= WAITING_BYTES_MAX) known.tunnel.write(framed)
      } else if (known !== undefined) {
        if (known.waiting.length < OPENING_DATAGRAMS_MAX) known.waiting.push(framed)
      } else if (flows.size >= FLOWS_MAX) {
        onProblem({ code: 'limit', sentence: `${address}: at most ${FLOWS_MAX} flows of datagrams at once` })
      } else {
        const flow: Flow = { waiting: [framed], tunnel: null }
        flows.set(key, flow)
        void begin(key, flow, outgoing)
      }
    },
    close: () => {
      closing.abort()
      for (const { tunnel } of flows.values()) tunnel?.destroy()
      flows.clear()
    },
  }
}

/**
 * Listens for datagrams on an address of this device and carries them to one service. Rejects when it cannot listen.
 */
export async function carryDatagramsFrom(
  at: { readonly host: string; readonly port: number },
  address: string,
  connect: Connect,
  onProblem: (problem: ConnectProblem) => void,
): Promise<Listener> {
  const socket = createSocket(at.host.includes(':') ? 'udp6' : 'udp4')
  const flows = createDatagramFlows(connect, onProblem)
  socket.on('message', (datagram, sender) => {
    const answer = (bytes: Uint8Array): void => socket.send(bytes, sender.port, sender.address, () => {})
    flows.carry({ from: { address: sender.address, port: sender.port }, address, label: '', datagram, answer })
  })
  socket.bind(at.port, at.host)
  await once(socket, 'listening')
  // An answer to a program that is gone comes back as an error; nobody else waits for it.
  socket.on('error', () => {})
  return {
    host: at.host,
    port: socket.address().port,
    close: async () => {
      flows.close()
      const closed = once(socket, 'close')
      socket.close()
      await closed
    },
  }
}

// Ports of instances on this device: free ones to hand out, and whether somebody answers at one.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Endpoint } from '../../services-registry/record.ts'
import type { ServiceSpec } from '../spec.ts'
import { pause } from './deadline.ts'

export const LOOPBACK = '127.0.0.1'

/**
 * Between two tries to connect to a starting instance, in ms: a tenth of what it took so far, within these bounds. So
 * what is lost is little beside what the program takes, and a slow one costs few tries. Guesses.
 */
const POLL_MS_MIN = 2
const POLL_MS_MAX = 25
const POLL_SHARE = 0.1
/** A connect to loopback that takes longer is lost, in ms: a guess. */
const CONNECT_TIMEOUT_MS = 2_000

/**
 * A free port for each declared one. Each is bound, noted and given back, so another program may take it before the
 * instance does; the instance then fails to listen, ends, and its next start gets other ports.
 */
export async function allocateEndpoint(ports: ServiceSpec['ports']): Promise<Endpoint> {
  const held = await Promise.all(ports.map(({ protocol }) => (protocol === 'tcp' ? holdTcp() : holdUdp())))
  await Promise.all(held.map(({ release }) => release()))
  return {
    host: LOOPBACK,
    ports: ports.map(({ declared, protocol }, index) => ({ declared, actual: held[index]?.port ?? 0, protocol })),
  }
}

interface HeldPort {
  readonly port: number
  release(): Promise<unknown>
}

async function holdTcp(): Promise<HeldPort> {
  const server = createServer().listen(0, LOOPBACK)
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the system gave no port')
  return { port: address.port, release: () => new Promise((resolve) => server.close(resolve)) }
}

async function holdUdp(): Promise<HeldPort> {
  const socket = createSocket('udp4').bind(0, LOOPBACK)
  await once(socket, 'listening')
  return { port: socket.address().port, release: () => new Promise<void>((resolve) => socket.close(resolve)) }
}

export interface AnswerOptions {
  /** How long a connection has to stay open to count, in ms; 0 takes any. */
  readonly holdMs: number
  readonly signal: AbortSignal
}

/** Waits until a port accepts a connection; false when the signal aborted before that. */
export async function awaitAnswer(host: string, port: number, options: AnswerOptions): Promise<boolean> {
  const begunMs = performance.now()
  while (!options.signal.aborted) {
    if (await answers(host, port, options)) return true
    const waitMs = (performance.now() - begunMs) * POLL_SHARE
    await pause(Math.min(POLL_MS_MAX, Math.max(POLL_MS_MIN, waitMs)), options.signal)
  }
  return false
}

/**
 * Whether a connection is accepted now and stays open for `holdMs` (or brings data). The latter matters with Docker,
 * whose proxy accepts at once and hangs up when nobody listens in the container.
 */
function answers(host: string, port: number, options: AnswerOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    let held: NodeJS.Timeout | undefined
    const end = (answered: boolean): void => {
      clearTimeout(held)
      options.signal.removeEventListener('abort', giveUp)
      socket.destroy()
      resolve(answered)
    }
    const giveUp = (): void => end(false)
    options.signal.addEventListener('abort', giveUp, { once: true })
    socket.setTimeout(CONNECT_TIMEOUT_MS, giveUp)
    socket.on('error', giveUp)
    socket.on('close', giveUp)
    socket.on('data', () => end(true))
    socket.on('connect', () => {
      held = setTimeout(() => end(true), options.holdMs)
    })
  })
}

// Dials addresses that lead to a peer without a relay, as RFC 8305 does: the next one soon, without waiting for the one
// before to fail. Not through libp2p's queue, which tries one after the other and has later dials of the same peer wait
// there: an address of somebody else's local network swallows packets for seconds.

import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { dialRank, HANDSHAKE_MS_MAX, type Libp2pNode } from './create-libp2p.ts'
import { within } from './deadline.ts'
import { hostAndPortOf } from './dial-back.ts'
import { closeQuietly } from './hello.ts'
import type { OwnDialOptions } from './punched-tcp.ts'

/** For one address to take the connection; as long as libp2p tries one (create-libp2p.ts). */
const ADDRESS_MS_MAX = 5_000
/** RFC 8305, section 5: what is recommended between the attempts. */
const NEXT_ADDRESS_MS = 250

/** Dials addresses of one peer, the likeliest first. Rejects when none answers. */
export type DirectDial = (addresses: readonly Multiaddr[]) => Promise<Connection>

/** A dial that runs; searches that began at about the same time have it in common. */
interface Attempt {
  readonly dialling: Promise<Connection>
  /** Searches that may still take what comes of it. */
  searches: number
}

/** `stop` ends what is being tried. */
export function createDirectDial(node: Libp2pNode, stop: AbortSignal): DirectDial {
  const running = new Map<string, Attempt>()
  const taken = new WeakSet<Connection>()
  const attempt = (address: Multiaddr): Attempt => {
    const key = address.toString()
    const known = running.get(key)
    if (known !== undefined) return known
    // Node ends a socket whenever the signal aborts that it was made with, so that must end with the dial.
    const patience = within(ADDRESS_MS_MAX, stop)
    const { signal } = patience
    // Who took it is there, and may be as busy as this node: who gives up has it do the same work again.
    const own: OwnDialOptions = { onTaken: () => patience.renew(HANDSHAKE_MS_MAX) }
    // Names are for libp2p to look up.
    const isPlain = hostAndPortOf(key) !== null
    const dialling = isPlain
      ? node.services.inside.transportManager.dial(address, { ...own, signal })
      : node.dial(address, { signal })
    const ended = dialling.finally(() => {
      patience.end()
      running.delete(key)
    })
    const begun: Attempt = { dialling: ended, searches: 0 }
    running.set(key, begun)
    return begun
  }
  /** A search is over: what no other one waits for and none has taken is closed. */
  const leave = (one: Attempt): void => {
    one.searches -= 1
    const closeIfSpare = (made: Connection): void => {
      if (one.searches === 0 && !taken.has(made)) void closeQuietly(made)
    }
    one.dialling.then(closeIfSpare, () => {})
  }
  return async (addresses) => {
    const attempts: Attempt[] = []
    let isWon = false
    for (const address of addresses.toSorted((a, b) => dialRank(a) - dialRank(b))) {
      const latest = attempt(address)
      latest.searches += 1
      attempts.push(latest)
      latest.dialling.then(
        () => {
          isWon = true
        },
        () => {},
      )
      const failed = new AbortController()
      await Promise.race([
        delay(NEXT_ADDRESS_MS, null, { signal: failed.signal }).catch(() => {}),
        latest.dialling.catch(() => {}),
      ])
      failed.abort()
      if (isWon) break
    }
    try {
      const first = await Promise.any(attempts.map(({ dialling }) => dialling))
      taken.add(first)
      return first
    } finally {
      for (const one of attempts) leave(one)
    }
  }
}

// Dials addresses that lead to a peer without a relay, as RFC 8305 does: the next one soon, without waiting for the one
// before to fail. Not through libp2p's queue, which tries one after the other and has later dials of the same peer wait
// there: an address of somebody else's local network swallows packets for seconds.

import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { dialRank, type Libp2pNode } from './create-libp2p.ts'
import { within } from './deadline.ts'
import { hostAndPortOf } from './dial-back.ts'
import { closeQuietly } from './hello.ts'

/** For one address; as long as libp2p tries one (create-libp2p.ts). */
const ADDRESS_MS_MAX = 5_000
/** RFC 8305, section 5: what is recommended between the attempts. */
const NEXT_ADDRESS_MS = 250

/** Dials addresses of one peer, the likeliest first. Rejects when none answers. */
export type DirectDial = (addresses: readonly Multiaddr[]) => Promise<Connection>

/** `stop` ends what is being tried. */
export function createDirectDial(node: Libp2pNode, stop: AbortSignal): DirectDial {
  const running = new Map<string, Promise<Connection>>()
  const attempt = (address: Multiaddr): Promise<Connection> => {
    const key = address.toString()
    const known = running.get(key)
    if (known !== undefined) return known
    // Node ends a socket whenever the signal aborts that it was made with, so that must end with the dial.
    const patience = within(ADDRESS_MS_MAX, stop)
    const { signal } = patience
    // Names are for libp2p to look up.
    const isPlain = hostAndPortOf(key) !== null
    const dialling = isPlain
      ? node.services.inside.transportManager.dial(address, { signal })
      : node.dial(address, { signal })
    const ended = dialling.finally(() => {
      patience.end()
      running.delete(key)
    })
    running.set(key, ended)
    return ended
  }
  return async (addresses) => {
    const attempts: Promise<Connection>[] = []
    let isWon = false
    for (const address of addresses.toSorted((a, b) => dialRank(a) - dialRank(b))) {
      const latest = attempt(address)
      attempts.push(latest)
      latest.then(
        () => {
          isWon = true
        },
        () => {},
      )
      const failed = new AbortController()
      await Promise.race([
        delay(NEXT_ADDRESS_MS, null, { signal: failed.signal }).catch(() => {}),
        latest.catch(() => {}),
      ])
      failed.abort()
      if (isWon) break
    }
    const first = await Promise.any(attempts)
    const closeIfLater = (one: Connection): void => void (one !== first && closeQuietly(one))
    for (const one of attempts) one.then(closeIfLater, () => {})
    return first
  }
}

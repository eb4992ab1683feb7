// Which devices of the cluster have an image: asked one after the other, the nearest first, until one could be used.

import type { DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import { TUNNEL_IMAGE_CHARS_MAX } from '../overlay/tunnel.ts'
import type { ImageOffer } from '../placement/runtime.ts'
import type { Traffic } from './traffic.ts'

/** Devices that are asked for one image. A guess: whoever is further away is no better than a registry. */
const ASKED_MAX = 16

export interface ImageOffersOptions {
  readonly domain: DomainPath
  /** The other members of the cluster that are there now. */
  readonly members: () => readonly NodeId[]
  readonly rttMs: (node: NodeId) => number | null
  readonly nameOf: (node: NodeId) => string | null
  readonly traffic: () => Pick<Traffic, 'tunnelTo'>
}

export async function* imageOffers(
  options: ImageOffersOptions,
  image: string,
  have: Uint8Array,
  signal: AbortSignal,
): AsyncGenerator<ImageOffer> {
  if (image.length > TUNNEL_IMAGE_CHARS_MAX) return
  const { domain, nameOf, rttMs, traffic } = options
  const far = Number.POSITIVE_INFINITY
  const nearest = [...options.members()].sort((a, b) => (rttMs(a) ?? far) - (rttMs(b) ?? far))
  for (const node of nearest.slice(0, ASKED_MAX)) {
    if (signal.aborted) return
    const opened = await traffic().tunnelTo(node, domain, { kind: 'image', image, have }, signal)
    if (!opened.ok) continue
    opened.value.end()
    yield { from: nameOf(node) ?? node, stream: opened.value }
  }
}

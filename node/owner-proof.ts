// Who may have what an operator keeps for a service: whoever runs it, as the records tell. And who is asked for it: the
// device that submitted the service, then its operator's others. What is handed over is one message in a tunnel.

import { Duplex } from 'node:stream'
import { childTowards, isWithin, type NodeId, type ServiceId } from '../overlay/kernel/ids.ts'
import type { SignerFacts } from '../overlay/wire/envelope.ts'
import { isNumberOf, isSpec, type PlacementRecord } from '../services-registry/index.ts'
import type { CoreView } from './core/core-view.ts'
import type { Lookups } from './lookups.ts'
import { specOf } from './view.ts'

/** Devices that are asked for one thing. A guess: who submitted a service is the first, and has it mostly. */
const ASKED_MAX = 8

export type OwnView = Pick<CoreView, 'self' | 'stores' | 'unaccepted' | 'roster' | 'roundTripMs'>

/** Whoever submitted a service, as its record says. */
export async function submitterOf(
  { core, lookUp }: { readonly core: OwnView; readonly lookUp: Lookups['lookUp'] },
  service: ServiceId,
  signal: AbortSignal,
): Promise<SignerFacts | null> {
  const known = specOf(core as CoreView, service)
  if (known !== null) return known.signer
  const { records } = await lookUp(service, signal)
  return records?.find(isSpec)?.signer ?? null
}

/** The device that submitted it, then its operator's others of this cluster, the nearest first. */
export function devicesToAsk({ self, roster, roundTripMs }: OwnView, signer: SignerFacts): readonly NodeId[] {
  const far = Number.POSITIVE_INFINITY
  const others = [...roster().values()]
    .filter(({ node, state, facts }) => state === 'alive' && facts.operator === signer.operator && node !== signer.node)
    .map(({ node }) => node)
    .sort((a, b) => (roundTripMs(a) ?? far) - (roundTripMs(b) ?? far))
  return [signer.node, ...others].filter((node) => node !== self.node).slice(0, ASKED_MAX)
}

/**
 * Whether an instance is placed on a device, by the placements that this node holds. One on a domain stands for the
 * devices in it: who places work there lets its leader choose among them.
 */
export function isPlacedOn(core: OwnView, facts: SignerFacts, service: ServiceId, number: number): boolean {
  const orders = core
    .stores()
    .flatMap((store) => store.placements(service))
    .map(({ message }) => message)
    .filter((order) => isNumberOf(order, number) && order.child !== null && isWithin(facts.domain, order.domain))
  return orders.length > 0 && orders.every((order) => leadsTo(order, facts))
}

function leadsTo({ domain, child, previous }: PlacementRecord, facts: SignerFacts): boolean {
  const here = childTowards(domain, facts.domain, facts.node)
  return here === child || here === previous
}

/** A stream that says one thing and ends; what comes in goes nowhere. */
export function oneMessage(message: string | Uint8Array): Duplex {
  return new Duplex({
    read() {
      this.push(message)
      this.push(null)
    },
    write: (_chunk, _encoding, done) => done(),
  })
}

/** A stream that takes one message and answers with one byte when it was of use, with nothing when not. */
export function taking(bytesMax: number, take: (message: Uint8Array) => Promise<boolean>): Duplex {
  const pieces: Buffer[] = []
  let size = 0
  return new Duplex({
    read() {},
    write(piece: Buffer, _encoding, done) {
      size += piece.length
      if (size <= bytesMax) pieces.push(piece)
      done()
    },
    final(done) {
      const taken = size > bytesMax ? Promise.resolve(false) : take(Buffer.concat(pieces))
      taken
        .catch(() => false)
        .then((isOfUse) => {
          if (isOfUse) this.push(Buffer.from([1]))
          this.push(null)
          done()
        })
    },
  })
}

/** What a stream says until it ends; null where that is too much, takes too long or breaks off. */
export async function readMessage(stream: Duplex, bytesMax: number, msMax: number): Promise<Uint8Array | null> {
  const deadline = setTimeout(() => stream.destroy(new Error('no answer came in time')), msMax)
  const pieces: Buffer[] = []
  try {
    for await (const piece of stream) {
      pieces.push(piece as Buffer)
      if (pieces.reduce((sum, { length }) => sum + length, 0) > bytesMax) return null
    }
    return Buffer.concat(pieces)
  } catch {
    return null
  } finally {
    clearTimeout(deadline)
    stream.destroy()
  }
}

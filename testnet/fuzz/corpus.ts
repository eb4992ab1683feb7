// Real messages to begin from: what a small simulated federation says while people deploy, move and remove services,
// of each kind the first few, as they went over the wire.

import type { Question } from '../../node/core/asking.ts'
import type { CoreMessage } from '../../node/core/effects.ts'
import { type DomainPath, ROOT } from '../../overlay/kernel/ids.ts'
import { decodeBounded } from '../../overlay/wire/codec.ts'
import { isSpokenFrame, readFrame } from '../../overlay/wire/frame.ts'
import { serviceIdOf } from '../../placement/spec.ts'
import { simpleSpec } from '../sim/workload.ts'
import { createWorld, NO_DEFECTS, type World } from '../sim/world.ts'

/** A frame that was said, the topic it came on, and what stood in it. */
export interface Sample {
  readonly bytes: Uint8Array
  readonly body: Uint8Array
  readonly topic: string | null
  readonly kind: CoreMessage['kind']
}

const SAMPLES_PER_KIND_MAX = 24
const NODES = 6
const CLUSTERS = 2
/** Long enough for electors to be promoted, for aggregates, and for a rollout. */
const WATCHED_MS = 40_000

/** The samples by their kind. */
export function gatherSamples(seed: number): ReadonlyMap<string, readonly Sample[]> {
  const found = new Map<string, Sample[]>()
  const onFrame = (_device: unknown, bytes: Uint8Array, topic: string | null): void => {
    const body = bodyOf(bytes)
    const kind = body === null ? null : kindOf(body)
    if (body === null || kind === null) return
    const samples = found.get(kind) ?? []
    found.set(kind, samples)
    if (samples.length < SAMPLES_PER_KIND_MAX) samples.push({ bytes, body, topic, kind })
  }
  const world = createWorld({
    seed,
    nodes: NODES,
    clusters: CLUSTERS,
    defects: NO_DEFECTS,
    onLine: null,
    onVote: () => undefined,
    onFrame,
  })
  busy(world)
  world.run(WATCHED_MS)
  return found
}

/** What people ask for in the first half minute, so that there is something of every kind to say. */
export function busy({ agenda, devices, network }: World): void {
  const at = (moment: number, act: () => void): void => agenda.at(moment, act)
  const [first, second] = devices
  if (first === undefined || second === undefined) return
  const submit = (device: typeof first, domain: DomainPath, name: string, replicas: number | null): void => {
    const spec = { ...simpleSpec(name), replicas: replicas ?? 0 }
    device.input({ kind: 'submit', domain, service: serviceIdOf(spec), spec: replicas === null ? null : spec })
  }
  const shop = serviceIdOf(simpleSpec('shop'))
  at(9_000, () => submit(first, ROOT, 'shop', 3))
  at(10_000, () => submit(second, second.facts.facts.domain, 'local', 2))
  at(14_000, () => submit(first, ROOT, 'shop', 2))
  at(15_000, () => {
    for (const [number, device] of devices.entries())
      device.input({ kind: 'resolve', requestId: number, service: shop })
  })
  const ask = (question: Question): void => first.input({ kind: 'ask', question })
  for (const [number, set] of (['cordoned', 'open', 'draining', 'open'] as const).entries())
    at(16_000 + number * 2_000, () => ask({ node: devices[3]?.node ?? first.node, set, requestId: `ask-${number}` }))
  at(15_500, () => ask({ domain: ROOT, service: shop, number: 0, to: '', requestId: 'move' }))
  at(24_000, () => submit(second, second.facts.facts.domain, 'local', null))
  // A leader goes, and one half is cut off for a while: elections, pleas and proofs.
  at(26_000, () => devices[2]?.killProcess())
  at(28_000, () => devices[2]?.start())
  const pairs = [0, 1, 2].flatMap((a) =>
    [3, 4, 5].flatMap(
      (b) =>
        [
          [a, b],
          [b, a],
        ] as const,
    ),
  )
  at(30_000, () => network.part(pairs))
  at(36_000, () => network.heal())
}

/** The message inside a frame; null where there is none. */
export function bodyOf(bytes: Uint8Array): Uint8Array | null {
  if (isSpokenFrame(bytes)) return bytes
  const raw = decodeBounded(bytes)
  return raw.ok ? (readFrame(raw.value)?.body ?? null) : null
}

function kindOf(body: Uint8Array): CoreMessage['kind'] | null {
  const raw = decodeBounded(body)
  const kind = raw.ok ? (raw.value as { readonly kind?: unknown } | null)?.kind : null
  return typeof kind === 'string' ? (kind as CoreMessage['kind']) : null
}

// The whole mind of a node against a member that lies: a simulated federation in which one device's key is in hostile
// hands. Its messages are real ones that were changed and signed anew, or spoken, as only the holder of a key can.

import { pick, type Random, randomInt } from '../../overlay/kernel/random.ts'
import { decodeBounded, encodeCbor } from '../../overlay/wire/codec.ts'
import { isSpokenFrame, readFrame } from '../../overlay/wire/frame.ts'
import { chance } from '../sim/streams.ts'
import { createWorld, NO_DEFECTS, type World } from '../sim/world.ts'
import { busy, gatherSamples, type Sample } from './corpus.ts'
import { mutateBytes, mutateValue } from './mutate.ts'
import type { Session, Target } from './target.ts'

const NODES = 5
const CLUSTERS = 2
/** Everybody is there, and the electors are chosen. */
const SETTLED_MS = 25_000
/** What follows from a message is carried out in virtual time, every so many messages for so long. */
const MESSAGES_PER_TURN = 10
const TURN_MS = 5
/** Shares of what is made of a sample; the rest has its value changed and is signed anew. */
const AS_IT_WAS = 0.1
const BYTES_CHANGED = 0.15
const SEEDS = 2 ** 31

type Samples = ReadonlyMap<string, readonly Sample[]>

export function coreTarget(): Target {
  let samples: Samples | null = null
  return {
    name: 'core',
    weight: 60,
    open: (random) => {
      samples ??= gatherSamples(1)
      return openSession(samples, random)
    },
  }
}

function openSession(samples: Samples, random: Random): Session {
  let dropped = 0
  const world: World = createWorld({
    seed: randomInt(random, 0, SEEDS),
    nodes: NODES,
    clusters: CLUSTERS,
    defects: NO_DEFECTS,
    onLine: null,
    onVote: () => undefined,
    onDropped: () => {
      dropped += 1
    },
    isChecked: false,
  })
  busy(world)
  world.run(SETTLED_MS)
  const hostile = world.devices[NODES - 1] as World['devices'][number]
  const victims = world.devices.filter((device) => device !== hostile)
  const kinds = [...samples.values()]
  let fired = 0
  return {
    fire: (chances, onInput) => {
      const sample = pick(chances, pick(chances, kinds) ?? []) as Sample
      const bytes = hostileBytes(sample, world, hostile, chances)
      const topic = chance(chances, 0.3) ? sample.topic : null
      onInput(bytes)
      const before = dropped
      ;(pick(chances, victims) as typeof hostile).endpoint.receive(bytes, hostile.node, topic)
      fired += 1
      if (fired % MESSAGES_PER_TURN === 0) world.run(world.agenda.now() + TURN_MS)
      return { refused: dropped > before }
    },
    end: () => undefined,
  }
}

function hostileBytes(
  sample: Sample,
  { notary }: World,
  hostile: World['devices'][number],
  random: Random,
): Uint8Array {
  const way = random.next()
  if (way < AS_IT_WAS) return sample.bytes
  if (way < AS_IT_WAS + BYTES_CHANGED) return mutateBytes(random, sample.bytes)
  const forged = (chances: Random, body: Uint8Array): Uint8Array => {
    const raw = decodeBounded(body)
    if (!raw.ok) return mutateBytes(chances, body)
    return encodeCbor(mutateValue(chances, raw.value, nested))
  }
  /** An envelope inside: another one of its own making, as it was, or garbled. */
  const nested = (chances: Random, bytes: Uint8Array): Uint8Array => {
    const raw = decodeBounded(bytes)
    const frame = raw.ok ? readFrame(raw.value) : null
    if (frame === null) return mutateBytes(chances, bytes)
    return notary.sealBytes(hostile.facts, chance(chances, 0.5) ? frame.body : forged(chances, frame.body))
  }
  const body = forged(random, sample.body)
  return isSpokenFrame(sample.bytes) ? body : notary.sealBytes(hostile.facts, body)
}

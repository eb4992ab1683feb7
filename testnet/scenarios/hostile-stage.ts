// A stage on which one member lies. Its key and its credential are real, its process is the shipping one, and besides
// what that says it says whatever the test likes, in its own name, to whom it likes.

import type { CoreMessage } from '../../node/core/effects.ts'
import { coreCodec } from '../../node/core/messages.ts'
import { topicOf } from '../../node/host.ts'
import type { DomainEvent, TopicName } from '../../overlay/kernel/effect.ts'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import type { Opened } from '../../overlay/wire/envelope.ts'
import { FEDERATION } from '../sim/topology.ts'
import { type Stage, setStage } from './stage.ts'

export interface HostileStage extends Stage {
  /** What a device's own key makes of a message: the very envelope that a liar would send. */
  forged<M extends CoreMessage>(as: string, message: M): Opened<M>
  /** Hands a device the envelope, as if it came over a connection of its signer, or on a topic. */
  deliver(from: string, to: string, opened: Pick<Opened<CoreMessage>, 'bytes'>, topic?: string): void
  /** The liar says it to everybody else. */
  sayToAll(from: string, message: CoreMessage): void
  /** How often a device told its people of something. */
  told(name: string, event: string): number
  /** The latest of such events. */
  lastTold(name: string, event: string): DomainEvent | null
  /** How often a device threw something away for a reason. */
  dropped(name: string, problem: string): number
}

export const topicIn = (domain: DomainPath, topic: TopicName): string => topicOf(FEDERATION, { domain, topic })

export function setHostileStage(options: {
  readonly nodes: number
  readonly clusters: number
  readonly seed?: number
  readonly isChecked?: boolean
}): HostileStage {
  const counts = new Map<string, number>()
  const latest = new Map<string, DomainEvent>()
  const count = (key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1)
  const stage = setStage({
    ...options,
    watch: {
      isChecked: options.isChecked ?? true,
      onEvent: ({ node }, event) => {
        count(`${node} ${event.name}`)
        latest.set(`${node} ${event.name}`, event)
      },
      onDropped: ({ node }, problem) => count(`${node} dropped ${problem}`),
    },
  })
  const { world, device } = stage
  const hostile: HostileStage = {
    ...stage,
    forged: (as, message) => {
      const { facts } = device(as)
      const bytes = world.notary.sealBytes(facts, coreCodec.encode(message))
      return { from: facts.node, signer: facts.facts, message, bytes }
    },
    deliver: (from, to, { bytes }, topic) => device(to).endpoint.receive(bytes, device(from).node, topic ?? null),
    sayToAll: (from, message) => {
      const opened = hostile.forged(from, message)
      for (const { node } of stage.devices) if (node !== from) hostile.deliver(from, node, opened)
    },
    told: (name, event) => counts.get(`${name} ${event}`) ?? 0,
    lastTold: (name, event) => latest.get(`${name} ${event}`) ?? null,
    dropped: (name, problem) => counts.get(`${name} dropped ${problem}`) ?? 0,
  }
  return hostile
}

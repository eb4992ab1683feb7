// Several instances in one message. Machines think of one instance at a time; what one step says to the same hearer
// in the same words but for the instance goes out as one message, and is taken apart again where it arrives. So a
// service costs messages by the children it is spread over, and no machine has to know of batches.

import type { Send } from '../overlay/kernel/effect.ts'
import type { ChildId } from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { BATCH_MAX } from './constants.ts'
import type { InventoryView } from './inventory.ts'
import type { AskMessage, OfferMessage, PlacementMessage, RefuseMessage, ReleaseMessage } from './messages.ts'

type Batchable = AskMessage | OfferMessage | RefuseMessage | ReleaseMessage

/** What goes into a message to a child that reads batches: room for further instances. Nothing into any other. */
export const roomFor = (inventory: InventoryView, child: ChildId): { readonly also?: readonly [] } =>
  inventory.get(child)?.news.batches === true ? { also: [] } : {}

/** The same of an answer: who asks with room for further instances reads answers that have it. */
export const roomIn = (asked: { readonly also?: unknown }): { readonly also?: readonly [] } =>
  asked.also === undefined ? {} : { also: [] }

/** Joins what one step says about several instances. Each message stands where the first of its parts stood. */
export function foldSends<E extends { readonly kind: string }>(
  effects: readonly (E | Send<PlacementMessage>)[],
): (E | Send<PlacementMessage>)[] {
  const folded: (E | Send<PlacementMessage>)[] = []
  const open = new Map<string, number>()
  for (const effect of effects) {
    const part = batchableOf(effect)
    const name = part === null ? null : `${(effect as Send<PlacementMessage>).to} ${whatItSays(part)}`
    const at = name === null ? undefined : open.get(name)
    const before = at === undefined ? null : batchableOf(folded[at])
    const joined = before === null || part === null ? null : join(before, part)
    if (at !== undefined && joined !== null) {
      folded[at] = { ...(effect as Send<PlacementMessage>), message: joined }
      continue
    }
    if (name !== null) open.set(name, folded.length)
    folded.push(effect)
  }
  return folded
}

/** Takes a message apart into one for each instance; each keeps the sign that its sender reads batches. */
export function unfold(opened: Opened<PlacementMessage>): readonly Opened<PlacementMessage>[] {
  const { message } = opened
  const parts = isBatchable(message) ? partsOf(message) : null
  return parts === null ? [opened] : parts.map((part) => ({ ...opened, message: part }))
}

function partsOf(message: Batchable): readonly Batchable[] | null {
  if (message.also === undefined || message.also.length === 0) return null
  if (message.kind === 'placement/release') {
    return [message.askId, ...message.also].map((askId) => ({ ...message, askId, also: [] }))
  }
  const { askId, number } = message
  return [{ askId, number }, ...message.also].map((one) => ({ ...message, ...one, also: [] }))
}

const isBatchable = (message: PlacementMessage): message is Batchable =>
  message.kind === 'placement/ask' ||
  message.kind === 'placement/offer' ||
  message.kind === 'placement/refuse' ||
  message.kind === 'placement/release'

/** The message of an effect that may stand for several instances; null where there is none. */
function batchableOf(effect: { readonly kind: string } | undefined): Batchable | null {
  if (effect === undefined || effect.kind !== 'send') return null
  const { message } = effect as Send<PlacementMessage>
  return isBatchable(message) && message.also !== undefined ? message : null
}

/** All that parts of one message have in common. A spec goes with its clock, and is looked at when they are joined. */
function whatItSays(message: Batchable): string {
  const { kind, domain } = message
  switch (kind) {
    case 'placement/ask': {
      const { fence, service, specClock, operator = null, avoid, to = null, reminds = false } = message
      return JSON.stringify([kind, domain, fence, service, specClock, operator, avoid, to, reminds])
    }
    case 'placement/offer': {
      const { service, child, node, nodeName } = message
      return JSON.stringify([kind, domain, service, child, node, nodeName])
    }
    case 'placement/refuse': {
      const { service, child, devices, reasons } = message
      return JSON.stringify([kind, domain, service, child, devices, reasons])
    }
    case 'placement/release':
      return JSON.stringify([kind, domain])
  }
}

/** Two messages as one; null where there is no room for more, or where they differ after all. */
function join(a: Batchable, b: Batchable): Batchable | null {
  const also = a.also ?? []
  if (also.length + 1 >= BATCH_MAX) return null
  if (a.kind === 'placement/release' && b.kind === a.kind) return { ...a, also: [...(a.also ?? []), b.askId] }
  if (a.kind === 'placement/release' || b.kind === 'placement/release') return null
  const more = [...(a.also ?? []), { askId: b.askId, number: b.number }]
  if (a.kind === 'placement/offer' && b.kind === a.kind) {
    const [score, expiresInMs] = [Math.min(a.score, b.score), Math.min(a.expiresInMs, b.expiresInMs)]
    return { ...a, score, expiresInMs, also: more }
  }
  if (a.kind === 'placement/ask' && b.kind === a.kind) {
    return a.spec === b.spec && a.origin === b.origin ? { ...a, also: more } : null
  }
  return a.kind === 'placement/refuse' && b.kind === a.kind ? { ...a, also: more } : null
}

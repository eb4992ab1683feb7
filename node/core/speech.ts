// What a seat's election says and wants written, in the words of the node: to whom a message goes that is meant for a
// child, and which seat hears of a write again. And to whom news of the charter goes.

import {
  type Announcement,
  addressed,
  type ElectionEffect,
  type LeaderBookView,
  type OwnAnnouncement,
} from '../../election/index.ts'
import { invariant, unreachable } from '../../overlay/kernel/assert.ts'
import { type NodeId, ROOT } from '../../overlay/kernel/ids.ts'
import type { CoreEffect, CoreInput, Topic } from './effects.ts'
import { type HierarchyOptions, type Seat, saidOrHeld } from './seats.ts'

export interface Speech extends Pick<HierarchyOptions, 'face'> {
  readonly self: NodeId
  readonly book: LeaderBookView
  readonly topicsFor: (message: Announcement) => readonly Topic[]
}

/** Effects that need nothing but a change of names; those that wait for a write are always such. */
export function translated(seat: Seat, effect: ElectionEffect, speech: Speech): CoreEffect[] {
  const { self, book } = speech
  switch (effect.kind) {
    case 'send': {
      const to = effect.to === seat.self ? self : book.nodeOf(effect.to)
      return to === null ? [] : saidOrHeld(seat, to, effect.message)
    }
    case 'again':
      return [{ kind: 'again', input: { kind: 'election', domain: seat.domain, seat: seat.id, input: effect.input } }]
    case 'announce':
      return [announce(effect.announcement, speech)]
    case 'ask-parent':
    case 'roll-call': {
      const known = addressed(effect, book)
      return known === null || known.to === self ? [] : [{ kind: 'send', ...known }]
    }
    case 'emit':
      return [{ kind: 'emit', event: { ...effect.event, domain: seat.domain } }]
    case 'persist':
    case 'lead':
    case 'unlead':
    case 'committed':
      invariant(false, `an election effect ${effect.kind} does not wait for a write`)
      return []
    default:
      return unreachable(effect)
  }
}

function announce(own: OwnAnnouncement, { self, face, topicsFor }: Speech): CoreEffect {
  const message: Announcement = { kind: 'election/announcement', ...own, node: self, ...face() }
  return { kind: 'author', message, topics: topicsFor(message) }
}

/** For one member, or for all of them. */
export const ofCharter = ({ message, to }: Extract<CoreInput, { readonly kind: 'charter' }>): CoreEffect =>
  to === null ? { kind: 'author', message, topics: [{ domain: ROOT, topic: 'leader' }] } : { kind: 'send', to, message }

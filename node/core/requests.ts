// What this node asks of stores that it does not hold: to take a submission in, and to find a service by name.

import type { LeaderBookView } from '../../election/index.ts'
import { chainOf, type DomainPath, type NodeId, type ServiceId } from '../../overlay/kernel/ids.ts'
import type { StepContext } from '../../overlay/kernel/machine.ts'
import { earliest, type Millis } from '../../overlay/kernel/time.ts'
import type { Opened, SignerFacts } from '../../overlay/wire/envelope.ts'
import { PUSH_RETRY_MS_MAX } from '../../services-registry/constants.ts'
import {
  type AnswerMessage,
  createLookup,
  createOutbox,
  isInstance,
  type LookupEffect,
  type LookupInput,
  type LookupMessage,
  lookupWakeAt,
  type OutboxEffect,
  type OutboxInput,
  outboxWakeAt,
  type PushedMessage,
  type SealedRecord,
  type SpecRecord,
  type StoreView,
  stepLookup,
  stepOutbox,
} from '../../services-registry/index.ts'
import type { CoreEffect, CoreInput } from './effects.ts'
import { askWhoLeads } from './guide.ts'

export interface RequestsOptions {
  readonly self: SignerFacts
  readonly book: LeaderBookView
  /** The stores that this node holds now, its cluster's first. */
  readonly stores: () => readonly StoreView[]
  /** Submissions that were not taken in before the last stop. */
  readonly pending: readonly SealedRecord<SpecRecord>[]
}

export interface Requests {
  submit(domain: DomainPath, opened: SealedRecord, context: StepContext, out: CoreEffect[]): void
  resolve(input: Extract<CoreInput, { readonly kind: 'resolve' }>, context: StepContext, out: CoreEffect[]): void
  onMessage(
    opened: Opened<LookupMessage | AnswerMessage | PushedMessage>,
    context: StepContext,
    out: CoreEffect[],
  ): void
  /** What is known of a service changed in a store; the record is null when it is known no more. */
  onRecordChanged(service: ServiceId, record: SealedRecord | null, context: StepContext, out: CoreEffect[]): void
  onLeaders(context: StepContext, out: CoreEffect[]): void
  /** Specs that no holder has taken in so far. */
  pending(): readonly SealedRecord[]
  /** The spec of a service that no holder has taken in so far. */
  pendingSpec(service: string): SealedRecord<SpecRecord> | null
  onWake(context: StepContext, out: CoreEffect[]): void
  wakeAt(): Millis | null
}

export function createRequests({ self, book, stores, pending }: RequestsOptions): Requests {
  let lookup = createLookup({ self, stores })
  let outbox = createOutbox(pending)

  const feedLookup = (input: LookupInput, context: StepContext, out: CoreEffect[]): void => {
    const stepped = stepLookup(lookup, input, context)
    lookup = stepped.state
    for (const effect of stepped.effects) out.push(...ofLookup(effect))
  }

  const ofLookup = (effect: LookupEffect): CoreEffect[] => {
    if (effect.kind === 'send') return sendTo(effect.to as NodeId, effect.message)
    const { requestId, service, records, reason, isAbsent } = effect
    return [{ kind: 'resolved', requestId, answer: { service, records, reason, isAbsent } }]
  }

  const feedOutbox = (input: OutboxInput, context: StepContext, out: CoreEffect[]): void => {
    const stepped = stepOutbox(outbox, input, context)
    outbox = stepped.state
    for (const effect of stepped.effects) out.push(...ofOutbox(effect))
  }

  const ofOutbox = (effect: OutboxEffect): CoreEffect[] => {
    switch (effect.kind) {
      case 'send':
        return sendTo(effect.to as NodeId, effect.message)
      case 'persist':
        return [{ ...effect, then: effect.then.flatMap(ofOutbox) }]
      case 'submitted': {
        const { domain, key, refusal } = effect
        const level = refusal === null ? 'info' : 'warn'
        return [{ kind: 'emit', event: { name: 'submission-answered', level, domain, fields: { key, refusal } } }]
      }
    }
  }

  const sendTo = (to: NodeId, message: Extract<CoreEffect, { kind: 'send' }>['message']): CoreEffect[] => [
    { kind: 'send', to, message },
  ]

  /**
   * For a domain on the own chain the electors of the domains below it, the cluster's first; else whoever speaks for
   * the domain. This node itself, when it has come to hold the records since: it may be the only one.
   */
  const holdersOf = (domain: DomainPath): readonly NodeId[] => {
    const chain = chainOf(self.domain)
    const below = chain.slice(0, Math.max(1, chain.indexOf(domain)))
    const known = (chain.includes(domain) ? below : [domain]).flatMap((guide) => {
      const announcement = book.leaderOf(guide)?.announcement
      const electors = (announcement?.electors ?? []).flatMap((elector) => book.nodeOf(elector) ?? [])
      return announcement === undefined ? [] : [announcement.node, ...electors]
    })
    const isHolder = stores().some((store) => store.domain === domain)
    return [...new Set(isHolder ? [self.node, ...known] : known)].filter((node) => isHolder || node !== self.node)
  }

  /** When to ask again who leads the domains that nobody told this node of. */
  let askAt: Millis | null = null

  const askForLeaders = ({ now }: StepContext, out: CoreEffect[]): void => {
    const domains = new Set([...outbox.pending.values()].map((push) => push.domain))
    const unknown = [...domains].filter((domain) => holdersOf(domain).length === 0)
    askAt = unknown.length === 0 ? null : now + PUSH_RETRY_MS_MAX
    for (const domain of unknown) askWhoLeads(domain, self.node, book.nodeOf, out)
  }

  const waiting = (): readonly SealedRecord[] => [...outbox.pending.values()].map((push) => push.record)

  return {
    submit: (domain, opened, context, out) => {
      feedOutbox({ kind: 'holders', domain, nodes: holdersOf(domain) }, context, out)
      feedOutbox({ kind: 'submit', domain, opened }, context, out)
      askForLeaders(context, out)
    },
    resolve: feedLookup,
    onMessage: (opened, context, out) => {
      const { message } = opened
      if (message.kind === 'registry/pushed')
        feedOutbox({ kind: 'message', opened: { ...opened, message } }, context, out)
      else feedLookup({ kind: 'message', opened: { ...opened, message } }, context, out)
    },
    onRecordChanged: (service, record, context, out) => {
      const isUrgent = record !== null && isInstance(record) && record.message.state === 'running'
      feedLookup({ kind: 'record-changed', service, isUrgent }, context, out)
    },
    onLeaders: (context, out) => {
      for (const domain of chainOf(self.domain)) {
        feedLookup({ kind: 'leader', domain, node: book.nodeOf(domain) }, context, out)
      }
      for (const domain of new Set([...outbox.pending.values()].map((push) => push.domain))) {
        feedOutbox({ kind: 'holders', domain, nodes: holdersOf(domain) }, context, out)
      }
      askForLeaders(context, out)
    },
    pending: waiting,
    pendingSpec: (service) =>
      (waiting().find(({ message }) => message.service === service) as SealedRecord<SpecRecord> | undefined) ?? null,
    onWake: (context, out) => {
      if ((lookupWakeAt(lookup) ?? Infinity) <= context.now) feedLookup({ kind: 'wake' }, context, out)
      if ((outboxWakeAt(outbox) ?? Infinity) <= context.now) feedOutbox({ kind: 'wake' }, context, out)
      if ((askAt ?? Infinity) <= context.now) askForLeaders(context, out)
    },
    wakeAt: () => earliest(lookupWakeAt(lookup), outboxWakeAt(outbox), askAt),
  }
}

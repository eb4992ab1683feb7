// All that nodes say to each other in envelopes, in one codec.

import { bootstrapSchemas } from '../../bootstrap/messages.ts'
import { electionSchemas } from '../../election/index.ts'
import type { DomainPath, NodeId } from '../../overlay/kernel/ids.ts'
import { membershipSchemas } from '../../overlay/membership/index.ts'
import { createCodec, type Manner, type MessageSchemas } from '../../overlay/wire/codec.ts'
import { type Infer, list, literal, nullable, object, optional, text, whole } from '../../overlay/wire/schema.ts'
import { placementSchemas } from '../../placement/index.ts'
import { recordSchemas, registrySchemas } from '../../services-registry/index.ts'
import type { CoreMessage } from './effects.ts'

const whereSchema = object({ kind: literal('node/where'), domain: text<DomainPath>(256), node: text<NodeId>(128) })
/** Asks a cluster's leader for a member's own statement of where it is; answered with `membership/entries`. */
export type WhereMessage = Infer<typeof whereSchema>

export const INTAKES = ['open', 'cordoned', 'draining'] as const
/** Whether a device takes new work; a draining one also gives away what it has. */
export type Intake = (typeof INTAKES)[number]

const requestId = text(64)

const intakeSchema = object({
  kind: literal('node/intake'),
  /** Whom it is for: who was once closed by such an order must not close others with it. */
  node: text<NodeId>(128),
  requestId,
  /** What it shall be from now on; null asks how it is. */
  set: nullable(literal(...INTAKES)),
})
/** Opens or closes the device that it is sent to, or asks how it stands; answered with `node/intake-state`. */
export type IntakeMessage = Infer<typeof intakeSchema>

const intakeStateSchema = object({
  kind: literal('node/intake-state'),
  requestId,
  intake: literal(...INTAKES),
  /** Instances that it runs still, and the domains that it leads. */
  instances: whole(0, 100_000),
  leads: list(text<DomainPath>(256), 16),
  /** Where it votes although another child could. */
  elects: optional(list(text<DomainPath>(256), 16)),
  /** What cannot leave a draining device, and why. */
  stuck: list(object({ instance: text(300), reason: text(500) }), 32),
  /** Why nothing was changed; null when it was, or nothing was to be. */
  refused: nullable(text(200)),
})
export type IntakeStateMessage = Infer<typeof intakeStateSchema>

/** A message of so many fits its bound, also where each field is as long as it may be. */
export const NAMES_PER_MESSAGE_MAX = 100

const calledSchema = object({
  node: text<NodeId>(128),
  name: text(128),
  domain: text<DomainPath>(256),
  incarnation: whole(),
})
const namesSchema = object({ kind: literal('node/names'), names: list(calledSchema, NAMES_PER_MESSAGE_MAX) })
/** What devices of other clusters are called, and where they are: said to devices of the same operator only. */
export type NamesMessage = Infer<typeof namesSchema>

const coreSchemas: MessageSchemas<CoreMessage> = {
  ...bootstrapSchemas,
  ...electionSchemas,
  ...membershipSchemas,
  ...placementSchemas,
  ...recordSchemas,
  ...registrySchemas,
  'node/where': whereSchema,
  'node/intake': intakeSchema,
  'node/intake-state': intakeStateSchema,
  'node/names': namesSchema,
}

/**
 * Which kinds are said without a signature. Spoken is what one node tells another about this very moment and what
 * nobody keeps, nests or hands on: it counts because Noise and hello have shown who is at the other end. Sealed is
 * whatever is evidence for somebody who was not there, whatever gossip carries, and whatever makes a device do
 * something. Envelopes inside a spoken message stay envelopes. A new kind has to choose here.
 */
const coreManners: Readonly<Record<CoreMessage['kind'], Manner>> = {
  'charter/news': 'sealed',
  // What it brings about proves itself.
  'charter/want': 'spoken',

  'policy/held': 'spoken',
  // Signed by the operator, whoever hands it on.
  'policy/signed': 'spoken',

  'election/pre-vote': 'spoken',
  'election/pre-vote-answer': 'spoken',
  'election/vote-request': 'spoken',
  // A majority of these is the proof of leadership.
  'election/vote': 'sealed',
  'election/vote-refused': 'spoken',
  'election/heartbeat': 'spoken',
  'election/heartbeat-answer': 'spoken',
  'election/stand-now': 'spoken',
  'election/announcement': 'sealed',
  'election/proof-wanted': 'spoken',
  // Carries an announcement as it was sealed.
  'election/proof': 'spoken',
  'election/witness-request': 'spoken',
  // Makes a domain go on without its majority: rare, and worth a signature.
  'election/grant': 'sealed',
  'election/roll-call': 'spoken',

  'membership/member': 'sealed',
  'membership/report': 'sealed',
  'membership/probe': 'spoken',
  'membership/ack': 'spoken',
  'membership/digest': 'spoken',
  // Statements and reports as they were sealed.
  'membership/entries': 'spoken',

  'placement/summary': 'sealed',
  'placement/aggregate': 'sealed',
  // These order, promise or answer for work: rare, and worth a signature (DESIGN section 4).
  'placement/ask': 'sealed',
  'placement/offer': 'sealed',
  'placement/refuse': 'sealed',
  'placement/release': 'sealed',
  'placement/report': 'sealed',
  'placement/may-run': 'spoken',
  'placement/run-on': 'sealed',
  'placement/move': 'sealed',
  'placement/moved': 'spoken',

  'record/spec': 'sealed',
  'record/placement': 'sealed',
  'record/instance': 'sealed',
  'record/rollout': 'sealed',

  // What is held and what is missing; the records in between are as they were sealed.
  'registry/digest': 'spoken',
  'registry/want': 'spoken',
  'registry/fetch': 'spoken',
  'registry/records': 'spoken',
  'registry/gossip': 'sealed',
  'registry/push': 'spoken',
  'registry/pushed': 'spoken',
  'registry/lookup': 'spoken',
  'registry/answer': 'spoken',

  'node/where': 'spoken',
  // Makes a device refuse or give away work.
  'node/intake': 'sealed',
  'node/intake-state': 'spoken',
  // Names for people, of whoever is believed to be the operator's.
  'node/names': 'spoken',
}

export const coreCodec = createCodec<CoreMessage>(coreSchemas, coreManners)

// All that nodes say to each other in envelopes, in one codec.

import { bootstrapSchemas } from '../../bootstrap/messages.ts'
import { electionSchemas } from '../../election/index.ts'
import type { DomainPath, NodeId } from '../../overlay/kernel/ids.ts'
import { membershipSchemas } from '../../overlay/membership/index.ts'
import { createCodec, type MessageSchemas } from '../../overlay/wire/codec.ts'
import { type Infer, literal, object, text } from '../../overlay/wire/schema.ts'
import { placementSchemas } from '../../placement/index.ts'
import { recordSchemas, registrySchemas } from '../../services-registry/index.ts'
import type { CoreMessage } from './effects.ts'

const whereSchema = object({ kind: literal('node/where'), domain: text<DomainPath>(256), node: text<NodeId>(128) })
/** Asks a cluster's leader for a member's own statement of where it is; answered with `membership/entries`. */
export type WhereMessage = Infer<typeof whereSchema>

const coreSchemas: MessageSchemas<CoreMessage> = {
  ...bootstrapSchemas,
  ...electionSchemas,
  ...membershipSchemas,
  ...placementSchemas,
  ...recordSchemas,
  ...registrySchemas,
  'node/where': whereSchema,
}

export const coreCodec = createCodec<CoreMessage>(coreSchemas)

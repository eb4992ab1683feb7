// What a node must remember of an instance before it starts it: whose order it obeys, and what to run. With this it
// starts again after a reboot without any network, and never obeys an older order than it did before.

import type { InstanceKey, OperatorId } from '../overlay/kernel/ids.ts'
import { err, type Result } from '../overlay/kernel/result.ts'
import { decodeBounded } from '../overlay/wire/codec.ts'
import {
  bytes,
  encodeWith,
  type Infer,
  literal,
  object,
  optional,
  readWith,
  text,
  whole,
} from '../overlay/wire/schema.ts'
import { clockSchema, fenceSchema, SPEC_BYTES_MAX } from '../services-registry/record.ts'

const keptSchema = object({
  kind: literal('worker/kept'),
  key: text<InstanceKey>(300),
  fence: fenceSchema,
  sequence: whole(),
  specClock: clockSchema,
  spec: bytes(SPEC_BYTES_MAX),
  restarts: whole(),
  /** Whose service it is, where that was proved. */
  owner: optional(text<OperatorId>(128)),
})
export type Kept = Infer<typeof keptSchema>

/** All keys of the node's store that belong to the worker begin so. */
export const KEPT_PREFIX = 'worker/'
export const keptKey = (key: InstanceKey): string => `${KEPT_PREFIX}${key}`
export const encodeKept = (kept: Kept): Uint8Array => encodeWith(keptSchema, kept)

export function decodeKept(value: Uint8Array): Result<Kept, string> {
  const raw = decodeBounded(value)
  return raw.ok ? readWith(keptSchema, raw.value, () => err('no envelope belongs here')) : err(raw.error.detail)
}

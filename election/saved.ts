// What an elector must not forget, as it stands on its disk or, above a cluster, in the register of its own domain.

import type { ChildId, DomainPath } from '../overlay/kernel/ids.ts'
import { err, type Result } from '../overlay/kernel/result.ts'
import { checkedBody, withChecksum } from '../overlay/wire/checksum.ts'
import { decodeBounded } from '../overlay/wire/codec.ts'
import { encodeWith, type Infer, nullable, object, readWith, text, whole } from '../overlay/wire/schema.ts'
import { type Register, registerSchema, versionOf } from './register.ts'
import type { ElectionEffect, ElectionState } from './state.ts'

const savedSchema = object({
  epoch: whole(),
  term: whole(),
  votedFor: nullable(text<ChildId>(256)),
  /** Empty where a new one has to be drawn. */
  ticket: text(32),
  register: nullable(registerSchema),
})

type Saved = Infer<typeof savedSchema>

/** As it stands on the disk: a vote whose bits flipped would be another vote. */
export const encodeSaved = (saved: Saved): Uint8Array => withChecksum(encodeWith(savedSchema, saved))

/** Whether it holds a register or heard of a line; who did neither is as new to the domain as who saved nothing. */
export function isTied(saved: Uint8Array | null): boolean {
  const read = saved === null ? null : readSaved(saved)
  return read?.ok === true && (read.value.register !== null || read.value.epoch > 0)
}

export function readSaved(saved: Uint8Array): Result<Saved, string> {
  const body = checkedBody(saved)
  if (!body.ok) return body
  const raw = decodeBounded(body.value)
  if (!raw.ok) return err(raw.error.detail)
  return readWith(savedSchema, raw.value, () => err('no envelope belongs here'))
}

/** The key under which a domain remembers what it is as an elector of its parent. */
export const seatKey = (parent: DomainPath): string => `${SEAT_KEY_PREFIX}${parent}`
const SEAT_KEY_PREFIX = 'election:'

/**
 * What a line may take over from one that it broke off from: everything but the votes. The majority that it lost may
 * be voting for the domain in this very moment, so it comes to the parent with a new ticket, like one that lost its
 * memory, and keeps but the parent's register and epoch.
 */
export function withoutVotes(memory: Register['memory']): Register['memory'] {
  const entries = Object.entries(memory).flatMap(([key, value]): [string, Uint8Array][] => {
    if (!key.startsWith(SEAT_KEY_PREFIX)) return [[key, value]]
    const saved = readSaved(value)
    return saved.ok ? [[key, encodeSaved({ ...saved.value, ticket: '' })]] : []
  })
  return Object.fromEntries(entries)
}

/** Writes what must outlive a crash; `then` happens only when it has reached the disk (or the child's own majority). */
export function save(state: ElectionState, out: ElectionEffect[], then: readonly ElectionEffect[]): ElectionState {
  const { epoch, term, votedFor, ticket, register } = state
  const written: ElectionEffect = { kind: 'again', input: { kind: 'written', version: versionOf(register) } }
  out.push({
    kind: 'persist',
    key: `election/${state.domain}`,
    value: encodeSaved({ epoch, term, votedFor, ticket, register }),
    sync: true,
    then: [written, ...then],
  })
  return state
}

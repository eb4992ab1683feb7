// What becomes of real messages in hostile hands: bytes that are flipped, cut, doubled and made up, and values in which
// a field is another one, is missing, is of another kind, or is as large as it gets. One stream of chance decides.

import { pick, type Random, randomInt } from '../../overlay/kernel/random.ts'
import { chance } from '../sim/streams.ts'

/** Bytes at which readers of lengths and kinds turn. */
const EDGES = [0x00, 0x01, 0x17, 0x18, 0x1b, 0x5b, 0x7f, 0x80, 0x9b, 0xa0, 0xbb, 0xd8, 0xf7, 0xfb, 0xff]
const CHANGES_MAX = 4
/** Longer than any message may be. */
const LONG_BYTES = 70_000
const LONG = 0.002

export function mutateBytes(random: Random, bytes: Uint8Array): Uint8Array {
  let changed = Uint8Array.from(bytes)
  const changes = randomInt(random, 1, CHANGES_MAX + 1)
  for (let change = 0; change < changes; change++)
    changed = BYTE_CHANGES[randomInt(random, 0, BYTE_CHANGES.length)]?.(random, changed) ?? changed
  if (!chance(random, LONG)) return changed
  const long = new Uint8Array(LONG_BYTES)
  long.set(changed.subarray(0, LONG_BYTES))
  return long
}

type ByteChange = (random: Random, bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>

const BYTE_CHANGES: readonly ByteChange[] = [
  (random, bytes) =>
    replaced(bytes, randomInt(random, 0, bytes.length), (byte) => byte ^ (1 << randomInt(random, 0, 8))),
  (random, bytes) =>
    replaced(bytes, randomInt(random, 0, bytes.length), () => EDGES[randomInt(random, 0, EDGES.length)] ?? 0),
  (random, bytes) => bytes.slice(0, randomInt(random, 0, bytes.length + 1)),
  (random, bytes) => spliced(bytes, randomInt(random, 0, bytes.length + 1), 0, noise(random, randomInt(random, 1, 9))),
  (random, bytes) => spliced(bytes, randomInt(random, 0, bytes.length + 1), randomInt(random, 1, 9), new Uint8Array(0)),
  (random, bytes) => {
    const from = randomInt(random, 0, bytes.length + 1)
    return spliced(bytes, randomInt(random, 0, bytes.length + 1), 0, bytes.slice(from, from + randomInt(random, 1, 65)))
  },
]

function replaced(bytes: Uint8Array<ArrayBuffer>, at: number, by: (byte: number) => number): Uint8Array<ArrayBuffer> {
  const byte = bytes[at]
  if (byte !== undefined) bytes[at] = by(byte)
  return bytes
}

function spliced(bytes: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array<ArrayBuffer> {
  const rest = bytes.subarray(Math.min(at + removed, bytes.length))
  const out = new Uint8Array(at + added.length + rest.length)
  out.set(bytes.subarray(0, at))
  out.set(added, at)
  out.set(rest, at + added.length)
  return out
}

function noise(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => randomInt(random, 0, 256))
}

const NUMBERS = [
  0,
  1,
  -1,
  2,
  255,
  65_536,
  2 ** 31,
  2 ** 32,
  2 ** 40,
  Number.MAX_SAFE_INTEGER,
  -Number.MAX_SAFE_INTEGER,
  0.5,
  1e308,
  -1e308,
  5e-324,
]
const TEXTS = [
  '',
  '/',
  '/a',
  '/a/b',
  '..',
  '../../../etc/passwd',
  '__proto__',
  'constructor',
  '\u0000',
  '*',
  '\ud800',
  'x'.repeat(255),
  'x'.repeat(1_024),
  'é'.repeat(128),
]

/** What stands in a list or an object, and where. */
interface Slot {
  readonly holder: Record<string, unknown> | unknown[]
  readonly key: string | number
}

/** How bytes inside a value are changed: they may be an envelope. */
export type ChangeBytes = (random: Random, bytes: Uint8Array) => Uint8Array

/** A copy of a value of plain data in which one to four things are different. */
export function mutateValue(random: Random, value: unknown, changeBytes: ChangeBytes = mutateBytes): unknown {
  const root = { value: structuredClone(value) }
  const changes = randomInt(random, 1, CHANGES_MAX + 1)
  for (let change = 0; change < changes; change++) {
    const slots = slotsOf(root.value)
    const slot = pick(random, slots)
    if (slot === undefined) return root.value
    mutateSlot(random, slot, slots, changeBytes)
  }
  return root.value
}

function slotsOf(value: unknown, into: Slot[] = []): readonly Slot[] {
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return into
  const holder = value as Slot['holder']
  for (const key of Object.keys(holder)) {
    into.push({ holder, key: Array.isArray(holder) ? Number(key) : key })
    slotsOf((holder as Record<string, unknown>)[key], into)
  }
  return into
}

const held = ({ holder, key }: Slot): unknown => (holder as Record<string | number, unknown>)[key]

function put({ holder, key }: Slot, value: unknown): void {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true })
}

function mutateSlot(random: Random, slot: Slot, slots: readonly Slot[], changeBytes: ChangeBytes): void {
  const kind = random.next()
  if (kind < 0.05) {
    if (Array.isArray(slot.holder)) slot.holder.splice(Number(slot.key), 1)
    else delete slot.holder[slot.key as string]
  } else if (kind < 0.1 && Array.isArray(slot.holder)) slot.holder.push(structuredClone(held(slot)))
  else if (kind < 0.2) {
    const other = pick(random, slots)
    if (other !== undefined) put(slot, structuredClone(held(other)))
  } else if (kind < 0.25) put(slot, pick(random, [null, true, false, [], {}, '', 0, new Uint8Array(0)]))
  else put(slot, changed(random, held(slot), changeBytes))
}

function changed(random: Random, value: unknown, changeBytes: ChangeBytes): unknown {
  if (typeof value === 'number') return chance(random, 0.5) ? value + randomInt(random, -2, 3) : pick(random, NUMBERS)
  if (typeof value === 'boolean') return !value
  if (typeof value === 'string') return changedText(random, value)
  if (value instanceof Uint8Array) return changeBytes(random, value)
  if (value === null) return pick(random, ['', 0, [], {}])
  if (Array.isArray(value)) return [...value, ...value]
  return {}
}

function changedText(random: Random, text: string): string {
  if (chance(random, 0.5)) return pick(random, TEXTS) ?? ''
  const at = randomInt(random, 0, text.length + 1)
  const put = String.fromCharCode(randomInt(random, 1, 128))
  return text.slice(0, at) + put + text.slice(at + randomInt(random, 0, 2))
}

// The part of CBOR (RFC 8949) that messages are made of, as DAG-CBOR narrows it: one form for each value, so that
// equal values are equal bytes. Written by hand because most of a node's time went into a general library; the tests
// compare every byte with @ipld/dag-cbor.

import { invariant } from '../kernel/assert.ts'

/** What stands between the brackets of our deepest message is a dozen deep; a guess with room. */
export const CBOR_DEPTH_MAX = 64

const MAJOR = { whole: 0, negative: 1, bytes: 2, text: 3, list: 4, map: 5, simple: 7 } as const
const [FALSE, TRUE, NULL, FLOAT_64] = [0xf4, 0xf5, 0xf6, 0xfb]

/** Messages are cut from pieces of memory this large, as Node cuts its small buffers: one allocation for many. */
const ROOM_BYTES = 8_192

/** Where the next message goes, and how far it has come; nothing comes between its first byte and its last. */
let room = new Uint8Array(ROOM_BYTES)
let view = new DataView(room.buffer)
let begin = 0
let end = 0

/** Lays plain data out as bytes; throws InvariantError for what has no place in a message, as undefined or NaN. */
export const encodeCbor = (value: unknown): Uint8Array => layOut(writePlain, value)

/** The bytes of what `write` writes of the value with the functions below; `write` may not lay anything else out. */
export function layOut<T>(write: (value: T) => void, value: T): Uint8Array {
  // What was written before a throw is written over.
  end = begin
  write(value)
  const written = room.subarray(begin, end)
  begin = end
  return written
}

function reserve(bytes: number): void {
  if (end + bytes <= room.length) return
  const written = room.subarray(begin, end)
  room = new Uint8Array(Math.max(ROOM_BYTES, 2 * (written.length + bytes)))
  room.set(written)
  view = new DataView(room.buffer)
  begin = 0
  end = written.length
}

/** Writes plain data, as far as that goes; the others write the beginning of what their caller writes on. */
export const writePlain = (value: unknown): void => writeValue(value, 0)
export const writeNull = (): void => writeByte(NULL)
export const writeListHead = (items: number): void => writeHead(MAJOR.list, items)
/** Keys and values follow in turn, in the order of `compareKeys`. */
export const writeMapHead = (entries: number): void => writeHead(MAJOR.map, entries)

/** What was laid out before, as a key that comes again and again. */
export function writeLaidOut(bytes: Uint8Array): void {
  const { length } = bytes
  reserve(length)
  for (let index = 0; index < length; index++) room[end + index] = bytes[index] as number
  end += length
}

function writeValue(value: unknown, depth: number): void {
  if (typeof value === 'string') return writeText(value)
  if (typeof value === 'number') return writeNumber(value)
  if (value === null) return writeByte(NULL)
  if (typeof value === 'boolean') return writeByte(value ? TRUE : FALSE)
  invariant(typeof value === 'object', 'a message has no room for what is no data')
  invariant(depth <= CBOR_DEPTH_MAX, 'a message is not that deep')
  if (value instanceof Uint8Array) {
    writeHead(MAJOR.bytes, value.length)
    reserve(value.length)
    room.set(value, end)
    end += value.length
  } else if (Array.isArray(value)) {
    writeHead(MAJOR.list, value.length)
    for (const item of value) writeValue(item, depth + 1)
  } else writeMap(value as Readonly<Record<string, unknown>>, depth)
}

function writeByte(byte: number): void {
  reserve(1)
  room[end++] = byte
}

function writeNumber(value: number): void {
  if (Number.isSafeInteger(value)) {
    if (value >= 0) writeHead(MAJOR.whole, value)
    else writeHead(MAJOR.negative, -1 - value)
    return
  }
  invariant(Number.isFinite(value), 'a message has no room for what is no number')
  reserve(9)
  room[end] = FLOAT_64
  view.setFloat64(end + 1, value)
  end += 9
}

/** The kind of a value together with its size or worth, in the fewest bytes. */
function writeHead(major: number, argument: number): void {
  reserve(9)
  const high = major << 5
  if (argument < 24) room[end++] = high | argument
  else if (argument < 0x100) {
    room[end] = high | 24
    room[end + 1] = argument
    end += 2
  } else if (argument < 0x10000) {
    room[end] = high | 25
    view.setUint16(end + 1, argument)
    end += 3
  } else if (argument < 0x1_0000_0000) {
    room[end] = high | 26
    view.setUint32(end + 1, argument)
    end += 5
  } else {
    room[end] = high | 27
    view.setUint32(end + 1, Math.floor(argument / 0x1_0000_0000))
    view.setUint32(end + 5, argument >>> 0)
    end += 9
  }
}

const utf8Encoder = new TextEncoder()

function writeText(text: string): void {
  const { length } = text
  reserve(length + 9)
  const start = end - begin
  writeHead(MAJOR.text, length)
  for (let index = 0; index < length; index++) {
    const unit = text.charCodeAt(index)
    if (unit >= 0x80) return writeUtf8(text, start)
    room[end++] = unit
  }
}

function writeUtf8(text: string, start: number): void {
  end = begin + start
  const bytes = utf8Encoder.encode(text)
  writeHead(MAJOR.text, bytes.length)
  reserve(bytes.length)
  room.set(bytes, end)
  end += bytes.length
}

function writeMap(map: Readonly<Record<string, unknown>>, depth: number): void {
  const keys = Object.keys(map)
  if (!isInOrder(keys)) keys.sort(compareKeys)
  writeHead(MAJOR.map, keys.length)
  for (const key of keys) {
    writeText(key)
    writeValue(map[key], depth + 1)
  }
}

function isInOrder(keys: readonly string[]): boolean {
  for (let index = 1; index < keys.length; index++) {
    if (compareKeys(keys[index - 1] as string, keys[index] as string) > 0) return false
  }
  return true
}

/** The shorter first, then by their bytes (RFC 8949, section 4.2.3). */
export function compareKeys(a: string, b: string): number {
  if (!isAscii(a) || !isAscii(b)) return compareBytes(utf8Encoder.encode(a), utf8Encoder.encode(b))
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) >= 0x80) return false
  return true
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return a.length - b.length
  for (let index = 0; index < a.length; index++) {
    const difference = (a[index] as number) - (b[index] as number)
    if (difference !== 0) return difference
  }
  return 0
}

/** Why bytes are not CBOR of ours; never leaves `wire/`, where it becomes a result. */
export class NotCbor extends Error {
  override readonly name = 'NotCbor'
}

const refuse = (why: string): never => {
  throw new NotCbor(why)
}

/** What is being read, and how far; one for all, as for writing. */
let source: Uint8Array = room
let at = 0

/** Reads one value that takes up all of the bytes; throws NotCbor for everything else. */
export function decodeCbor(bytes: Uint8Array): unknown {
  source = bytes
  at = 0
  const value = readValue(0)
  return at === bytes.length ? value : refuse('something follows the value')
}

function readValue(depth: number): unknown {
  if (depth > CBOR_DEPTH_MAX) return refuse('nested too deeply')
  if (at >= source.length) return refuse('it ends too early')
  const first = source[at++] as number
  const minor = first & 31
  switch (first >> 5) {
    case MAJOR.whole:
      return readArgument(minor)
    case MAJOR.negative: {
      const value = -1 - readArgument(minor)
      return Number.isSafeInteger(value) ? value : refuse('a number beyond 2^53')
    }
    case MAJOR.bytes: {
      const start = skip(readArgument(minor))
      return Uint8Array.prototype.slice.call(source, start, at)
    }
    case MAJOR.text:
      return readText(readArgument(minor))
    case MAJOR.list:
      return readList(readArgument(minor), depth)
    case MAJOR.map:
      return readMap(readArgument(minor), depth)
    case MAJOR.simple:
      return readSimple(first)
    default:
      return refuse('a tag')
  }
}

/** Passes over some bytes; returns where they began. */
function skip(length: number): number {
  const start = at
  if (length > source.length - at) return refuse('it ends too early')
  at += length
  return start
}

/** A size or a whole number; there is one form for each, the shortest. */
function readArgument(minor: number): number {
  if (minor < 24) return minor
  const bytes = minor === 24 ? 1 : minor === 25 ? 2 : minor === 26 ? 4 : minor === 27 ? 8 : 0
  if (bytes === 0) return refuse('a size that is not given')
  const start = skip(bytes)
  let value = 0
  for (let index = start; index < at; index++) value = value * 0x100 + (source[index] as number)
  const isShortest = bytes === 1 ? value >= 24 : value >= 2 ** (4 * bytes)
  if (!isShortest) return refuse('a number in more bytes than it needs')
  return Number.isSafeInteger(value) ? value : refuse('a number beyond 2^53')
}

function readSimple(first: number): unknown {
  if (first === NULL) return null
  if (first === TRUE) return true
  if (first === FALSE) return false
  if (first !== FLOAT_64) return refuse('a value of another kind')
  const start = skip(8)
  const value = new DataView(source.buffer, source.byteOffset, source.byteLength).getFloat64(start)
  return Number.isFinite(value) ? value : refuse('not a number')
}

function readList(length: number, depth: number): unknown {
  // Each item is a byte at least: a size that is made up allocates nothing.
  if (length > source.length - at) return refuse('it ends too early')
  const items: unknown[] = []
  for (let index = 0; index < length; index++) items.push(readValue(depth + 1))
  return items
}

function readMap(length: number, depth: number): unknown {
  const map: Record<string, unknown> = {}
  for (let index = 0; index < length; index++) {
    const key = readKey()
    if (Object.hasOwn(map, key)) return refuse('a key that stands there twice')
    const value = readValue(depth + 1)
    // A plain assignment would set the prototype.
    if (key === '__proto__') Object.defineProperty(map, key, { value, enumerable: true })
    else map[key] = value
  }
  return map
}

function readKey(): string {
  if (at >= source.length) return refuse('it ends too early')
  const first = source[at++] as number
  return first >> 5 === MAJOR.text ? readText(readArgument(first & 31)) : refuse('a key that is no text')
}

/**
 * Short texts that were read lately, by a hash of their bytes: keys, names and ids come again and again, and one that
 * is known need be neither made nor hashed anew.
 */
const LATELY_MAX = 4_096
const LATELY_CHARS_MAX = 64
const lately: string[] = new Array(LATELY_MAX).fill('')
const utf8Decoder = new TextDecoder()

function readText(length: number): string {
  const start = skip(length)
  if (length > LATELY_CHARS_MAX) return utf8Decoder.decode(source.subarray(start, at))
  // FNV-1a (Fowler, Noll, Vo).
  let hash = 0x811c9dc5
  let isPlain = true
  for (let index = start; index < at; index++) {
    const byte = source[index] as number
    hash = Math.imul(hash ^ byte, 0x01000193)
    if (byte >= 0x80) isPlain = false
  }
  if (!isPlain) return utf8Decoder.decode(source.subarray(start, at))
  const slot = (hash ^ (hash >>> 15)) & (LATELY_MAX - 1)
  const known = lately[slot] as string
  if (known.length === length && isTextAt(known, start)) return known
  const text = String.fromCharCode(...source.subarray(start, at))
  lately[slot] = text
  return text
}

function isTextAt(text: string, start: number): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) !== source[start + index]) return false
  return true
}

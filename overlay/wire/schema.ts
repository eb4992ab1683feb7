// The shapes that may stand in a message. A schema checks a decoded CBOR value field by field, with a bound on
// everything that has a length; what is unknown to it is passed over, so that a newer node may say more than an older
// one understands.

import { err, ok, type Result } from '../kernel/result.ts'
import {
  compareKeys,
  encodeCbor,
  layOut,
  writeLaidOut,
  writeListHead,
  writeMapHead,
  writeNull,
  writePlain,
} from './cbor.ts'
import type { Opened } from './envelope.ts'

/** Opens a sealed envelope that stands inside a message; handed in by whoever can check signatures. */
export type OpenNested = (bytes: Uint8Array, depth: number) => Result<Opened, string>

/** How a value is checked (`read` throws Malformed) and laid out (`write`, within `encodeWith`). */
export interface Schema<T> {
  read(raw: unknown, at: string, open: OpenNested, depth: number): T
  write(value: T): void
  readonly isOptional?: true
}

export type Infer<S> = S extends Schema<infer T> ? T : never

/** Why a value was refused; never leaves `wire/`, where it becomes a result. */
export class Malformed extends Error {
  override readonly name = 'Malformed'
}

const refuse = (at: string, expected: string): never => {
  throw new Malformed(`${at}: expected ${expected}`)
}

/** Bounds that hold wherever a schema names none of its own. */
export const TEXT_CHARS_MAX = 1_024
export const BYTES_MAX = 60_000
export const LIST_ITEMS_MAX = 4_096

export const text = <T extends string = string>(charsMax = TEXT_CHARS_MAX): Schema<T> => ({
  read: (raw, at) =>
    typeof raw === 'string' && raw.length <= charsMax
      ? (raw as T)
      : refuse(at, `text of at most ${charsMax} characters`),
  write: writePlain,
})

export const literal = <T extends string>(...allowed: readonly T[]): Schema<T> => ({
  read: (raw, at) => (allowed.includes(raw as T) ? (raw as T) : refuse(at, allowed.join(' or '))),
  write: writePlain,
})

/** A finite number, whole or not. */
export const number = (min = -Number.MAX_VALUE, max = Number.MAX_VALUE): Schema<number> => ({
  read: (raw, at) =>
    typeof raw === 'number' && raw >= min && raw <= max ? raw : refuse(at, `a number from ${min} to ${max}`),
  write: writePlain,
})

/** A whole number from 0 (or `min`) to 2^53 - 1 (or `max`). */
export const whole = (min = 0, max = Number.MAX_SAFE_INTEGER): Schema<number> => ({
  read: (raw, at) =>
    Number.isSafeInteger(raw) && (raw as number) >= min && (raw as number) <= max
      ? (raw as number)
      : refuse(at, `a whole number from ${min} to ${max}`),
  write: writePlain,
})

export const flag: Schema<boolean> = {
  read: (raw, at) => (typeof raw === 'boolean' ? raw : refuse(at, 'true or false')),
  write: writePlain,
}

export const bytes = (lengthMax = BYTES_MAX): Schema<Uint8Array> => ({
  read: (raw, at) =>
    raw instanceof Uint8Array && raw.length <= lengthMax ? raw : refuse(at, `at most ${lengthMax} bytes`),
  write: writePlain,
})

export const nullable = <T>(inner: Schema<T>): Schema<T | null> => ({
  read: (raw, at, open, depth) => (raw === null ? null : inner.read(raw, at, open, depth)),
  write: (value) => (value === null ? writeNull() : inner.write(value)),
})

/** A field that may be absent from its object. */
export const optional = <T>(inner: Schema<T>): Schema<T> & { readonly isOptional: true } => ({
  ...inner,
  isOptional: true,
})

export const list = <T>(item: Schema<T>, itemsMax = LIST_ITEMS_MAX): Schema<readonly T[]> => ({
  read: (raw, at, open, depth) => {
    if (!Array.isArray(raw) || raw.length > itemsMax) return refuse(at, `a list of at most ${itemsMax} items`)
    return raw.map((value, index) => item.read(value, `${at}[${index}]`, open, depth))
  },
  write: (value) => {
    writeListHead(value.length)
    for (const one of value) item.write(one)
  },
})

/** An object used as a map from text to values. */
export const dictionary = <T>(item: Schema<T>, entriesMax = LIST_ITEMS_MAX): Schema<Readonly<Record<string, T>>> => ({
  read: (raw, at, open, depth) => {
    const entries = Object.entries(asObject(raw, at))
    if (entries.length > entriesMax) return refuse(at, `at most ${entriesMax} entries`)
    return Object.fromEntries(entries.map(([key, value]) => [key, item.read(value, `${at}.${key}`, open, depth)]))
  },
  write: (value) => {
    const keys = Object.keys(value).sort(compareKeys)
    writeMapHead(keys.length)
    for (const key of keys) {
      writePlain(key)
      item.write(value[key] as T)
    }
  },
})

type Fields = Readonly<Record<string, Schema<never>>>
type OptionalKeys<F> = { [K in keyof F]: F[K] extends { readonly isOptional: true } ? K : never }[keyof F]
type ObjectOf<F> = { readonly [K in Exclude<keyof F, OptionalKeys<F>>]: Infer<F[K]> } & {
  readonly [K in OptionalKeys<F>]?: Infer<F[K]>
}

export const object = <F extends Record<string, Schema<never> | Schema<unknown>>>(
  fields: F,
): Schema<{ [K in keyof ObjectOf<F>]: ObjectOf<F>[K] }> => {
  // In the order of their bytes, so that nothing is left to sort when a message is laid out.
  const sorted = Object.entries(fields as unknown as Fields).sort(([a], [b]) => compareKeys(a, b))
  const known = sorted.map(([name, schema]) => ({ name, schema: schema as Schema<unknown>, key: encodeCbor(name) }))
  return {
    read: (raw, at, open, depth) => {
      const source = asObject(raw, at)
      const target: Record<string, unknown> = {}
      for (const { name, schema } of known) {
        const value = source[name]
        if (value === undefined && schema.isOptional) continue
        target[name] = schema.read(value, at === '' ? name : `${at}.${name}`, open, depth)
      }
      return target as never
    },
    write: (value) => {
      const said = known.map(({ name }) => (value as Record<string, unknown>)[name])
      let absent = 0
      for (const field of said) if (field === undefined) absent += 1
      writeMapHead(said.length - absent)
      for (let index = 0; index < said.length; index++) {
        const field = said[index]
        const one = known[index]
        if (field === undefined || one === undefined) continue
        writeLaidOut(one.key)
        one.schema.write(field)
      }
    },
  }
}

/** One of several objects, told apart by their `kind`. */
export const union = <T extends { readonly kind: string }>(
  variants: { readonly [K in T['kind']]: Schema<Extract<T, { readonly kind: K }>> },
): Schema<T> => {
  const byKind = new Map(Object.entries(variants) as [string, Schema<T>][])
  const variantOf = (kind: unknown, at: string): Schema<T> =>
    byKind.get(kind as string) ?? refuse(at, `a kind among ${[...byKind.keys()].join(', ')}`)
  return {
    read: (raw, at, open, depth) => variantOf(asObject(raw, at).kind, at).read(raw, at, open, depth),
    write: (value) => variantOf(value.kind, '').write(value),
  }
}

/** A sealed envelope inside a message: opened, and its signature checked, together with the message that carries it. */
export const sealed = <M extends { readonly kind: string }>(...kinds: readonly M['kind'][]): Schema<Opened<M>> => ({
  read: (raw, at, open, depth) => {
    if (!(raw instanceof Uint8Array)) return refuse(at, 'a sealed envelope')
    const opened = open(raw, depth + 1)
    if (!opened.ok) return refuse(at, `a sealed envelope (${opened.error})`)
    if (!kinds.includes(opened.value.message.kind)) return refuse(at, `an envelope with ${kinds.join(' or ')}`)
    return opened.value as Opened<M>
  },
  write: (value) => writePlain(value.bytes),
})

/** The bytes of a value, the same for equal values; throws InvariantError for what has no place in a message. */
export const encodeWith = <T>(schema: Schema<T>, value: T): Uint8Array => layOut(schema.write, value)

/** Reads a whole value; the error names the field that is wrong. */
export function readWith<T>(schema: Schema<T>, raw: unknown, open: OpenNested, depth = 0): Result<T, string> {
  try {
    return ok(schema.read(raw, '', open, depth))
  } catch (problem) {
    if (problem instanceof Malformed) return err(problem.message)
    throw problem
  }
}

function asObject(raw: unknown, at: string): Readonly<Record<string, unknown>> {
  const isObject = typeof raw === 'object' && raw !== null && !Array.isArray(raw) && !(raw instanceof Uint8Array)
  return isObject ? (raw as Record<string, unknown>) : refuse(at, 'an object')
}

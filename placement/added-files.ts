// Files that stand in an instance before its start, on paper: where they may come from, where they may go, and how
// they are packed for an engine.

import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { ServiceSpec } from './spec.ts'

export interface FileSource {
  /** The address without its fragment, `http` or `https`. */
  readonly url: string
  /** The digest that the content must have, in hexadecimal; null where the address does not say. */
  readonly sha256: string | null
  /** Where it goes, as the parts of a path below the instance's root: at least one, none of them `..`. */
  readonly parts: readonly string[]
}

const DIGEST = /^sha256[:=]([0-9a-fA-F]{64})$/

/** Reads a file that a spec asks for; the error is a sentence for whoever deployed it. */
export function readAddedFile({ url, path }: ServiceSpec['addedFiles'][number]): Result<FileSource, string> {
  const parsed = URL.parse(url)
  if (parsed === null || !['http:', 'https:'].includes(parsed.protocol)) {
    return err(`a file can be added from an http or https address, and "${url}" is none`)
  }
  const fragment = parsed.hash.slice(1)
  const sha256 = DIGEST.exec(fragment)?.[1]?.toLowerCase() ?? null
  if (fragment.startsWith('sha256') && sha256 === null) return err(`"#${fragment}" is no sha256 of 64 digits`)
  parsed.hash = ''
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  const isBad = parts.length === 0 || path.endsWith('/') || parts.includes('..') || path.includes('\0')
  if (isBad) return err(`a file cannot be added at "${path}": it has to be a path to a file, without ".."`)
  return ok({ url: parsed.href, sha256, parts })
}

/** tar(5), POSIX ustar: the name of an entry is cut in two at a slash where it is longer than 100 bytes. */
const BLOCK_BYTES = 512
const NAME_BYTES_MAX = 100
const PREFIX_BYTES_MAX = 155
const FILE_MODE = 0o755

/** The header of a file in an archive; the error is a sentence. */
export function tarHeader(parts: readonly string[], size: number): Result<Uint8Array, string> {
  const name = split(parts)
  if (name === null) return err(`the path /${parts.join('/')} is too long for an archive`)
  const header = Buffer.alloc(BLOCK_BYTES)
  const octal = (value: number, at: number, digits: number): void => {
    header.write(`${value.toString(8).padStart(digits, '0')}\0`, at)
  }
  header.write(name.name, 0)
  octal(FILE_MODE, 100, 7)
  octal(0, 108, 7)
  octal(0, 116, 7)
  octal(size, 124, 11)
  octal(0, 136, 11)
  // The sum is made with spaces in its own place.
  header.write('        ', 148)
  header.write('0', 156)
  header.write('ustar\0', 257)
  header.write('00', 263)
  header.write(name.prefix, 345)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return ok(header)
}

function split(parts: readonly string[]): { readonly prefix: string; readonly name: string } | null {
  for (let at = 0; at < parts.length; at++) {
    const prefix = parts.slice(0, at).join('/')
    const name = parts.slice(at).join('/')
    if (Buffer.byteLength(name) <= NAME_BYTES_MAX && Buffer.byteLength(prefix) <= PREFIX_BYTES_MAX)
      return { prefix, name }
  }
  return null
}

/** What fills the last block of a file, and what ends an archive. */
export const tarPadding = (size: number): Uint8Array =>
  new Uint8Array((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES)
export const TAR_END = new Uint8Array(2 * BLOCK_BYTES)

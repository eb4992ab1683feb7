// A relay that meddles with what it carries, loaded before anything else into the process of one real node
// (`--import`): the two passages of the shipping code where it joins two ends are replaced as they are loaded, as
// canaries are planted. All else that the node says is honest, so what the ends notice they notice of the bytes.

import { readFileSync, writeFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { type Duplex, pipeline, Transform } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'

/** What the relay does with what it carries: nothing, hold pieces up, flip a bit of them, or lose all of them. */
export type Meddling = 'none' | 'delay' | 'tamper' | 'drop'

/** Names the file in which the relay looks up what to do; beside it is the one in which it counts what it did. */
const FILE_VARIABLE = 'COPPICE_TEST_MEDDLING'
export const MEDDLING_DELAY_MS = 200
/** Of the pieces that pass one way, of those that are held up or changed: the others are underway meanwhile. */
const MEDDLED_EVERY = 20

/** Carried by libp2p's circuit relay: a piece is what its streams yield. */
interface Piece {
  readonly byteLength: number
  subarray(): Uint8Array
}

interface Passage {
  readonly file: string
  readonly find: string
  readonly replace: string
}

const PASSAGES: readonly Passage[] = [
  {
    file: '@libp2p/circuit-relay-v2/dist/src/utils.js',
    find: 'pipe(src, dst, src)',
    replace: 'pipe(src, globalThis.coppiceMeddling.pieces(), dst, globalThis.coppiceMeddling.pieces(), src)',
  },
  {
    file: 'overlay/io/carriage.ts',
    find: 'splice(first, second)',
    replace: 'globalThis.coppiceMeddling.join(first, second)',
  },
]

/** The environment of a node that meddles as the file says. */
export const meddlingBy = (file: string): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--import=${pathToFileURL(import.meta.filename).href}`,
  [FILE_VARIABLE]: file,
})

export const meddle = (file: string, what: Meddling): void => writeFileSync(file, what)

/** How many pieces were delayed, changed or lost so far. */
export const meddledWith = (file: string): number => Number(readFileSync(countFile(file), 'utf8'))

const countFile = (file: string): string => `${file}.count`

/** One direction of what is carried: what becomes of a piece, null where it is lost. */
function meddler(file: string): (piece: Uint8Array) => Promise<Uint8Array | null> {
  let passed = 0
  return async (piece) => {
    const what = readFileSync(file, 'utf8')
    passed += 1
    if (what === 'none' || (what !== 'drop' && passed % MEDDLED_EVERY !== 0)) return piece
    writeFileSync(countFile(file), String(meddledWith(file) + 1))
    if (what === 'drop') return null
    if (what === 'delay') {
      await delay(MEDDLING_DELAY_MS)
      return piece
    }
    const changed = Uint8Array.from(piece)
    const middle = changed.length >> 1
    changed[middle] = (changed[middle] ?? 0) ^ 1
    return changed
  }
}

async function* meddled(pieces: AsyncIterable<Piece>, change: ReturnType<typeof meddler>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    const changed = await change(piece.subarray())
    if (changed !== null) yield changed
  }
}

function transform(file: string): Transform {
  const change = meddler(file)
  return new Transform({
    transform: (piece: Buffer, _encoding, done) => {
      change(piece).then((changed) => done(null, changed), done)
    },
  })
}

function plant(file: string): void {
  writeFileSync(countFile(file), '0')
  const planted = {
    pieces: () => {
      const change = meddler(file)
      return (pieces: AsyncIterable<Piece>) => meddled(pieces, change)
    },
    join: (first: Duplex, second: Duplex) => {
      pipeline(first, transform(file), second, () => second.destroy())
      pipeline(second, transform(file), first, () => first.destroy())
    },
  }
  Object.assign(globalThis, { coppiceMeddling: planted })
  registerHooks({
    load: (url, context, next) => {
      const module = next(url, context)
      const passage = PASSAGES.find((one) => url.endsWith(one.file))
      if (passage === undefined) return module
      const parts = String(module.source).split(passage.find)
      if (parts.length !== 2) throw new Error(`${passage.file} has ${parts.length - 1} times: ${passage.find}`)
      return { ...module, source: parts.join(passage.replace) }
    },
  })
}

const file = process.env[FILE_VARIABLE]
if (file !== undefined) plant(file)

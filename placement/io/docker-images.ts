// Images that come from other devices when the registry cannot be reached, and go to them.

import { PassThrough, Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type Docker from 'dockerode'
import { readBytes } from '../../overlay/io/frames.ts'
import { isImageReference } from '../docker-options.ts'
import { createImageCheck, isImageId } from '../image-tar.ts'
import type { ImageOffer } from '../runtime.ts'
import { createTarFilter } from '../tar-filter.ts'
import { messageOf } from './deadline.ts'
import { answerWithin, orNull } from './docker-engine.ts'
import { layersAmong, namesOfLowest } from './docker-layers.ts'

/** A peer that sends nothing for so long is gone, in ms. `docker save` of a large image thinks for a while first. */
const SILENCE_MS_MAX = 60_000
/** Between two reports on a copy. */
const REPORT_INTERVAL_MS = 1_000
const BYTES_PER_MB = 1_000_000
/** `sha256:`, 64 digits, and the end of the line: what stands before the archive. */
const ID_LINE_BYTES = 72

/**
 * An image for a peer: a line with its id, then the archive that `docker save` makes, without the layers that the peer
 * has; null when it is not here.
 */
export async function offerImage(docker: Docker, image: string, have: Uint8Array): Promise<Readable | null> {
  if (!isImageReference(image)) return null
  const found = await orNull(docker.getImage(image).inspect())
  if (found === null) return null
  const count = layersAmong(found.RootFS.Layers ?? [], have)
  const leftOut = count > 0 ? await namesOfLowest(docker, found.Id, count) : new Set<string>()
  // By its id, so that the archive brings no names.
  const archive = await answerWithin(docker.getImage(found.Id).get())
  const out = new PassThrough()
  out.write(`${found.Id}\n`)
  pipeline(archive, withoutEntries(leftOut), out).catch(() => undefined)
  return out
}

function withoutEntries(leftOut: ReadonlySet<string>): Transform {
  const filter = createTarFilter(leftOut)
  return new Transform({
    transform(piece: Uint8Array, _encoding, done) {
      for (const kept of filter(piece)) this.push(kept)
      done()
    },
  })
}

/** Loads an image that a peer offers, under its name; resolves to what containers are to be made from. */
export async function loadImage(
  docker: Docker,
  image: string,
  { from, stream: offered }: ImageOffer,
  onProgress: (sentence: string) => void,
  signal: AbortSignal,
): Promise<string> {
  const stream = offered instanceof Readable ? offered : Readable.from(offered, { objectMode: false })
  const silence = setTimeout(() => stream.destroy(new Error(`${from} sends nothing any more`)), SILENCE_MS_MAX)
  const onAbort = (): void => void stream.destroy(new Error('the node stops'))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    const id = await readId(stream, signal)
    if ((await orNull(docker.getImage(id).inspect())) === null) {
      onProgress(`copying ${image} from ${from}`)
      await load(docker, id, stream, (bytes) => {
        silence.refresh()
        onProgress(`copying ${image} from ${from}: ${(bytes / BYTES_PER_MB).toFixed(1)} MB`)
      })
      if ((await orNull(docker.getImage(id).inspect())) === null) throw new Error(`it holds no image ${id}`)
    }
    return await nameImage(docker, id, image)
  } finally {
    clearTimeout(silence)
    signal.removeEventListener('abort', onAbort)
    stream.destroy()
  }
}

async function readId(stream: Readable, signal: AbortSignal): Promise<string> {
  const line = Buffer.from(await readBytes(stream, ID_LINE_BYTES, signal))
  const id = line.toString('latin1').trimEnd()
  if (!isImageId(id)) throw new Error('it does not say which image it is')
  return id
}

/** The engine gets the end of the archive only when all of it was looked at. */
async function load(docker: Docker, id: string, stream: Readable, onBytes: (bytes: number) => void): Promise<void> {
  const check = createImageCheck(id)
  let bytes = 0
  let reportedMs = performance.now()
  const checked = new Transform({
    transform: (piece: Uint8Array, _encoding, done) => {
      const looked = check.take(piece)
      bytes += piece.length
      if (performance.now() - reportedMs >= REPORT_INTERVAL_MS) {
        reportedMs = performance.now()
        onBytes(bytes)
      }
      done(looked.ok ? null : new Error(looked.error), piece)
    },
    flush: (done) => {
      const ended = check.end()
      done(ended.ok ? null : new Error(ended.error))
    },
  })
  const aborting = new AbortController()
  const request = { quiet: true, abortSignal: aborting.signal }
  const loaded = docker.loadImage(checked, request)
  loaded.catch(() => undefined)
  try {
    await pipeline(stream, checked)
  } catch (error) {
    // The engine drops a request whose body is cut off.
    aborting.abort()
    throw error
  }
  const answer = await loaded
  for await (const piece of answer) {
    const said = String(piece)
    if (said.includes('"error"')) throw new Error(said.trim())
  }
}

/** A name with a digest cannot be given; then the id is what containers are made from. */
async function nameImage(docker: Docker, id: string, image: string): Promise<string> {
  if (image.includes('@')) return id
  const colon = image.lastIndexOf(':')
  await answerWithin(docker.getImage(id).tag({ repo: image.slice(0, colon), tag: image.slice(colon + 1) }))
  return image
}

/** Tries what peers offer, one after the other; null when none of it could be had, with why in `onProblem`. */
export async function imageFromPeers(
  docker: Docker,
  image: string,
  offers: AsyncIterable<ImageOffer>,
  tell: { readonly onProgress: (sentence: string) => void; readonly onProblem: (sentence: string) => void },
  signal: AbortSignal,
): Promise<string | null> {
  for await (const offer of offers) {
    try {
      return await loadImage(docker, image, offer, tell.onProgress, signal)
    } catch (error) {
      tell.onProblem(`${image} from ${offer.from} was not taken: ${messageOf(error)}`)
    }
    if (signal.aborted) return null
  }
  return null
}

// Which layers of an image another device need not be sent, because its engine has them. A layer is a difference to
// those below it, so what an engine has is told by chains: the digest of a layer and all below (OCI image
// specification, "Layer ChainID"). An engine takes an archive without a layer when it has that chain.

import { createHash } from 'node:crypto'
import type Docker from 'dockerode'
import { createEntryReader } from '../tar-filter.ts'
import { answerWithin, orNull } from './docker-engine.ts'

/** Chains that are told of, the latest images' first: what fits into the header of a tunnel beside the rest. */
const CHAINS_MAX = 40
/** Of a chain's digest, so much is told; where two are taken for one the engine refuses, and all is sent. */
const MARK_BYTES = 8
/** Images that are looked into. A guess. */
const IMAGES_MAX = 64
/** Docker's own list of an image's layers is a few kB. */
const MANIFEST_BYTES_MAX = 1_000_000

/** The marks of the chains that the engine has, one after the other. */
export async function chainsHere(docker: Docker): Promise<Uint8Array> {
  const images = await answerWithin(docker.listImages())
  const latest = [...images].sort((a, b) => b.Created - a.Created).slice(0, IMAGES_MAX)
  const marks = new Set<string>()
  for (const { Id } of latest) {
    if (marks.size >= CHAINS_MAX) break
    const found = await orNull(docker.getImage(Id).inspect())
    for (const chain of chainsOf(found?.RootFS.Layers ?? [])) marks.add(markOf(chain))
  }
  return Buffer.from([...marks].slice(0, CHAINS_MAX).join(''), 'hex')
}

/** The digests of the layers' chains, lowest first. */
export function chainsOf(layers: readonly string[]): readonly string[] {
  const chains: string[] = []
  for (const layer of layers) {
    const below = chains.at(-1)
    const digest = below === undefined ? null : createHash('sha256').update(`${below} ${layer}`).digest('hex')
    chains.push(digest === null ? layer : `sha256:${digest}`)
  }
  return chains
}

const markOf = (chain: string): string => chain.replace(/^sha256:/, '').slice(0, 2 * MARK_BYTES)

/** How many of an image's layers, from the lowest, are among the chains. */
export function layersAmong(layers: readonly string[], have: Uint8Array): number {
  const marks = new Set<string>()
  for (let at = 0; at + MARK_BYTES <= have.length; at += MARK_BYTES) {
    marks.add(Buffer.from(have.subarray(at, at + MARK_BYTES)).toString('hex'))
  }
  return chainsOf(layers).findLastIndex((chain) => marks.has(markOf(chain))) + 1
}

/** The names that the lowest layers have in the engine's archive of an image; reads one to learn them. */
export async function namesOfLowest(docker: Docker, id: string, count: number): Promise<ReadonlySet<string>> {
  const reader = createEntryReader('manifest.json', MANIFEST_BYTES_MAX)
  for await (const piece of await answerWithin(docker.getImage(id).get())) reader.take(piece as Uint8Array)
  const layers = layersIn(reader.text() ?? '')
  // One that is there again further up may be a link to the one below.
  return new Set(layers.slice(0, count).filter((name) => layers.indexOf(name) === layers.lastIndexOf(name)))
}

function layersIn(manifest: string): readonly string[] {
  try {
    const [image] = JSON.parse(manifest) as readonly { readonly Layers?: unknown }[]
    return Array.isArray(image?.Layers) ? image.Layers.filter((name) => typeof name === 'string') : []
  } catch {
    return []
  }
}

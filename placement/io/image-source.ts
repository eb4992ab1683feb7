// Where the image of a container comes from: it is here, else its registry has it, else a peer.

import type Docker from 'dockerode'
import { type InstanceKey, splitInstanceKey } from '../../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import { isDenied, type RegistryLogin, registryOf } from '../registry-login.ts'
import type { RuntimeDriverOptions } from '../runtime.ts'
import { engineProblem, orNull, pullImage } from './docker-engine.ts'
import { imageFromPeers } from './docker-images.ts'
import { chainsHere } from './docker-layers.ts'
import type { ImageKeeper } from './image-keeper.ts'

export interface ImageSourceOptions extends Pick<RuntimeDriverOptions, 'imageOffers' | 'registryLogins' | 'onWarning'> {
  readonly keeper: ImageKeeper
  /** Where the engine is, for messages. */
  readonly address: string
}

/** What is wanted, for whom, and who is told how it goes. */
export interface ImageRequest {
  readonly image: string
  readonly key: InstanceKey
  readonly onProgress: (sentence: string) => void
  readonly signal: AbortSignal
}

export interface ImageSource {
  /** Whether it is here; if so that is a use of it. */
  isHere(docker: Docker, image: string): Promise<boolean>
  /** A container was made from it. */
  used(image: string): Promise<void>
  /** Brings one that is not here; resolves to what containers are to be made from, or to why it cannot be had. */
  bring(docker: Docker, request: ImageRequest): Promise<Result<string, string>>
}

export function createImageSource(options: ImageSourceOptions): ImageSource {
  const { imageOffers, onWarning, keeper, address } = options
  const isHere = async (docker: Docker, image: string): Promise<boolean> => {
    if ((await orNull(docker.getImage(image).inspect())) === null) return false
    await keeper.used(image, false)
    return true
  }
  return {
    isHere,
    used: (image) => keeper.used(image, false),
    async bring(docker, request) {
      const { image, onProgress, signal } = request
      await keeper.makeRoom(docker, image)
      const problem = await pull(docker, request, options)
      if (problem === null) {
        await keeper.used(image, true)
        return ok(image)
      }
      // Somebody else may have brought it meanwhile.
      if (await isHere(docker, image)) return ok(image)
      if (imageOffers !== undefined) {
        const tell = { onProgress, onProblem: onWarning }
        const copy = (have: Uint8Array) => imageFromPeers(docker, image, imageOffers(image, have, signal), tell, signal)
        const have = await chainsHere(docker)
        // An engine that cannot put it together from parts gets all of it.
        const copied = (await copy(have)) ?? (have.length > 0 ? await copy(new Uint8Array()) : null)
        if (copied !== null) {
          await keeper.used(image, true)
          return ok(copied)
        }
      }
      const others = imageOffers === undefined ? '' : '; no device nearby has it either'
      return err(`image ${image} cannot be pulled: ${engineProblem(problem, address)}${others}`)
    },
  }
}

/**
 * From its registry: with this device's own login where it has one, and where that is not enough with those of others.
 * What went wrong in the last try; null when it is here.
 */
async function pull(docker: Docker, request: ImageRequest, options: ImageSourceOptions): Promise<unknown> {
  const { image, key, onProgress, signal } = request
  const { registryLogins: logins, address } = options
  const attempt = (login: RegistryLogin | null): Promise<unknown> =>
    pullImage(docker, image, login, onProgress, signal).then(
      () => null,
      (problem: unknown) => problem,
    )
  if (logins === undefined) return await attempt(null)
  const registry = registryOf(image)
  const { service, number } = splitInstanceKey(key)
  let problem = await attempt(await logins.own(registry, service, signal))
  if (problem === null || !isDenied(engineProblem(problem, address))) return problem
  for await (const login of logins.others(registry, service, number, signal)) {
    problem = await attempt(login)
    if (problem === null || signal.aborted) return problem
  }
  return problem
}

// Where the image of a container comes from: it is here, else its registry has it, else a peer.

import type Docker from 'dockerode'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import type { RuntimeDriverOptions } from '../runtime.ts'
import { engineProblem, orNull, pullImage } from './docker-engine.ts'
import { imageFromPeers } from './docker-images.ts'
import type { ImageKeeper } from './image-keeper.ts'

export interface ImageSourceOptions extends Pick<RuntimeDriverOptions, 'imageOffers' | 'onWarning'> {
  readonly keeper: ImageKeeper
  /** Where the engine is, for messages. */
  readonly address: string
}

export interface ImageSource {
  /** Whether it is here; if so that is a use of it. */
  isHere(docker: Docker, image: string): Promise<boolean>
  /** Brings one that is not here; resolves to what containers are to be made from, or to why it cannot be had. */
  bring(
    docker: Docker,
    image: string,
    onProgress: (sentence: string) => void,
    signal: AbortSignal,
  ): Promise<Result<string, string>>
}

export function createImageSource({ imageOffers, onWarning, keeper, address }: ImageSourceOptions): ImageSource {
  const isHere = async (docker: Docker, image: string): Promise<boolean> => {
    if ((await orNull(docker.getImage(image).inspect())) === null) return false
    await keeper.used(image, false)
    return true
  }
  return {
    isHere,
    async bring(docker, image, onProgress, signal) {
      await keeper.makeRoom(docker, image)
      try {
        await pullImage(docker, image, onProgress, signal)
        await keeper.used(image, true)
        return ok(image)
      } catch (error) {
        // Somebody else may have brought it meanwhile.
        if (await isHere(docker, image)) return ok(image)
        if (imageOffers !== undefined) {
          const offers = imageOffers(image, signal)
          const copied = await imageFromPeers(docker, image, offers, { onProgress, onProblem: onWarning }, signal)
          if (copied !== null) {
            await keeper.used(image, true)
            return ok(copied)
          }
        }
        const others = imageOffers === undefined ? '' : '; no device nearby has it either'
        return err(`image ${image} cannot be pulled: ${engineProblem(error, address)}${others}`)
      }
    },
  }
}

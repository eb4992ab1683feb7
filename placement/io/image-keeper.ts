// Remembers the images that this node brought to its engine, and removes them when the disk runs short. The engine
// itself refuses to remove one that any container needs, whosever it is, and it is never forced.

import { readFile, rename, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type Docker from 'dockerode'
import {
  type DiskRoom,
  isEnough,
  isShort,
  type KeptImage,
  parseKeptImages,
  removable,
  withUse,
} from '../image-keeping.ts'
import { messageOf } from './deadline.ts'
import { answerWithin, statusOf } from './docker-engine.ts'

export interface ImageKeeper {
  /** Notes an image that was just brought here, or a start that needs one that was. */
  used(reference: string, isNew: boolean): Promise<void>
  /** Makes room for an image that is to be brought here; nothing happens while there is enough. */
  makeRoom(docker: Docker, needed: string): Promise<void>
}

export interface ImageKeeperOptions {
  readonly dataDir: string
  readonly onWarning: (text: string) => void
  /** Room on the disk of the engine's images; null when it is not this device's. Default: asks the engine where. */
  readonly room?: (docker: Docker) => Promise<DiskRoom | null>
}

export function createImageKeeper({ dataDir, onWarning, room = roomOf }: ImageKeeperOptions): ImageKeeper {
  const file = join(dataDir, 'images.json')
  let images: readonly KeptImage[] | null = null
  const load = async (): Promise<readonly KeptImage[]> => {
    images ??= parseKeptImages(await readFile(file, 'utf8').catch(() => ''))
    return images
  }
  const save = async (next: readonly KeptImage[]): Promise<void> => {
    images = next
    const draft = `${file}.new`
    await writeFile(draft, JSON.stringify(next))
    await rename(draft, file)
  }

  const removeOne = async (docker: Docker, reference: string): Promise<void> => {
    try {
      await answerWithin(docker.getImage(reference).remove())
      onWarning(`the image ${reference} was removed: nothing uses it, and the disk is nearly full`)
    } catch (error) {
      // 409: a container needs it. 404: somebody else has removed it.
      const status = statusOf(error)
      if (status === 409) return
      if (status !== 404) return onWarning(`the image ${reference} could not be removed: ${messageOf(error)}`)
    }
    await save((await load()).filter((image) => image.reference !== reference))
  }

  return {
    async used(reference, isNew) {
      const known = await load()
      if (!isNew && !known.some((image) => image.reference === reference)) return
      await save(withUse(known, reference, Date.now()))
    },
    async makeRoom(docker, needed) {
      const before = await room(docker)
      if (before === null || !isShort(before)) return
      for (const { reference } of removable(await load(), needed)) {
        await removeOne(docker, reference)
        const now = await room(docker)
        if (now === null || isEnough(now)) return
      }
    },
  }
}

async function roomOf(docker: Docker): Promise<DiskRoom | null> {
  const { DockerRootDir } = (await answerWithin(docker.info())) as { readonly DockerRootDir?: string }
  if (DockerRootDir === undefined) return null
  // An engine on another machine has its folder there.
  const found = await statfs(DockerRootDir).catch(() => null)
  return found === null ? null : { free: found.bavail * found.bsize, total: found.blocks * found.bsize }
}

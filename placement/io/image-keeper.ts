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
  let images: readonly KeptImage[] = []
  let reading: Promise<void> | null = null
  /** After it `images` is what the file says and what was noted since. */
  const load = (): Promise<void> => {
    reading ??= readFile(file, 'utf8').then(
      (text) => {
        images = parseKeptImages(text)
      },
      () => undefined,
    )
    return reading
  }
  let saving: Promise<void> = Promise.resolve()
  /** One after the other: many instances that start at once share one file. */
  const save = (next: readonly KeptImage[]): Promise<void> => {
    images = next
    const draft = `${file}.new`
    const write = async (): Promise<void> => {
      await writeFile(draft, JSON.stringify(next))
      await rename(draft, file)
    }
    saving = saving.then(write, write)
    return saving
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
    await save(images.filter((image) => image.reference !== reference))
  }

  return {
    async used(reference, isNew) {
      await load()
      if (!isNew && !images.some((image) => image.reference === reference)) return
      await save(withUse(images, reference, Date.now()))
    },
    async makeRoom(docker, needed) {
      const before = await room(docker)
      if (before === null || !isShort(before)) return
      await load()
      for (const { reference } of removable(images, needed)) {
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

// The device under the node, read at a steady pace: how it is, and how much of it is left.

import { createHostProbe } from '../placement/io/host-summary.ts'
import { createLoopDelayMonitor } from '../placement/io/loop-delay.ts'
import type { Host } from './host.ts'

/** How often the device is read; how often that is said is the core's affair. A guess. */
const READING_MS = 5_000

/** Reads the device again and again, and how late this process runs. */
export function readDevice(dataDir: string, host: Host): () => Promise<void> {
  const probe = createHostProbe({ dataDir })
  const loop = createLoopDelayMonitor()
  let timer: NodeJS.Timeout | null = null
  let isStopped = false
  const read = async (): Promise<void> => {
    const reading = await probe.read()
    if (isStopped) return
    host.input({ kind: 'reading', reading, loopDelayMs: loop.read() })
    timer = setTimeout(() => void read(), READING_MS)
    timer.unref()
  }
  void read()
  return async () => {
    isStopped = true
    if (timer !== null) clearTimeout(timer)
    loop.stop()
  }
}

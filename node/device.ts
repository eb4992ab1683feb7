// The device under the node, read at a steady pace: how it is, and how much of it is left.

import { wakes } from '../overlay/io/wakes.ts'
import { createHostProbe } from '../placement/io/host-summary.ts'
import { createLoopDelayMonitor } from '../placement/io/loop-delay.ts'
import type { Host } from './host.ts'

/** How often the device is read; how often that is said is the core's affair. A guess. */
const READING_MS = 5_000

/** Reads the device again and again, and how late this process runs. */
export function readDevice(dataDir: string, host: Host): () => Promise<void> {
  const probe = createHostProbe({ dataDir })
  const loop = createLoopDelayMonitor()
  let isReading = false
  let isStopped = false
  const read = async (): Promise<void> => {
    if (isReading) return
    isReading = true
    const reading = await probe.read()
    isReading = false
    if (!isStopped) host.input({ kind: 'reading', reading, loopDelayMs: loop.read() })
  }
  void read()
  const stopReading = wakes.every(READING_MS, () => void read())
  return async () => {
    isStopped = true
    stopReading()
    loop.stop()
  }
}

// The device under the node, read at a steady pace: how it is, and where it can be reached.

import { createHostProbe } from '../placement/io/host-summary.ts'
import { createLoopDelayMonitor } from '../placement/io/loop-delay.ts'
import type { Host } from './host.ts'

/** How often the device is read; how often that is said is the core's affair. A guess. */
const READING_MS = 5_000

/**
 * Reads the device again and again, how late this process runs, and the node's addresses: a device that was started
 * without a network, or carried to another one, has others later.
 */
export function readDevice(dataDir: string, host: Host, addresses: () => readonly string[]): () => Promise<void> {
  const probe = createHostProbe({ dataDir })
  const loop = createLoopDelayMonitor()
  let timer: NodeJS.Timeout | null = null
  let isStopped = false
  let told = addresses().join()
  const tellAddresses = (): void => {
    const now = addresses()
    if (now.join() === told) return
    told = now.join()
    host.input({ kind: 'addresses', addresses: now })
  }
  const read = async (): Promise<void> => {
    const reading = await probe.read()
    if (isStopped) return
    tellAddresses()
    host.input({ kind: 'reading', reading, loopDelayMs: loop.read().p99Ms })
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

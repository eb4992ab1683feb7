// How programs on this device get in: the HTTP proxy, and a loopback address for each service.

import { openHttpProxy } from '../overlay/io/http-proxy.ts'
import type { Listener } from '../overlay/io/way-in.ts'
import { CoppiceError } from './errors.ts'
import type { Traffic } from './traffic.ts'

/** The HTTP proxy on loopback. Rejects with CoppiceError `port-in-use`. */
export async function openProxy(
  port: number,
  connect: Traffic['connect'],
  onRefused: (address: string, sentence: string) => void,
): Promise<Listener> {
  try {
    return await openHttpProxy({ port, connect, onRefused: (address, refusal) => onRefused(address, refusal.sentence) })
  } catch (problem) {
    const detail = problem instanceof Error ? problem.message : String(problem)
    throw new CoppiceError(
      'port-in-use',
      `the HTTP proxy cannot listen on port ${port}: ${detail}`,
      'Choose another with --http-proxy.',
    )
  }
}

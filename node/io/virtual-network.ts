// The network of virtual addresses that containers reach too: one route that makes all of 10.30.0.0/16 this device's
// own (Linux: local routes need no address on any interface). Needs CAP_NET_ADMIN, and `ip`.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { CoppiceError } from '../errors.ts'

export const VIRTUAL_NETWORK = '10.30.0.0/16'
const ROUTE = ['local', VIRTUAL_NETWORK, 'dev', 'lo'] as const
const COMMAND_MS_MAX = 5_000

const ip = (...words: readonly string[]): Promise<unknown> =>
  promisify(execFile)('ip', [...words], { timeout: COMMAND_MS_MAX })

/**
 * Adds the route; several nodes on one device may share it. Resolves to how to take it away again. Rejects with
 * CoppiceError `not-permitted`.
 */
export async function openVirtualNetwork(): Promise<() => Promise<void>> {
  try {
    await ip('route', 'replace', ...ROUTE)
  } catch (problem) {
    const detail = problem instanceof Error ? problem.message.trim() : String(problem)
    throw new CoppiceError(
      'not-permitted',
      `the route to ${VIRTUAL_NETWORK} cannot be added: ${detail}`,
      'Give the node CAP_NET_ADMIN, or leave --virtual-network out.',
    )
  }
  return async () => {
    await ip('route', 'del', ...ROUTE).catch(() => undefined)
  }
}

// The networks of virtual addresses that containers reach too: a route each that makes all of 10.30.0.0/16, and of
// fdff::/112 where the device has IPv6, this device's own (Linux: local routes need no address on any interface). Needs
// CAP_NET_ADMIN, and `ip`. With IPv6 such a route lets nobody bind, so what is listened on is also put on loopback.

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { CoppiceError } from '../errors.ts'

export const VIRTUAL_NETWORK = '10.30.0.0/16'
const ROUTE = ['local', VIRTUAL_NETWORK, 'dev', 'lo'] as const
const ROUTE6 = ['local', 'fdff::/112', 'dev', 'lo'] as const
const COMMAND_MS_MAX = 5_000

const ip = (...words: readonly string[]): Promise<unknown> =>
  promisify(execFile)('ip', [...words], { timeout: COMMAND_MS_MAX })

export interface OpenNetwork {
  /** Whether the device has IPv6, and the route to fdff::/112 could be added. */
  readonly hasIpv6: boolean
  /** Makes addresses of fdff::/112 such that a program may listen on them; best effort. */
  hold(addresses: readonly string[]): Promise<void>
  /** Gives up what was held besides these. */
  keep(addresses: readonly string[]): Promise<void>
  close(): Promise<void>
}

/** Adds the routes; several nodes on one device may share them. Rejects with CoppiceError `not-permitted`. */
export async function openVirtualNetwork(): Promise<OpenNetwork> {
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
  const hasIpv6 = await ip('-6', 'route', 'replace', ...ROUTE6).then(
    () => true,
    () => false,
  )
  const held = new Set<string>()
  const keep = async (addresses: readonly string[]): Promise<void> => {
    const gone = [...held].filter((address) => !addresses.includes(address))
    for (const address of gone) held.delete(address)
    await ipLines(gone.map((address) => `address del ${address}/128 dev lo`))
  }
  return {
    hasIpv6,
    hold: async (addresses) => {
      const added = addresses.filter((address) => !held.has(address))
      for (const address of added) held.add(address)
      await ipLines(added.map((address) => `address replace ${address}/128 dev lo nodad`))
    },
    keep,
    close: async () => {
      await keep([])
      await ip('route', 'del', ...ROUTE).catch(() => undefined)
      if (hasIpv6) await ip('-6', 'route', 'del', ...ROUTE6).catch(() => undefined)
    },
  }
}

/** Many changes with one process; what cannot be done does not keep the rest from it. */
async function ipLines(lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return
  const child = spawn('ip', ['-6', '-force', '-batch', '-'], { stdio: ['pipe', 'ignore', 'ignore'] })
  child.on('error', () => {})
  child.stdin.on('error', () => {}).end(`${lines.join('\n')}\n`)
  await once(child, 'close', { signal: AbortSignal.timeout(COMMAND_MS_MAX) }).catch(() => child.kill())
}

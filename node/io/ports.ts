// A port that was free once is taken again after a restart, so that the addresses others know stay true.

import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { decodeBounded, encodeCbor } from '../../overlay/wire/codec.ts'
import type { Disk } from './disk.ts'

/** The port of the last start stands here in the store. */
export const PORT_KEY = 'node/port'
const ANY_PORT = '/tcp/0'
/** All of the device's addresses; IPv6 only where it has any besides loopback's. */
function everywhere(): readonly string[] {
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  const hasIpv6 = own.some(({ family, internal }) => family === 'IPv6' && !internal)
  return hasIpv6 ? ['/ip4/0.0.0.0/tcp/0', '/ip6/::/tcp/0'] : ['/ip4/0.0.0.0/tcp/0']
}

/** The addresses to listen on: those asked for, with the port of last time where any would do and it is still free. */
export async function rememberedListen(
  disk: Disk,
  asked: readonly string[] = everywhere(),
): Promise<readonly string[]> {
  const stored = await disk.get(PORT_KEY)
  const read = stored === null ? null : decodeBounded(stored)
  const port = read?.ok && typeof read.value === 'number' ? read.value : null
  if (port === null || !(await isFree(port))) return asked
  return asked.map((address) => (address.endsWith(ANY_PORT) ? address.replace(ANY_PORT, `/tcp/${port}`) : address))
}

export async function rememberListen(
  disk: Disk,
  asked: readonly string[] = everywhere(),
  addresses: readonly string[],
): Promise<void> {
  if (!asked.some((address) => address.endsWith(ANY_PORT))) return
  const port = addresses.map((address) => /\/tcp\/(\d+)/.exec(address)?.[1]).find((found) => found !== undefined)
  if (port !== undefined) await disk.put(PORT_KEY, encodeCbor(Number(port)), { sync: false })
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '0.0.0.0' }, () => server.close(() => resolve(true)))
  })
}

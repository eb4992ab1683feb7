// The router of this device's network: read from the kernel's table on Linux, asked of the system's programs elsewhere.

import { readFile } from 'node:fs/promises'

/** Of `/proc/net/route`: addresses are hexadecimal, in the byte order of the machine. */
export function gatewayIn(table: string): string | null {
  for (const line of table.split('\n').slice(1)) {
    const [, destination, gateway = ''] = line.split(/\s+/)
    if (destination !== '00000000' || !/^[0-9A-F]{8}$/i.test(gateway) || gateway === '00000000') continue
    return Buffer.from(gateway, 'hex').reverse().join('.')
  }
  return null
}

/** An IPv4 address; null where there is no way out of this network. */
export async function defaultGateway(): Promise<string | null> {
  if (process.platform !== 'linux') {
    const { default: systeminformation } = await import('systeminformation')
    return (await systeminformation.networkGatewayDefault()) || null
  }
  const table = await readFile('/proc/net/route', 'utf8').catch(() => null)
  return table === null ? null : gatewayIn(table)
}

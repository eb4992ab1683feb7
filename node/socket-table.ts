// The kernel's tables of sockets (`/proc/net/tcp` and its like, proc(5)), read for one thing: which socket has its end
// at a given address of this device.

import type { Origin } from '../overlay/io/way-in.ts'

const HEX_OF_IPV4 = 8
const NOWHERE = /^0+$/

/**
 * The inode of the socket whose own end is `origin`; null when the table has none. A UDP socket that sends without
 * being bound to one address stands there with none at all.
 */
export function inodeAt(table: string, { address, port }: Origin): string | null {
  const wantedPort = port.toString(16).toUpperCase().padStart(4, '0')
  const wantedAddress = hexOf(address)
  if (wantedAddress === null) return null
  let unbound: string | null = null
  for (const line of table.split('\n')) {
    const fields = line.trim().split(/\s+/)
    const [local = '', localPort] = (fields[1] ?? '').split(':')
    const inode = fields[9]
    if (localPort !== wantedPort || inode === undefined || inode === '0') continue
    // An IPv6 socket that speaks IPv4 has the address in its last four bytes.
    if (local.endsWith(wantedAddress)) return inode
    if (NOWHERE.test(local)) unbound = inode
  }
  return unbound
}

/** An IPv4 address as the kernel prints it on a little-endian machine; null for any other text. */
function hexOf(address: string): string | null {
  const bytes = address
    .replace(/^::ffff:/, '')
    .split('.')
    .map(Number)
  if (bytes.length !== 4 || !bytes.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 255)) return null
  const hex = bytes
    .toReversed()
    .map((byte) => byte.toString(16).toUpperCase().padStart(2, '0'))
    .join('')
  return hex.length === HEX_OF_IPV4 ? hex : null
}

// The kernel's tables of sockets (`/proc/net/tcp` and its like, proc(5)), read for one thing: which socket has its end
// at a given address of this device.

import { isIPv6 } from 'node:net'
import type { Origin } from '../overlay/io/way-in.ts'

const BYTES_OF_WORD = 4
const GROUPS_OF_IPV6 = 8
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
    // Among sockets of IPv4 there is none of an IPv6 address.
    if (local.length < wantedAddress.length) continue
    // An IPv6 socket that speaks IPv4 has the address in its last four bytes.
    if (local.endsWith(wantedAddress)) return inode
    if (NOWHERE.test(local)) unbound = inode
  }
  return unbound
}

/** An address as the kernel prints it on a little-endian machine, four bytes at a time; null for any other text. */
function hexOf(address: string): string | null {
  const bytes = address.startsWith('::ffff:') || !address.includes(':') ? ipv4Of(address) : ipv6Of(address)
  if (bytes === null) return null
  const words = Array.from({ length: bytes.length / BYTES_OF_WORD }, (_, index) =>
    bytes.slice(index * BYTES_OF_WORD, (index + 1) * BYTES_OF_WORD).toReversed(),
  )
  return words
    .flat()
    .map((byte) => byte.toString(16).toUpperCase().padStart(2, '0'))
    .join('')
}

function ipv4Of(address: string): readonly number[] | null {
  const bytes = address
    .replace(/^::ffff:/, '')
    .split('.')
    .map(Number)
  const isWhole = bytes.length === 4 && bytes.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 255)
  return isWhole ? bytes : null
}

function ipv6Of(address: string): readonly number[] | null {
  if (!isIPv6(address) || /[.%]/.test(address)) return null
  const [head = '', tail = ''] = address.split('::')
  const groupsOf = (text: string): readonly number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  const [before, after] = [groupsOf(head), groupsOf(tail)]
  const zeros = Array.from({ length: GROUPS_OF_IPV6 - before.length - after.length }, () => 0)
  return [...before, ...zeros, ...after].flatMap((group) => [group >> 8, group & 255])
}

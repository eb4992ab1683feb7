// A socket is found in the kernel's table by its own end, not by the other one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inodeAt } from './socket-table.ts'

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const line = (local: string, remote: string, inode: number): string =>
  `   0: ${local} ${remote} 01 00000000:00000000 00:00000000 00000000  0  0 ${inode} 1 0000000000000000 20 4\n`

test('the caller’s socket is the one whose own end is the address', () => {
  const table = HEAD + line('07001E7F:1F90', '0100007F:C001', 11) + line('0100007F:C001', '07001E7F:1F90', 12)
  assert.equal(inodeAt(table, { address: '127.0.0.1', port: 0xc001 }), '12')
  assert.equal(inodeAt(table, { address: '::ffff:127.0.0.1', port: 0xc001 }), '12')
  assert.equal(inodeAt(table, { address: '127.0.0.1', port: 0xc002 }), null)
  assert.equal(inodeAt(table, { address: 'fe80::1', port: 0xc001 }), null)
})

test('sockets of IPv6 that speak IPv4, and of UDP without an address, are found too', () => {
  const mapped = line('0000000000000000FFFF00000100007F:C001', '0000000000000000FFFF000007001E7F:1F90', 13)
  assert.equal(inodeAt(HEAD + mapped, { address: '127.0.0.1', port: 0xc001 }), '13')
  const unbound = line('00000000:C003', '00000000:0000', 14)
  assert.equal(inodeAt(HEAD + unbound, { address: '127.0.0.1', port: 0xc003 }), '14')
  assert.equal(
    inodeAt(`${HEAD}${line('0100007F:C001', '07001E7F:1F90', 0)}`, { address: '127.0.0.1', port: 0xc001 }),
    null,
  )
})

test('an address of IPv6 is found as the kernel writes it, and not among sockets of IPv4', () => {
  const address = 'fdff::7'
  const table = HEAD + line('0000FFFD000000000000000007000000:C001', '0000FFFD000000000000000009000000:1F90', 15)
  assert.equal(inodeAt(table, { address, port: 0xc001 }), '15')
  assert.equal(inodeAt(table, { address: 'fdff::9', port: 0x1f90 }), null)
  const loopback = line('00000000000000000000000001000000:C001', '00000000000000000000000001000000:1F90', 16)
  assert.equal(inodeAt(HEAD + loopback, { address: '::1', port: 0xc001 }), '16')
  const unbound = line('00000000000000000000000000000000:C001', '00000000000000000000000000000000:0000', 17)
  assert.equal(inodeAt(HEAD + unbound, { address, port: 0xc001 }), '17')
  assert.equal(inodeAt(HEAD + line('00000000:C001', '00000000:0000', 18), { address, port: 0xc001 }), null)
  assert.equal(inodeAt(table, { address: 'fdff::7%lo', port: 0xc001 }), null)
})

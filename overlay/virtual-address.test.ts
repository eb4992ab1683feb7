// A service keeps its loopback address for as long as there is room, and across restarts.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serviceId } from './kernel/ids.ts'
import {
  allocateVirtualAddress,
  claimVirtualAddress,
  createVirtualAddresses,
  formatVirtualAddress,
  listVirtualAddresses,
  nameAt,
  parseVirtualAddress,
  releaseVirtualAddress,
  VIRTUAL_ADDRESSES_MAX,
} from './virtual-address.ts'

const service = (number: number) => serviceId(`app.ns.svc${number}.ns`)

test('a service gets one address of 127.30.0.0/16 and keeps it', () => {
  const table = createVirtualAddresses([])
  const first = allocateVirtualAddress(table, service(1))
  assert.match(first.address, /^127\.30\.\d+\.\d+$/)
  assert.ok(first.isNew)
  assert.deepEqual(allocateVirtualAddress(table, service(1)), { ...first, isNew: false })
  assert.equal(nameAt(table, first.address), service(1))
})

test('no two services share an address', () => {
  const table = createVirtualAddresses([])
  const addresses = Array.from({ length: 5_000 }, (_, number) => allocateVirtualAddress(table, service(number)).address)
  assert.equal(new Set(addresses).size, 5_000)
})

test('what was kept comes back after a restart, and what makes no sense is passed over', () => {
  const before = createVirtualAddresses([])
  const address = allocateVirtualAddress(before, service(1)).address
  const kept = [
    ...listVirtualAddresses(before),
    { name: service(2), address },
    { name: service(3), address: '10.0.0.1' },
    { name: service(1), address: '127.30.0.9' },
  ]
  const after = createVirtualAddresses(kept)
  assert.deepEqual(listVirtualAddresses(after), listVirtualAddresses(before))
  assert.equal(allocateVirtualAddress(after, service(1)).address, address)
})

test('even with the table lost, a service alone gets the same address again', () => {
  const address = allocateVirtualAddress(createVirtualAddresses([]), service(9)).address
  assert.equal(allocateVirtualAddress(createVirtualAddresses([]), service(9)).address, address)
})

test('when all are taken, the one unused for longest gives up its address', () => {
  const table = createVirtualAddresses([])
  for (let number = 0; number < VIRTUAL_ADDRESSES_MAX; number++) allocateVirtualAddress(table, service(number))
  const oldest = allocateVirtualAddress(table, service(1)).address
  allocateVirtualAddress(table, service(0))
  const newcomer = allocateVirtualAddress(table, serviceId('new.ns.svc.ns'))
  assert.equal(newcomer.evicted, service(2))
  assert.equal(nameAt(table, newcomer.address), 'new.ns.svc.ns')
  assert.equal(nameAt(table, oldest), service(1))
  assert.equal(table.byName.size, VIRTUAL_ADDRESSES_MAX)
})

test('a released address is free again', () => {
  const table = createVirtualAddresses([])
  const { address } = allocateVirtualAddress(table, service(1))
  assert.ok(releaseVirtualAddress(table, service(1)))
  assert.ok(!releaseVirtualAddress(table, service(1)))
  assert.equal(nameAt(table, address), null)
})

test('only the addresses that are handed out parse', () => {
  for (const index of [1, 255, 256, 65_534]) assert.equal(parseVirtualAddress(formatVirtualAddress(index)), index)
  for (const text of ['127.30.0.0', '127.30.255.255', '127.30.256.1', '127.31.0.1', '127.30.01.1', '127.30.1', '']) {
    assert.equal(parseVirtualAddress(text), null, text)
  }
})

test('an address that was asked for goes to its name, and whoever happened to have it gets another', () => {
  const table = createVirtualAddresses([], '', '10.30')
  const { address } = allocateVirtualAddress(table, service(1))
  assert.match(address, /^10\.30\./)
  const claimed = new Set<string>()
  const claim = (name: string, wanted: string): boolean => {
    const isHad = claimVirtualAddress(table, name, wanted, (holder) => claimed.has(holder))
    if (isHad) claimed.add(name)
    return isHad
  }
  assert.ok(claim(service(2), address))
  assert.equal(allocateVirtualAddress(table, service(2)).address, address)
  assert.notEqual(allocateVirtualAddress(table, service(1)).address, address)
  assert.ok(!claim(service(3), address), 'the first to ask keeps it')
  assert.ok(claim(service(2), address))
  for (const foreign of ['127.30.0.7', '10.31.0.7', '10.30.0.0', '192.0.2.1']) assert.ok(!claim(service(4), foreign))
})

test('the addresses of IPv6 are read as they are written, and no others', () => {
  for (const index of [1, 15, 16, 255, 4_096, 65_534]) {
    assert.equal(parseVirtualAddress(formatVirtualAddress(index, 'fdff'), 'fdff'), index)
  }
  for (const text of ['fdff::', 'fdff::0', 'fdff::ffff', 'fdff::01', 'fdff::1:1', 'fdfe::1', '10.30.0.1', 'fdff::1 ']) {
    assert.equal(parseVirtualAddress(text, 'fdff'), null, text)
  }
})

// Which router the kernel's table names.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gatewayIn } from './default-gateway.ts'

const HEAD = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask'

test('the gateway is that of the route to everywhere', () => {
  const local = 'eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF'
  const everywhere = 'eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000'
  assert.equal(gatewayIn([HEAD, local, everywhere].join('\n')), '192.168.1.1')
})

test('a device that has no router, or reaches everything on its cable, has none', () => {
  assert.equal(gatewayIn(HEAD), null)
  assert.equal(gatewayIn([HEAD, 'ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000'].join('\n')), null)
})

// A service is open to its own namespace and to whom it names, and to nobody else.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { namespaceOf, whyNotCall } from './callers.ts'
import { serviceId } from './kernel/ids.ts'

const shop = serviceId('shop.prod.web.default')

test('an instance calls from the namespace of its application', () => {
  assert.equal(namespaceOf(shop), 'shop.prod')
})

test('its own namespace, people, and those whom it names may call a service', () => {
  for (const [caller, callers] of [
    ['', []],
    ['shop.prod', []],
    ['other.prod', []],
    ['billing.test', ['test']],
    ['billing.test', ['billing.test']],
    ['billing.test', ['*']],
  ] as const) {
    assert.equal(whyNotCall(caller, shop, callers), null, `${caller} ${callers}`)
  }
})

test('everybody else is refused, and hears what would help', () => {
  for (const callers of [[], ['prod'], ['shop.test'], ['billing']]) {
    const reason = whyNotCall('billing.test', shop, callers)
    assert.match(
      reason ?? '',
      /may be called from the namespace "prod".*not from "billing\.test"; add "test" to "callers"/,
    )
  }
  // The service's second namespace is no caller's namespace.
  assert.notEqual(whyNotCall('x.default', shop, []), null)
})

// Addresses are read in every form that people write, and a wrong one says which label is wrong.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type AddressProblem,
  addressOf,
  isAboveNames,
  isAddressOf,
  type Policy,
  parseAddress,
  printAddress,
  type ServiceAddress,
} from './address.ts'
import { serviceId } from './kernel/ids.ts'

const shop = serviceId('shop.prod.web.prod')
const full = { kind: 'full', id: shop } as const

const read = (text: string): ServiceAddress => {
  const parsed = parseAddress(text)
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.error.problem)
  return parsed.value
}
const problemOf = (text: string): AddressProblem => {
  const parsed = parseAddress(text)
  assert.ok(!parsed.ok, `${text} was accepted`)
  return parsed.error
}

test('every written form is read', () => {
  const cases: readonly [string, ServiceAddress][] = [
    ['shop.prod.web.prod.0.rr.local:8080', { service: full, instance: 0, policy: 'rr', port: 8080 }],
    ['shop.prod.web.prod.any.closest.local', { service: full, instance: null, policy: 'closest', port: null }],
    ['Shop.Prod.WEB.prod.ANY.RR.Internal', { service: full, instance: null, policy: 'rr', port: null }],
    ['shop.prod.web.prod.12.instance.internal.', { service: full, instance: 12, policy: 'instance', port: null }],
    [
      'web.shop.internal:80',
      { service: { kind: 'short', name: 'web', app: 'shop' }, instance: null, policy: 'rr', port: 80 },
    ],
  ]
  for (const [text, expected] of cases) assert.deepEqual(read(text), expected)
})

test('the address shown for a service is the one of the design, and means that service', () => {
  assert.equal(addressOf(shop), 'shop.prod.web.prod.0.rr.local')
  assert.equal(addressOf(shop, 8080), 'shop.prod.web.prod.0.rr.local:8080')
  assert.ok(isAddressOf(read(addressOf(shop)), shop))
  assert.ok(isAddressOf(read('web.shop.internal'), shop))
  assert.ok(!isAddressOf(read('web.other.internal'), shop))
  assert.ok(!isAddressOf(read('shop.prod.web.test.0.rr.local'), shop))
})

test('a wrong address names the label and what belongs there', () => {
  const cases: readonly [string, string | null, RegExp][] = [
    ['shop.prod.we_b.prod.0.rr.local', 'we_b', /the service \(label 3\) is "we_b"; expected 1 to 63 of a-z/],
    ['shop..web.prod.0.rr.local', '', /the application namespace \(label 2\) is empty/],
    ['-shop.prod.web.prod.0.rr.local', '-shop', /the application \(label 1\)/],
    [`${'x'.repeat(64)}.prod.web.prod.0.rr.local`, 'x'.repeat(64), /1 to 63/],
    ['shop.prod.web.prod.zero.rr.local', 'zero', /instance's place; expected a number from 0 to 999999999, or "any"/],
    ['shop.prod.web.prod.007.rr.local', '007', /instance's place/],
    ['shop.prod.web.prod.1000000000.rr.local', '1000000000', /instance's place/],
    ['shop.prod.web.prod.0.roundrobin.local', 'roundrobin', /no policy; expected one of "rr", "closest", "instance"/],
    ['shop.prod.web.prod.any.instance.local', 'any', /expected its number instead of "any"/],
    ['shop.prod.web.prod.rr.local', null, /has 6 labels; expected the 7 of .* or the 3 of svc\.app\.internal/],
    ['web.shop.local', null, /has 3 labels/],
    ['shop.prod.web.prod.0.rr.local:0', null, /"0" is no port/],
    ['shop.prod.web.prod.0.rr.local:http', null, /"http" is no port/],
    ['shop.prod.web.prod.0.rr.local:', null, /"" is no port/],
    [`${'a.'.repeat(130)}local`, null, /at most 253/],
  ]
  for (const [text, label, sentence] of cases) {
    const problem = problemOf(text)
    assert.equal(problem.code, 'malformed', text)
    assert.equal(problem.label, label, text)
    assert.match(problem.problem, sentence)
  }
})

test('names of other naming systems are told apart from mistyped ones', () => {
  for (const text of ['example.com', 'localhost', '', 'shop.prod.web.prod.0.rr.lokal', '127.0.0.1:80', '::1']) {
    assert.equal(problemOf(text).code, 'not-ours', text)
  }
})

test('all six policies are read, and the instance stays what it was', () => {
  for (const policy of ['rr', 'closest', 'random', 'least', 'sticky', 'instance'] as const) {
    assert.equal(read(`shop.prod.web.prod.3.${policy}.local`).policy, policy)
  }
})

test('the names above ours exist, and nothing else of other systems does', () => {
  for (const name of [
    'local',
    'rr.local',
    '0.sticky.internal',
    'prod.any.rr.local.',
    'prod.web.prod.1.instance.local',
  ]) {
    assert.ok(isAboveNames(name), name)
  }
  for (const name of ['internal', 'shop.internal']) assert.ok(isAboveNames(name), name)
  for (const name of ['printer.local', 'any.instance.local', 'x.rr.local', 'a.b.internal', 'com', 'rr.com', '']) {
    assert.ok(!isAboveNames(name), name)
  }
  assert.ok(!isAboveNames('shop.prod.web.prod.0.rr.local'))
})

test('what is printed is read again as the same', () => {
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?$/)
  const address = fc
    .record({
      labels: fc.tuple(label, label, label, label),
      isShort: fc.boolean(),
      number: fc.integer({ min: 0, max: 999_999_999 }),
      policy: fc.constantFrom<Policy>('rr', 'closest', 'instance', 'random', 'least', 'sticky'),
      port: fc.option(fc.integer({ min: 1, max: 65_535 })),
    })
    .map(({ labels, isShort, number, policy, port }): ServiceAddress => {
      if (!isShort)
        return { service: { kind: 'full', id: serviceId(labels.join('.')) }, instance: number, policy, port }
      return { service: { kind: 'short', name: labels[0], app: labels[1] }, instance: null, policy: 'rr', port }
    })
  const property = fc.property(address, fc.constantFrom('local' as const, 'internal' as const), (one, suffix) => {
    assert.deepEqual(read(printAddress(one, suffix)), one)
  })
  fc.assert(property, { seed: 20261121, numRuns: 500 })
})

test('no text breaks the parser', () => {
  const property = fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
    parseAddress(text)
    parseAddress(`${text}.0.rr.local`)
  })
  fc.assert(property, { seed: 20261121, numRuns: 1_000 })
})

// Names in DNS: what exists, what does not, what nobody can say, and what is none of our business.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answerTo, type DnsOutcome, type DnsQuestion, planFor, RCODES, SRV_RECORDS_MAX } from './dns.ts'
import { serviceId } from './kernel/ids.ts'

const NAME = 'shop.prod.web.prod.0.rr.local'
const ask = (name: string, type = 'A'): DnsQuestion => ({ name, type, class: 'IN' })

const http = { port: 80, protocol: 'tcp' } as const
const dns = { port: 53, protocol: 'udp' } as const
const found: DnsOutcome = {
  kind: 'found',
  service: serviceId('shop.prod.web.prod'),
  policy: 'rr',
  addressV4: '127.30.0.7',
  addressV6: null,
  instances: [
    { number: 2, ports: [http, dns] },
    { number: 0, ports: [http, dns] },
  ],
}

const rcodeOf = (name: string, type = 'A') => {
  const plan = planFor(ask(name, type))
  return plan.kind === 'answer' ? plan.answer.rcode : plan.kind
}

test('names of ours are looked up, in any case and with the dot of the root', () => {
  assert.deepEqual(planFor(ask(NAME)), { kind: 'resolve', name: NAME, needsAddress: true })
  assert.equal(rcodeOf(`${NAME.toUpperCase()}.`), 'resolve')
  assert.equal(rcodeOf('web.shop.internal', 'AAAA'), 'resolve')
  assert.deepEqual(planFor(ask(`_80._tcp.${NAME}`, 'SRV')), { kind: 'resolve', name: NAME, needsAddress: false })
})

test('a name of ours that does not parse does not exist, and the log hears why', () => {
  const plan = planFor(ask('shop.prod.web.prod.0.robin.local'))
  assert.ok(plan.kind === 'answer')
  assert.equal(plan.answer.rcode, RCODES.noSuchName)
  assert.match(plan.answer.reason ?? '', /"robin" is no policy/)
  assert.equal(rcodeOf('printer.local'), RCODES.noSuchName)
  assert.equal(rcodeOf(`_80._tcp.${NAME}`, 'A'), RCODES.noSuchName)
})

test('what stands above names of ours exists and has no records', () => {
  for (const name of ['local', 'internal.', 'rr.local', 'web.prod.0.closest.local', 'shop.internal']) {
    assert.equal(rcodeOf(name), RCODES.ok, name)
  }
})

test('names of other systems are none of ours, nor are other classes', () => {
  for (const name of ['example.org', '.', 'localhost', '1.0.0.127.in-addr.arpa']) assert.equal(rcodeOf(name), 'foreign')
  const chaos = planFor({ ...ask('version.bind', 'TXT'), class: 'CH' })
  assert.ok(chaos.kind === 'answer' && chaos.answer.rcode === RCODES.refused)
})

test('A gives the address of this device; AAAA of a name without one is empty, not denied', () => {
  const a = answerTo(ask(NAME), found)
  assert.deepEqual(a.records, [{ type: 'A', name: NAME, ttl: 5, data: '127.30.0.7' }])
  const aaaa = answerTo(ask(NAME, 'AAAA'), found)
  assert.deepEqual([aaaa.rcode, aaaa.records.length, aaaa.zone], [RCODES.ok, 0, 'local'])
  assert.deepEqual(answerTo(ask(NAME, 'TXT'), found).records, [])
})

test('SRV names each instance and port, in the order of the policy', () => {
  const targets = (name: string, outcome: DnsOutcome = found) =>
    answerTo(ask(name, 'SRV'), outcome).records.map(({ data }) =>
      typeof data === 'string' ? data : `${data.priority} ${data.port} ${data.target}`,
    )
  const [two, zero] = [2, 0].map((number) => `shop.prod.web.prod.${number}.instance.local`)
  assert.deepEqual(targets(NAME), [`0 80 ${two}`, `0 53 ${two}`, `0 80 ${zero}`, `0 53 ${zero}`])
  assert.deepEqual(targets(`_53._udp.${NAME}`), [`0 53 ${two}`, `0 53 ${zero}`])
  assert.deepEqual(targets(`_53._tcp.${NAME}`), [])
  assert.deepEqual(targets(`_80._tcp.${NAME}`, { ...found, policy: 'closest' }), [`0 80 ${two}`, `1 80 ${zero}`])
})

test('a large service gives as many SRV records as its limit says', () => {
  const instances = Array.from({ length: 500 }, (_, number) => ({ number, ports: [http] }))
  assert.equal(answerTo(ask(NAME, 'SRV'), { ...found, instances }).records.length, SRV_RECORDS_MAX)
})

test('a service that does not exist is denied, one that nobody can tell of is a failure', () => {
  const absent = answerTo(ask(NAME), { kind: 'absent', reason: 'no service' })
  assert.deepEqual([absent.rcode, absent.zone], [RCODES.noSuchName, 'local'])
  const unanswered = answerTo(ask(NAME), { kind: 'unanswered', reason: 'no leader' })
  assert.deepEqual([unanswered.rcode, unanswered.zone], [RCODES.failed, null])
})

// The leader of a domain between two others: it is asked from above, asks below, and keeps what was promised for as
// long as it said. The same code serves a cluster; here the children are domains, so that every level is covered.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, nodeId, ROOT } from '../overlay/kernel/ids.ts'
import { putRecord } from '../services-registry/table.ts'
import { ASKS_MAX, SERVICES_ASKED_MAX } from './constants.ts'
import { A, ABOVE, asked, Bench, CLOCK, EU, FENCE, ME, TIMING, WEB } from './leader-harness.ts'
import { factsOf, openedBy, specOf, specRecord } from './placement-fixtures.ts'
import { wakeAt } from './scheduler.ts'
import { encodeSpec, serviceIdOf } from './spec.ts'

test('an ask goes down, the offer goes up with the device that keeps room, and nothing is placed yet', () => {
  const { bench, ask, child } = asked()
  bench.offer(ask, child)
  const [offer] = bench.sent('placement/offer')
  assert.equal(offer?.to, ABOVE)
  assert.equal(offer?.message.askId, 'from-above')
  assert.equal(offer?.message.child, EU)
  assert.equal(offer?.message.nodeName, 'pi')
  assert.ok((offer?.message.expiresInMs ?? 0) <= 9_000)
  assert.deepEqual(bench.authored(), [])
})

test('the placement from above commits what is held, without asking again', () => {
  const { bench, ask, child } = asked()
  bench.offer(ask, child)
  bench.placeFromAbove(EU)
  assert.deepEqual(bench.authored(), [child])
  assert.deepEqual(bench.sent('placement/ask'), [])
})

test('a placement that comes before any offer is committed by the offer', () => {
  const { bench, ask, child } = asked()
  bench.placeFromAbove(EU)
  assert.deepEqual(bench.sent('placement/ask'), [], 'the ask under way is enough')
  bench.offer(ask, child)
  assert.deepEqual(bench.authored(), [child])
})

test('a held offer that is not taken is released when it runs out', () => {
  const { bench, ask, child } = asked()
  bench.offer(ask, child)
  bench.pass(9_000)
  assert.deepEqual(
    bench.sent('placement/release').map(({ to, message }) => [to, message.askId]),
    [[child, ask.askId]],
  )
  assert.equal(bench.state.work.size, 0)
  assert.equal(bench.state.ledger.asked.size, 0)
})

test('a release from above is passed on', () => {
  const { bench, ask, child } = asked()
  bench.offer(ask, child)
  bench.hear(ABOVE, '/x' as DomainPath, { kind: 'placement/release', domain: ROOT, askId: 'from-above' })
  assert.deepEqual(
    bench.sent('placement/release').map(({ to }) => to),
    [child],
  )
})

test('a refusal and a silence lead to the next child, and in the end to a refusal with the counts', () => {
  const { bench, ask, child, other } = asked()
  bench.refuse(ask, child)
  const [second] = bench.sent('placement/ask')
  assert.equal(second?.to, other)
  bench.pass(TIMING.askDomainMs - 1)
  assert.deepEqual(bench.sent('placement/refuse'), [])
  const again = new Bench()
  again.askFromAbove()
  for (const round of [1, 2]) {
    const [one] = again.sent('placement/ask')
    assert.ok(one !== undefined, `round ${round}`)
    again.refuse(one.message, one.to as DomainPath)
  }
  const [refusal] = again.sent('placement/refuse')
  assert.equal(refusal?.to, ABOVE)
  assert.equal(refusal?.message.devices, 4)
  assert.deepEqual(
    refusal?.message.reasons.map(({ code, count, most }) => [code, count, most]),
    [['memory', 4, 50]],
  )
})

test('an offer that comes too late gives its room back', () => {
  const { bench, ask, child } = asked()
  bench.pass(TIMING.askDomainMs)
  bench.sent('placement/release')
  bench.offer(ask, child)
  assert.deepEqual(
    bench.sent('placement/release').map(({ to, message }) => [to, message.askId]),
    [[child, ask.askId]],
  )
})

test('the same offer twice changes nothing', () => {
  const { bench, ask, child } = asked()
  bench.offer(ask, child)
  bench.offer(ask, child)
  assert.deepEqual(bench.sent('placement/release'), [])
  bench.placeFromAbove(EU)
  bench.offer(ask, child)
  assert.deepEqual(bench.sent('placement/release'), [])
})

test('an offer by somebody who may not speak for the child is not taken', () => {
  const { bench, ask, child, other } = asked()
  const { domain, askId, service, number } = ask
  const common = {
    domain,
    askId,
    service,
    number,
    child,
    score: 1,
    node: nodeId('x'),
    nodeName: 'x',
    expiresInMs: 9_000,
  }
  bench.hear(nodeId('stranger'), other, { kind: 'placement/offer', ...common })
  assert.deepEqual(bench.sent('placement/offer'), [])
})

test('only the proven leader above is answered, and an older one not after a newer', () => {
  const bench = new Bench()
  const ask = { kind: 'placement/ask' as const, domain: ROOT, fence: FENCE, askId: 'x', service: WEB, number: 0 }
  bench.hear(nodeId('somebody'), A, { ...ask, spec: encodeSpec(specOf()), specClock: CLOCK, avoid: [] })
  assert.deepEqual(bench.effects, [])
  bench.askFromAbove()
  bench.hear(ABOVE, A, {
    ...ask,
    fence: { epoch: 0, term: 9 },
    spec: encodeSpec(specOf()),
    specClock: CLOCK,
    avoid: [],
  })
  assert.equal(bench.sent('placement/refuse')[0]?.message.reasons[0]?.code, 'stale-fence')
})

test('a spec that cannot be read and a name that is taken are refused', () => {
  const bench = new Bench()
  const ask = { kind: 'placement/ask' as const, domain: ROOT, fence: FENCE, askId: 'x', service: WEB, number: 0 }
  bench.hear(ABOVE, A, { ...ask, spec: new Uint8Array([1]), specClock: CLOCK, avoid: [] })
  assert.equal(bench.sent('placement/refuse')[0]?.message.reasons[0]?.code, 'bad-spec')
  putRecord(bench.own, specRecord(specOf(), EU, CLOCK), 0)
  bench.askFromAbove()
  assert.equal(bench.sent('placement/refuse')[0]?.message.reasons[0]?.code, 'name-taken')
})

test('a placement whose spec never came is asked about, and placed once an ask brings it', () => {
  const bench = new Bench()
  bench.placeFromAbove(EU)
  const [report] = bench.sent('placement/report')
  assert.deepEqual([report?.to, report?.message.problem], [ROOT, 'no-spec'])
  bench.pass(5_000)
  assert.ok(bench.sent('placement/report').length >= 1, 'again and again')
  bench.hearFromBelow()
  bench.askFromAbove()
  const [ask] = bench.sent('placement/ask')
  assert.ok(ask !== undefined)
  bench.offer(ask.message, ask.to as DomainPath)
  assert.equal(bench.authored().length, 1)
})

test('what cannot be placed for long is handed back, again and again, until it is placed elsewhere', () => {
  const { bench, ask, child } = asked()
  bench.placeFromAbove(EU)
  bench.refuse(ask, child)
  const keepRefusing = (): void => {
    bench.hearFromBelow()
    for (const one of bench.sent('placement/ask')) bench.refuse(one.message, one.to as DomainPath)
  }
  for (let second = 0; second < 20; second++) {
    keepRefusing()
    bench.pass(1_000)
  }
  const reports = bench.sent('placement/report')
  assert.ok(reports.length >= 2)
  assert.equal(reports[0]?.message.problem, 'unplaceable')
  assert.match(reports[0]?.message.detail ?? '', /^0 of 4 devices: 4 lack memory/)
  bench.placeFromAbove('/us' as DomainPath, 2)
  bench.pass(60_000)
  assert.equal(bench.sent('placement/report').length, 0)
  assert.deepEqual(bench.authored(), [])
})

test('a child that hands an instance back is passed over for a while', () => {
  const { bench, ask, child, other } = asked()
  bench.offer(ask, child)
  bench.placeFromAbove(EU)
  const fence = FENCE
  const report = { domain: EU, child, service: WEB, number: 0, problem: 'unplaceable' as const, detail: 'full', fence }
  bench.hear(nodeId('stranger'), other, { kind: 'placement/report', ...report })
  assert.deepEqual(bench.sent('placement/ask'), [])
  bench.hear(nodeId(`leader-of-${child}`), child, { kind: 'placement/report', ...report })
  const [next] = bench.sent('placement/ask')
  assert.equal(next?.to, other)
  assert.ok(next !== undefined)
  bench.offer(next.message, other)
  assert.deepEqual(bench.authored(), [child, other])
})

test('a leader that is no longer one does nothing, and keeps nothing', () => {
  const { bench, ask, child } = asked()
  bench.give({ kind: 'unlead' })
  bench.effects = []
  bench.offer(ask, child)
  bench.placeFromAbove(EU)
  assert.deepEqual(bench.effects, [])
  assert.equal(wakeAt(bench.state), null)
  assert.equal(bench.state.work.size, 0)
})

test('a limited number of services is asked for at a time', () => {
  const bench = new Bench()
  const submitted = Array.from({ length: SERVICES_ASKED_MAX + 2 }, (_, index) => specOf({ name: `web${index}` }))
  for (const spec of submitted) putRecord(bench.own, specRecord({ ...spec, vcpus: 0, memoryMb: 0 }, EU, CLOCK), 0)
  for (const spec of submitted) bench.give({ kind: 'service-changed', service: serviceIdOf(spec) })
  const [first, ...others] = bench.sent('placement/ask')
  assert.equal(others.length + 1, SERVICES_ASKED_MAX)
  if (first !== undefined) bench.offer(first.message, first.to as DomainPath)
  assert.equal(bench.sent('placement/ask').length, 1)
})

test('a limited number of instances is asked for at a time, and the others when half of them are answered', () => {
  const bench = new Bench()
  putRecord(bench.own, specRecord(specOf({ replicas: ASKS_MAX + 8, vcpus: 0, memoryMb: 0 }), EU, CLOCK), 0)
  bench.give({ kind: 'service-changed', service: WEB })
  const first = bench.sent('placement/ask')
  assert.equal(first.length, ASKS_MAX)
  for (const { message, to } of first.slice(1, ASKS_MAX / 2)) bench.offer(message, to as DomainPath)
  assert.deepEqual(bench.sent('placement/ask'), [])
  for (const { message, to } of first.slice(0, 1)) bench.offer(message, to as DomainPath)
  assert.equal(bench.sent('placement/ask').length, 8)
})

test('an instance that nobody here knows to be ordered is asked about above, and left alone meanwhile', () => {
  const bench = new Bench()
  const common = { domain: EU, service: WEB, number: 0, fence: FENCE, sequence: 1, specClock: CLOCK, reason: 'a test' }
  putRecord(bench.own, openedBy(factsOf(ME, A), { kind: 'record/placement' as const, child: A, ...common }), 0)
  bench.give({ kind: 'service-changed', service: WEB })
  const [report] = bench.sent('placement/report')
  assert.deepEqual([report?.to, report?.message.problem], [ROOT, 'no-order'])
  bench.pass(TIMING.sweepMs)
  assert.ok(bench.sent('placement/report').length >= 1, 'again with each sweep')
  assert.deepEqual(bench.authored(), [])
  bench.placeFromAbove(null)
  assert.deepEqual(bench.authored(), [null])
})

test('a leader that is asked about an order says it again, also that there is none any more', () => {
  const { bench, ask, child, other } = asked()
  bench.offer(ask, child)
  bench.placeFromAbove(EU)
  const report = { kind: 'placement/report' as const, domain: EU, child, service: WEB, number: 0, fence: FENCE }
  const unknown = { ...report, problem: 'no-order' as const, detail: '' }
  bench.hear(nodeId('stranger'), other, unknown)
  assert.deepEqual(bench.authored(), [child])
  bench.hear(nodeId(`leader-of-${child}`), child, unknown)
  assert.deepEqual(bench.authored(), [child, child])
  bench.placeFromAbove(null, 2)
  bench.hear(nodeId(`leader-of-${child}`), child, unknown)
  assert.deepEqual(bench.authored(), [child, child, null, null])
})

test('a new leader whose child lacks a spec that it lacks too asks above for it, and hands it on', () => {
  const bench = new Bench()
  const common = { domain: EU, service: WEB, number: 0, fence: FENCE, sequence: 1, specClock: CLOCK, reason: 'a test' }
  putRecord(bench.own, openedBy(factsOf(ME, A), { kind: 'record/placement' as const, child: A, ...common }), 0)
  bench.placeFromAbove(EU)
  const report = { kind: 'placement/report' as const, domain: EU, child: A, service: WEB, number: 0, fence: FENCE }
  const missing = { ...report, problem: 'no-spec' as const, detail: '' }
  bench.hear(nodeId(`leader-of-${A}`), A, missing)
  const [asking] = bench.sent('placement/report')
  assert.deepEqual([asking?.to, asking?.message.problem], [ROOT, 'no-spec'])
  bench.askFromAbove()
  const [first] = bench.sent('placement/ask')
  assert.ok(first !== undefined)
  bench.offer(first.message, first.to as DomainPath)
  bench.pass(9_000)
  bench.sent('placement/ask')
  bench.hear(nodeId(`leader-of-${A}`), A, missing)
  assert.deepEqual(
    bench.sent('placement/ask').map(({ to }) => to),
    [A],
  )
})

test('a leader that does not know any more what a job was tells the parent again that it is done', () => {
  const bench = new Bench()
  const common = { domain: EU, service: WEB, number: 0, fence: FENCE, sequence: 1, specClock: CLOCK, reason: 'a test' }
  const done = { kind: 'record/placement' as const, child: A, outcome: 'done' as const, ...common }
  putRecord(bench.own, openedBy(factsOf(ME, A), done), 0)
  bench.placeFromAbove(EU)
  const told = bench.sent('placement/report').map(({ to, message }) => `${to} ${message.problem}`)
  assert.deepEqual(told, [`${ROOT} done`])
  bench.pass(60_000)
  assert.ok(bench.sent('placement/report').length >= 1, 'again and again')
})

test('of two specs with the same clock the one that the store kept counts', () => {
  const bench = new Bench()
  const common = { domain: EU, service: WEB, number: 1, fence: FENCE, sequence: 1, specClock: CLOCK, reason: 'a test' }
  putRecord(bench.own, specRecord(specOf({ replicas: 2 }), EU, CLOCK), 0)
  putRecord(bench.own, openedBy(factsOf(ME, A), { kind: 'record/placement' as const, child: A, ...common }), 0)
  bench.give({ kind: 'service-changed', service: WEB })
  putRecord(bench.own, specRecord(specOf({ replicas: 1 }), EU, CLOCK), 0)
  bench.give({ kind: 'service-changed', service: WEB })
  assert.deepEqual(bench.authored(), [null], 'there shall be one only')
})

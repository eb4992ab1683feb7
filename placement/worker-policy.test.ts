// A worker keeps its owner's policy, whoever leads.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OperatorId } from '../overlay/kernel/ids.ts'
import { putRecord } from '../services-registry/table.ts'
import type { PlacementMessage } from './messages.ts'
import { ownerOfAsk } from './origin.ts'
import { factsOf, openedBy, specOf, specRecord } from './placement-fixtures.ts'
import type { PolicyFile } from './policy.ts'
import { encodeSpec } from './spec.ts'
import { Bench, CLOCK, DOMAIN, FENCE, LEADER, running, WEB } from './worker-harness.ts'

const [OWN, OTHER] = ['operator', 'somebody-else'] as [OperatorId, OperatorId]

const answer = (bench: Bench): string => {
  const [sent] = bench.look().sent
  if (sent?.kind === 'placement/refuse') return sent.reasons.map(({ code, detail }) => `${code}: ${detail}`).join()
  return sent?.kind ?? 'nothing'
}

test('what another operator wants to run as a process is refused, and the reason is said', () => {
  const bench = new Bench()
  bench.ask({}, { operator: OTHER })
  assert.equal(answer(bench), 'policy: runs by process; allowed is docker')
  bench.give({ kind: 'policy', policy: { others: { runtimes: ['process'] } } })
  bench.ask({}, { operator: OTHER })
  assert.equal(answer(bench), 'placement/offer')
})

test('a leader of another operator is not believed when it says whose service it is; the signature is', () => {
  const bench = new Bench()
  bench.ask({}, { operator: OWN, leaderOf: OTHER })
  assert.match(answer(bench), /^policy/)
  bench.ask({}, { operator: OWN })
  assert.equal(answer(bench), 'placement/offer', 'the word of a leader of our own is enough')
  const spec = specOf()
  const hear = (signer: OperatorId, shown = spec): void => {
    const sealed = specRecord(shown, DOMAIN, CLOCK)
    const origin = { ...sealed, signer: { ...sealed.signer, operator: signer } }
    const message: PlacementMessage = {
      kind: 'placement/ask',
      domain: DOMAIN,
      fence: FENCE,
      askId: 'shown',
      service: WEB,
      number: 3,
      spec: shown === spec ? new Uint8Array() : encodeSpec(spec),
      specClock: CLOCK,
      avoid: [],
      origin,
      operator: OWN,
    }
    bench.give({ kind: 'message', opened: openedBy({ ...factsOf(LEADER, DOMAIN), operator: OTHER }, message) })
  }
  hear(OWN)
  assert.equal(answer(bench), 'placement/offer', 'signed by a node of our operator')
  hear(OTHER)
  assert.match(answer(bench), /^policy/)
  hear(OWN, specOf({ memoryMb: 1 }))
  assert.match(answer(bench), /^policy/, 'signed was another specification than the one that is to run')
})

test('a leader hands on no more than it was shown of whose service it is', () => {
  const ask = (leader: OperatorId, operator?: OperatorId) => {
    const message = {
      kind: 'placement/ask' as const,
      domain: DOMAIN,
      fence: FENCE,
      askId: 'one',
      service: WEB,
      number: 0,
      spec: encodeSpec(specOf()),
      specClock: CLOCK,
      avoid: [],
      ...(operator !== undefined && { operator }),
    }
    const store = { spec: () => null }
    return ownerOfAsk({ operator: OWN, store }, openedBy({ ...factsOf(LEADER, DOMAIN), operator: leader }, message))
  }
  assert.equal(ask(OWN, OWN), OWN)
  assert.equal(ask(OWN, OTHER), OTHER)
  assert.equal(ask(OWN), null, 'our own leader was not shown whose it is')
  assert.equal(ask(OTHER, OWN), null)
})

test('an order without an ask is held against the policy too', () => {
  const bench = new Bench()
  const record = specRecord(specOf(), DOMAIN, CLOCK)
  putRecord(bench.table, { ...record, signer: { ...record.signer, operator: OTHER } }, 0)
  bench.place()
  const { operations, records } = bench.look()
  assert.deepEqual(operations, [])
  assert.match(records[0]?.reason ?? '', /may not run here: .*policy forbids it \(runs by process/)
  assert.equal(records[0]?.live, false)
})

test('what a new policy forbids is ended, and comes back when it is allowed again', () => {
  const bench = running()
  bench.look()
  bench.give({ kind: 'policy', policy: { own: { runtimes: ['docker'] } } })
  const seen = bench.look()
  assert.deepEqual(seen.operations, ['stop'])
  assert.match(seen.records[0]?.reason ?? '', /the owner's policy forbids it/)
  bench.says({ kind: 'exited', key: 'shop.prod.web.prod#0' as never, code: 0, detail: '' })
  assert.deepEqual(bench.states(), ['lost'])
  bench.ask({}, { askId: 'again' })
  assert.match(answer(bench), /^policy/)
  bench.give({ kind: 'policy', policy: {} })
  bench.ask({}, { askId: 'again' })
  assert.equal(answer(bench), 'placement/offer')
})

test('a lock keeps what runs, and takes what is new', () => {
  const bench = running()
  const policy: PolicyFile = { locks: [{ until: '2099-01-01T00:00:00Z' }] }
  bench.give({ kind: 'policy', policy })
  bench.look()
  bench.ask({ memoryMb: 101 }, { askId: 'newer' })
  assert.match(answer(bench), /^policy: is not to be changed until 2099/)
  bench.ask({}, { number: 1 })
  assert.equal(answer(bench), 'placement/offer')
})

test('a hold takes nothing new and ends nothing', () => {
  const bench = running()
  bench.give({ kind: 'policy', policy: { hold: { reason: 'harvest' } } })
  assert.deepEqual(
    bench.look().operations.filter((one) => one === 'stop'),
    [],
  )
  bench.ask({}, { number: 1 })
  assert.equal(answer(bench), 'policy: takes nothing new: harvest')
})

test('offers and instances of others together never take more than their share', () => {
  const bench = new Bench()
  bench.give({ kind: 'policy', policy: { others: { runtimes: ['process'] } } })
  const taken: string[] = []
  for (let number = 0; number < 6; number++) {
    bench.ask({ memoryMb: 500 }, { number, operator: OTHER })
    taken.push(answer(bench))
  }
  // 90 % of 4,000 MB are given away, half of that to others.
  assert.deepEqual(
    taken.map((one) => one === 'placement/offer'),
    [true, true, true, false, false, false],
  )
  bench.ask({ memoryMb: 500 }, { number: 9 })
  assert.equal(answer(bench), 'placement/offer', 'our own work has the rest')
})

test('whose service it is survives a restart of the node', () => {
  const bench = new Bench()
  bench.give({ kind: 'policy', policy: { others: { runtimes: ['process'] } } })
  bench.ask({}, { operator: OTHER })
  bench.place()
  const again = new Bench([...bench.disk.values()])
  const [managed] = again.state.instances.values()
  assert.equal(managed?.owner, OTHER)
})

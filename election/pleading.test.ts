// What a parent grants to whom, one plea at a time: `/berlin` is the parent here, led by `berlin-1`, and its child
// `/berlin/site` of two has lost one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import { ELECTION_TIMINGS, GRANT_SILENCE_TIMEOUTS } from './constants.ts'
import { step } from './election.ts'
import { answer, at, elector, heartbeat, leader, second, self, third, told } from './elector.test-kit.ts'
import { grantsOf } from './grants.ts'
import type { LeaderBookView } from './leaders.ts'
import type { Grant, WitnessRequest } from './messages.ts'
import type { ElectionInput, ElectionState, KnownLine } from './state.ts'
import { sealBy } from './wire.test-kit.ts'
import { heardAs } from './witness.ts'

const { lan } = ELECTION_TIMINGS
const SILENT_MS = GRANT_SILENCE_TIMEOUTS * lan.electionTimeoutMsMin
const NOW = 50_000
const site = '/berlin/site' as DomainPath
const [one, other] = ['site-1', 'site-2'] as [NodeId, NodeId]

const request = (child: NodeId, change: Partial<WitnessRequest> = {}): WitnessRequest => ({
  kind: 'election/witness-request',
  domain: site,
  line: 'broken',
  epoch: 3,
  register: { epoch: 3, term: 1, index: 4 },
  child,
  reached: 1,
  under: 'line-a',
  speaker: null,
  ...change,
})
const known: KnownLine = { line: 'broken', epoch: 3, electors: [one, other], spokenAt: 0 }
const plea = (child: NodeId, change: Partial<WitnessRequest> = {}, of: KnownLine | null = known): ElectionInput => ({
  kind: 'plea',
  request: request(child, change),
  known: of,
})

/** A leader that has heard pleas of `before` for as long as the silence has to last, at the moment NOW. */
function pleadedWith(before: readonly ElectionInput[], started = leader(NOW - SILENT_MS - 100)): ElectionState {
  let state = started
  for (let now = NOW - SILENT_MS; now < NOW; now += 500) {
    state = told(state, now, answer(third, now), ...before)[0]
    assert.deepEqual(grantsOf(state.register), [])
  }
  return told(state, NOW, answer(third, NOW))[0]
}

const grantedTo = (state: ElectionState): readonly NodeId[] =>
  grantsOf(state.register).map(({ child }) => child as NodeId)

const holding = (state: ElectionState): ElectionInput =>
  answer(third, NOW, { held: { epoch: 7, term: 2, index: state.register?.index } })
const written = (state: ElectionState): ElectionInput => ({
  kind: 'written',
  version: { epoch: 7, term: 2, index: state.register?.index ?? 0 },
})

test('a grant is made to who pleads for long enough, and said once it is committed', () => {
  const before = pleadedWith([plea(one)])
  const [state, effects] = told(before, NOW, plea(one))
  assert.deepEqual(grantedTo(state), [one])
  assert.doesNotMatch(effects, /grant/)
  const [asked, meanwhile] = told(state, NOW + 1, plea(one))
  assert.equal(meanwhile, '', 'asked again before that')
  const [made, said] = told(asked, NOW + 2, written(state), holding(state))
  assert.match(said, /grant>1/)
  assert.equal(told(made, NOW + 3, plea(one))[1], 'grant>1', 'who did not hear of it hears it when it asks again')
  assert.equal(told(made, NOW + 3, plea(other))[1], '', 'and the other side never')
  assert.deepEqual(grantedTo(told(made, NOW + SILENT_MS, plea(other))[0]), [one])
})

test('of several that plead the one that remembers most is granted, then who reaches more, then the lower', () => {
  const better: readonly (readonly [Partial<WitnessRequest>, Partial<WitnessRequest>])[] = [
    [{}, { register: { epoch: 3, term: 1, index: 5 } }],
    [{}, { reached: 2 }],
  ]
  for (const [less, more] of better) {
    const before = pleadedWith([plea(one, less), plea(other, more)])
    assert.deepEqual(grantedTo(told(before, NOW, plea(one, less))[0]), [])
    assert.deepEqual(grantedTo(told(before, NOW, plea(other, more))[0]), [other])
  }
  const before = pleadedWith([plea(one), plea(other)])
  assert.deepEqual(grantedTo(told(before, NOW, plea(other))[0]), [])
  assert.deepEqual(grantedTo(told(before, NOW, plea(one))[0]), [one])
})

test('who has fallen silent keeps nobody from a grant', () => {
  const before = pleadedWith([plea(one), plea(other)])
  const [kept] = told(before, NOW + 1_000, answer(third, NOW + 1_000), plea(other))
  assert.deepEqual(grantedTo(kept), [])
  const [alone] = told(kept, NOW + 2_000, answer(third, NOW + 2_000), plea(other))
  assert.deepEqual(grantedTo(alone), [other])
})

test('nothing is granted to who is no elector of the line that led, or pleads under another line of the parent', () => {
  const strangers: readonly ElectionInput[] = [
    plea('site-9' as NodeId),
    plea(one, { line: 'made-up' }),
    plea(one, { under: 'line-b' }),
    plea(one, {}, null),
    plea(one, {}, { ...known, electors: [other] }),
  ]
  for (const stranger of strangers) {
    assert.deepEqual(grantedTo(told(pleadedWith([stranger]), NOW, stranger)[0]), [])
  }
})

test('where the parent has granted once, it grants only what followed from that', () => {
  const [first] = told(pleadedWith([plea(one)]), NOW, plea(one))
  const line = grantsOf(first.register)[0]?.line ?? ''
  const [made] = told(first, NOW + 1, written(first), holding(first))
  const again = (of: string) => {
    const broken = { ...known, line: of, spokenAt: NOW }
    let state = made
    let now = NOW + 2
    for (; now < NOW + 3 * SILENT_MS; now += 500)
      state = told(state, now, answer(third, now), plea(other, { line: of }, broken))[0]
    return grantsOf(state.register)
  }
  assert.deepEqual(
    again('third').map(({ child }) => child),
    [one],
    'of another line',
  )
  assert.deepEqual(
    again(line).map(({ child, of, number }) => [child, of, number]),
    [[other, line, 2]],
  )
})

test('a parent in doubt, or one that leads nothing for sure, is no witness', () => {
  const before = pleadedWith([plea(one)])
  assert.ok(before.register !== null && before.role.kind === 'leader')
  const electors = ['gone-1', 'gone-2', self] as NodeId[]
  const doubtful = { line: 'left', epoch: 6, electors, cause: 'silence' as const }
  const granting = (state: ElectionState, now = NOW) => grantedTo(told(state, now, plea(one))[0])
  assert.deepEqual(granting({ ...before, register: { ...before.register, predecessor: doubtful } }), [])
  const sure = { ...doubtful, cause: 'order' as const }
  assert.deepEqual(granting({ ...before, register: { ...before.register, predecessor: sure } }), [one])
  assert.deepEqual(granting({ ...before, role: { ...before.role, established: false } }), [])
  assert.deepEqual(granting(before, NOW + lan.leaseMs), [], 'its lease is over')
})

test('a leader of the child that says something meanwhile, or only just did, ends the matter', () => {
  const speaking = (spokenAt: number) => plea(one, {}, { ...known, spokenAt })
  const before = pleadedWith([plea(one)])
  assert.deepEqual(told(before, NOW, speaking(NOW - SILENT_MS + 1))[1], 'roll-call')
  assert.deepEqual(grantedTo(told(before, NOW, speaking(NOW - SILENT_MS))[0]), [one])
})

test('only the elector itself pleads in its name, and only who leads the parent grants', () => {
  const book = { nodeOf: () => second, lineOf: () => known } as unknown as LeaderBookView
  const own = heardAs(sealBy(one, { ...request(one), domain: '/site' as DomainPath }), book)
  assert.deepEqual([own?.domain, own?.input.kind], ['/', 'plea'])
  assert.equal(heardAs(sealBy(other, { ...request(one), domain: '/site' as DomainPath }), book), null)
  assert.equal(heardAs(sealBy(one, { ...request(one), domain: '/paris' as DomainPath }), book), null)
  const guest = 'site-guest' as NodeId
  assert.equal(heardAs(sealBy(guest, { ...request(guest), domain: '/site' as DomainPath }), book), null)
  const granted: Grant = { kind: 'election/grant', domain: site, of: 'broken', line: 'new', epoch: 9, child: one }
  assert.equal(heardAs(sealBy(third, granted), book), null)
  assert.equal(heardAs(sealBy(second, granted), book)?.input.kind, 'granted')
})

test('a grant is taken by whom it names, for the line that it has, and not while it has a leader', () => {
  const granted: Grant = {
    kind: 'election/grant',
    domain: '/berlin' as DomainPath,
    of: 'line-a',
    line: 'new',
    epoch: 9,
    child: self,
  }
  const lineAfter = (state: ElectionState, change: Partial<Grant> = {}): string | undefined =>
    step(state, { kind: 'granted', grant: { ...granted, ...change } }, at(NOW)).state.register?.line
  assert.equal(lineAfter(elector()), 'new')
  assert.equal(lineAfter(elector(), { child: second }), 'line-a')
  assert.equal(lineAfter(elector(), { of: 'line-b' }), 'line-a')
  assert.equal(lineAfter(elector(), { epoch: 7 }), 'line-a')
  assert.equal(lineAfter(told(elector(), NOW, heartbeat(second))[0]), 'line-a')
  assert.equal(lineAfter(leader(NOW)), 'line-a')
  assert.equal(lineAfter({ ...elector(), ticket: 'forgotten' }), 'line-a')
})

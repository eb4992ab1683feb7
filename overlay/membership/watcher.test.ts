// One watcher by itself, `self` among `a` to `d`, with all that it is told at its time: what it says of others, and
// how far it trusts its own impatience.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, type NodeId, nodeId } from '../kernel/ids.ts'
import { seededRandom } from '../kernel/random.ts'
import type { Millis, UnixMillis } from '../kernel/time.ts'
import { MEMBERSHIP_TIMING } from './constants.ts'
import { domain, report, sealerOf, statement } from './fixtures.ts'
import { createMembership, rosterOf, step, wakeAt } from './membership.ts'
import type { MembershipMessage, SealedStatement } from './messages.ts'
import type { MemberState } from './roster.ts'
import type { MembershipEffect, MembershipInput, MembershipState } from './state.ts'

const { lan } = MEMBERSHIP_TIMING
const self = nodeId('self')
const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(nodeId) as [NodeId, NodeId, NodeId, NodeId]
/** When all of them have met. */
const MET = 10_000
/** How exactly it is woken. */
const TICK_MS = 10

interface Watcher {
  tell(now: Millis, ...inputs: readonly MembershipInput[]): readonly MembershipEffect[]
  /** Wakes it whenever it asks for it, until a moment; some are heard of all the time. */
  run(until: Millis, talking?: readonly NodeId[]): readonly MembershipEffect[]
  state(): MembershipState
  view(node: NodeId): MemberState | undefined
}

function watcher(known: readonly SealedStatement[] = []): Watcher {
  const options = { self, domain, name: 'self', incarnation: 1, canLead: true, isRelay: false, known } as const
  let state = createMembership({ ...options, preset: 'lan' })
  const random = seededRandom(1)
  const tell: Watcher['tell'] = (now, ...inputs) =>
    inputs.flatMap((input) => {
      const stepped = step(state, input, { now, wall: now as number as UnixMillis, random })
      state = stepped.state
      const again = stepped.effects.flatMap((effect) => (effect.kind === 'author' ? [said(self, effect.message)] : []))
      return [...stepped.effects, ...tell(now, ...again)]
    })
  tell(MET, { kind: 'start' })
  let clock: Millis = MET
  return {
    tell,
    run: (until, talking = []) => {
      const effects: MembershipEffect[] = []
      for (; clock <= until; clock += TICK_MS) {
        for (const peer of talking) effects.push(...tell(clock, { kind: 'heard', peer }))
        if ((wakeAt(state) ?? Number.POSITIVE_INFINITY) <= clock) effects.push(...tell(clock, { kind: 'wake' }))
      }
      return effects
    },
    state: () => state,
    view: (node) => rosterOf(state).get(node)?.state,
  }
}

const said = (from: NodeId, message: MembershipMessage, of?: DomainPath): MembershipInput => ({
  kind: 'message',
  opened: sealerOf(from, of).seal(message),
})
const handed = (opened: { readonly message: MembershipMessage; readonly from: NodeId }): MembershipInput =>
  said(opened.from, opened.message)
const entries = (members: readonly unknown[], reports: readonly unknown[]): MembershipInput =>
  said(d, { kind: 'membership/entries', domain, members, reports } as unknown as MembershipMessage)

/** A watcher that has just heard all four, over connections of theirs. */
function met(): Watcher {
  const one = watcher()
  for (const node of [a, b, c, d])
    one.tell(MET, { kind: 'connected', peer: node }, handed(statement(node, 1)), { kind: 'heard', peer: node })
  return one
}

const doubts = (subject: NodeId, ...watchers: readonly NodeId[]): readonly MembershipInput[] =>
  watchers.map((node) => handed(report(node, subject, 1, 2 ** 20)))
const OTHERS = [b, c, d]
const kinds = (effects: readonly MembershipEffect[], to: NodeId): readonly string[] =>
  effects.flatMap((effect) => (effect.kind === 'send' && effect.to === to ? [effect.message.kind] : []))

/** How long the first probe of a member may take. */
function patience(one: Watcher): Millis {
  for (let now = MET; now < MET + 5 * lan.probeMs; now += TICK_MS) {
    one.run(now)
    const watch = [...one.state().watches.values()].find(({ probe }) => probe !== null)
    if (watch?.probe) return watch.probe.deadline - watch.probe.sentAt
  }
  return assert.fail('it probes')
}

test('who was told that its event loop runs late gives others more time', () => {
  const calm = met()
  const busy = met()
  calm.tell(MET, { kind: 'self-health', delayMs: lan.probeTimeoutMs / 5 })
  assert.equal(calm.state().health.score, 0)
  busy.tell(MET, { kind: 'self-health', delayMs: 5 * lan.probeTimeoutMs })
  assert.equal(busy.state().health.score, 5)
  assert.ok(patience(busy) > patience(calm))
})

test('who is woken late has been slow itself, and says so of nobody', () => {
  const one = met()
  one.run(MET + 2_000, [a, ...OTHERS])
  const before = one.state().health.score
  const effects = one.tell((wakeAt(one.state()) ?? 0) + 3_000, { kind: 'wake' })
  assert.ok(one.state().health.score > before)
  assert.ok(effects.every(({ kind }) => kind !== 'author'))
})

/** Three of the four others doubt `a`, and so does the watcher soon; the moment at which the doubt ends. */
function doubting(one: Watcher): Millis {
  one.tell(MET, ...doubts(a, b, c, d))
  one.run(MET + lan.silent.msMin - TICK_MS, OTHERS)
  assert.equal(one.view(a), 'suspect')
  return one.state().table.suspicions.get(a)?.checkAt ?? assert.fail('there is a doubt')
}

test('who stood still while others doubted somebody reads what waits before it concludes anything', () => {
  for (const lateMs of [lan.probeTimeoutMs / 2, 3_000]) {
    const one = met()
    const dueAt = doubting(one)
    one.run(dueAt - 1, OTHERS)
    one.tell(dueAt + lateMs, { kind: 'wake' })
    assert.equal(one.view(a), 'suspect')
    one.tell(dueAt + lateMs + 5, handed(statement(a, 2)))
    assert.equal(one.view(a), 'alive')
  }
  const asking = met()
  asking.tell(MET + TICK_MS, ...doubts(a, b))
  asking.run(MET + TICK_MS)
  const { deadline = 0 } = asking.state().watches.get(a)?.probe ?? {}
  asking.tell(deadline + 3_000, { kind: 'wake' })
  assert.equal(asking.state().watches.get(a)?.lostInARow, 0, 'nor is a probe lost whose answer may wait')
  const awake = met()
  awake.run(doubting(awake) + TICK_MS, OTHERS)
  assert.equal(awake.view(a), 'dead', 'where it was awake it is')
})

test('one that hears of a doubt looks at once, and not when it is its turn', () => {
  const one = met()
  const before = one.state().watches.get(a)?.nextProbeAt ?? 0
  assert.ok(before > MET + 1)
  one.tell(MET + 1, ...doubts(a, b))
  assert.ok(kinds(one.run(MET + TICK_MS), a).includes('membership/probe'))
})

test('a doubt ends with a new incarnation, not with another statement of the same life', () => {
  const one = met()
  one.tell(MET, ...doubts(a, b, c))
  one.tell(MET + 1, handed(statement(a, 1, 5)))
  assert.equal(one.view(a), 'suspect')
  one.tell(MET + 2, handed(statement(a, 2)))
  assert.equal(one.view(a), 'alive')
})

test('a watcher that was not heard for long, or is reported here, is not waited for', () => {
  const judges = (...before: readonly MembershipInput[]): Watcher => {
    const one = met()
    one.tell(MET, ...before, ...doubts(a, b))
    return one
  }
  const checkAt = (one: Watcher): Millis | null | undefined => one.state().table.suspicions.get(a)?.checkAt
  assert.equal(checkAt(judges()), MET + lan.hearingMs, 'one of four is no majority')
  const two = handed(report(d, a, 1, 2 ** 20))
  assert.equal(checkAt(judges(two)), MET + lan.hearingMs, 'nor are two')
  assert.ok((checkAt(judges({ kind: 'disconnected', peer: c }, two)) ?? 0) <= MET + lan.silent.msMax, 'but of three')
  const own = [c, d].map((subject) => handed(report(self, subject, 1, 2 ** 20 + 7)))
  const waits =
    judges(...own, handed(report(self, a, 1, 2 ** 20 + 9)))
      .state()
      .table.suspicions.get(a)?.checkAt ?? 0
  assert.ok(waits <= MET + lan.silent.msMax, 'two of two that are left are a majority')
})

test('the dead are back by their own word or a watcher’s, not because the witnesses fell silent', () => {
  const dead = (): Watcher => {
    const one = met()
    one.run(doubting(one) + TICK_MS, OTHERS)
    assert.equal(one.view(a), 'dead')
    return one
  }
  const repeated = dead()
  repeated.tell(MET + 5_000, handed(statement(a, 1, 5)))
  assert.equal(repeated.view(a), 'dead', 'what it said may be older than the doubt')
  const silent = dead()
  silent.tell(MET + 5_000, ...[b, c, d].map((peer) => ({ kind: 'disconnected', peer }) as const))
  assert.equal(silent.view(a), 'dead')
  const withdrawn = dead()
  for (const node of [b, c, d]) {
    assert.equal(withdrawn.view(a), 'dead')
    withdrawn.tell(MET + 5_000, handed(report(node, a, 1, 2 ** 20 + 1, true)))
  }
  assert.equal(withdrawn.view(a), 'alive')
})

test('who is doubted refutes under an incarnation that is on its disk first, and at once where most doubt it', () => {
  const one = met()
  const against = (node: NodeId, above: number) => handed(report(node, self, above, above * 2 ** 20))
  const refutes = (effects: readonly MembershipEffect[]): boolean => {
    const written = effects.find((effect) => effect.kind === 'persist' && effect.key.endsWith('/incarnation'))
    if (written?.kind !== 'persist') return false
    assert.equal(written.sync, true)
    assert.deepEqual(
      written.then.map(({ kind }) => kind),
      ['author'],
    )
    assert.ok(!effects.some((one) => one.kind === 'author' && one.message.kind === 'membership/member'))
    return true
  }
  let now = MET
  for (let times = 0; times < 6; times++) {
    const { incarnation } = one.state().own
    assert.ok(refutes([...one.tell(now, against(b, incarnation)), ...one.run(now + 10_000, OTHERS)]))
    now += 10_001
  }
  assert.ok(one.state().refuteGapMs > 5_000)
  const { incarnation } = one.state().own
  assert.ok(!refutes(one.tell(now - 9_000, against(b, incarnation))), 'one that doubts again and again may wait')
  assert.ok(refutes(one.tell(now - 8_999, against(c, incarnation), against(d, incarnation))))
})

test('who hears that it stands as dead in somebody’s roster refutes', () => {
  const one = met()
  const listed = { node: self, incarnation: 1, version: 0, isDead: true }
  const detail = { part: 0, parts: 1, members: [listed], reports: [] }
  const digest: MembershipMessage = { kind: 'membership/digest', domain, hash: 1, detail, wantsAnswer: false }
  one.tell(MET, said(b, digest))
  assert.equal(one.state().own.incarnation, 2)
})

test('what is handed over is checked for its author, whoever hands it over', () => {
  const one = met()
  const forged = sealerOf(b).seal(statement(a, 9).message)
  const foreign = sealerOf(a, '/paris' as DomainPath).seal(statement(a, 9).message)
  one.tell(MET, entries([forged, foreign], []))
  assert.equal(rosterOf(one.state()).get(a)?.incarnation, 1)
  const stranger = sealerOf('e' as NodeId, '/paris' as DomainPath).seal(report(b, a, 1, 5).message)
  const onItself = sealerOf(a).seal(report(b, a, 1, 5).message)
  one.tell(MET, entries([], [stranger, onItself]), handed(onItself))
  assert.equal(one.state().table.reports.get(a), undefined)
})

test('a life whose incarnation was said before is left for a higher one', () => {
  const one = watcher([statement(self, 4)])
  assert.equal(one.state().own.incarnation, 5)
})

test('while somebody is in doubt what the others say is compared every two probe intervals', () => {
  const one = met()
  const now = MET + 12_000
  one.run(now, [a, ...OTHERS])
  assert.ok((one.state().syncAt ?? 0) > now + 2 * lan.probeMs)
  one.tell(now, ...doubts(a, b))
  assert.ok((one.state().syncAt ?? 0) <= now + 2 * lan.probeMs)
})

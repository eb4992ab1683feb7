// Who is made an elector next, and who goes: one scene and one change at a time.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ChildId } from '../overlay/kernel/ids.ts'
import { seededRandom } from '../overlay/kernel/random.ts'
import { ELECTION_TIMINGS } from './constants.ts'
import { electorsWanted, nextElectorChange, nextOnProbation } from './electors.ts'
import { NO_VERSION, type Register, versionOf } from './register.ts'
import { type ChildFact, createElection, type ElectionState, type Leading } from './state.ts'
import { UNANSWERED } from './timing.ts'
import { domainOf } from './world.test-kit.ts'

const { lan } = ELECTION_TIMINGS
const NOW = 100_000

interface Scene {
  /** One letter for each child; the leader is `a`. */
  readonly electors: string
  readonly dead?: string
  /** Children that are here and cannot lead. */
  readonly retiring?: string
  readonly learners?: string
  /** Learners that hold the register. */
  readonly ready?: string
  /** Learners that answered, and hold an older one. */
  readonly behind?: string
  /** Electors that came back with another ticket. */
  readonly forgetful?: string
  readonly steadySince?: number
  /** When the electors answered last. */
  readonly heardOf?: number
}

function sceneOf(scene: Scene): readonly [ElectionState, Leading, Register] {
  const {
    electors,
    dead = '',
    retiring = '',
    learners = '',
    ready = '',
    behind = '',
    forgetful = '',
    steadySince = 0,
    heardOf = 0,
  } = scene
  const register: Register = {
    line: 'line-a',
    epoch: 5,
    term: 2,
    index: 9,
    electors: [...electors].map((child) => ({ child: child as ChildId, ticket: `ticket of ${child}` })),
    predecessor: null,
    memory: {},
  }
  const fact = (child: string): ChildFact => ({
    child: child as ChildId,
    alive: !dead.includes(child),
    steadySince,
    fitness: 0.5,
    canLead: !retiring.includes(child),
  })
  const progress = [...electors, ...ready, ...behind].map((child) => {
    const forgotAt = ready.includes(child) && forgetful.includes(child) ? NOW - 5_000 : Number.NEGATIVE_INFINITY
    const ticket = forgetful.includes(child) ? 'another' : `ticket of ${child}`
    return [
      child as ChildId,
      {
        held: behind.includes(child) ? NO_VERSION : versionOf(register),
        heardOf,
        leaseUntil: NOW,
        ...UNANSWERED,
        ticket,
        forgotAt,
      },
    ] as const
  })
  const self = 'a' as ChildId
  const options = {
    domain: domainOf('/berlin'),
    self,
    timing: lan,
    electorsMax: 5,
    autonomy: 'automatic' as const,
    fitness: 0.5,
  }
  const context = { now: NOW, wall: NOW, random: seededRandom(1) }
  const { state } = createElection({ ...options, speaker: null, saved: null }, context)
  const role: Leading = {
    kind: 'leader',
    since: 0,
    votes: [],
    established: true,
    committedIndex: 9,
    progress: new Map(progress),
    proposals: [],
    heartbeatAt: NOW,
    spokeAt: NOW,
    spokeBefore: NOW,
    calmBeats: 0,
    heartbeats: 1,
    announceAt: NOW,
    leaseUntil: NOW,
    probation: null,
    electorsIndex: 1,
    refusals: new Set(),
    announcements: 0,
    pleas: new Map(),
    fitter: new Map(),
    handingOver: null,
  }
  const children = new Map([...electors, ...learners].map((child) => [child as ChildId, fact(child)]))
  return [{ ...state, epoch: 5, term: 2, register, role, children }, role, register]
}

/** The next change in short: the electors after it, `?` and who is probed, or null. */
function next(scene: Scene): string | null {
  const change = nextElectorChange(...sceneOf(scene), NOW)
  if (change === null) return null
  if (change.kind === 'probe') return `?${change.child}`
  return change.electors.map(({ child }) => child).join('')
}

test('as many electors as there are children up to two, then the largest odd number within the limit', () => {
  const wanted = [0, 1, 2, 3, 4, 5, 6, 9].map((children) => electorsWanted(children, 5))
  assert.deepEqual(wanted, [0, 1, 2, 3, 3, 5, 5, 5])
})

test('a learner is brought up to date before it gets a vote', () => {
  assert.equal(next({ electors: 'ab', learners: 'c' }), '?c')
  assert.equal(next({ electors: 'ab', learners: 'c', behind: 'c' }), '?c')
  assert.equal(next({ electors: 'ab', learners: 'c', ready: 'c' }), 'abc')
})

test('a learner that is not steady yet, or not needed, stays a learner', () => {
  assert.equal(next({ electors: 'ab', learners: 'c', ready: 'c', steadySince: NOW - lan.steadyMs + 1 }), null)
  assert.equal(next({ electors: 'abc', learners: 'd', ready: 'd' }), null)
})

test('a learner that never answers does not keep one from its vote that does', () => {
  assert.equal(next({ electors: 'ab', learners: 'cd', ready: 'd' }), 'abd')
  const [state, role] = sceneOf({ electors: 'ab', learners: 'cd' })
  const after = (probation: string | null): ChildId | null =>
    nextOnProbation(state, { ...role, probation: probation as ChildId | null }, NOW)
  assert.deepEqual(['c', 'd', null].map(after), ['d', 'c', null])
})

test('a dead elector keeps its place until its successor is ready', () => {
  assert.equal(next({ electors: 'abc', dead: 'c' }), null)
  assert.equal(next({ electors: 'abc', dead: 'c', learners: 'd' }), '?d')
  assert.equal(next({ electors: 'abc', dead: 'c', learners: 'd', ready: 'd' }), 'ab')
})

test('an elector that answers is not dead, whatever the roster says', () => {
  assert.equal(next({ electors: 'abc', dead: 'c', learners: 'd', ready: 'd', heardOf: NOW - lan.heartbeatMs }), null)
})

test('electors that are dead go without a successor where the rest alone is stronger', () => {
  assert.equal(next({ electors: 'abcde', dead: 'e' }), null)
  assert.equal(next({ electors: 'abcde', dead: 'de' }), 'abce')
  assert.equal(next({ electors: 'abcd', dead: 'd' }), 'abc')
})

test('an elector that is not to lead any more gives its vote up where another child can have it', () => {
  const answered = { heardOf: NOW - lan.heartbeatMs }
  assert.equal(next({ ...answered, electors: 'abc', retiring: 'c' }), null)
  assert.equal(next({ ...answered, electors: 'abc', retiring: 'cd', learners: 'd', ready: 'd' }), null)
  assert.equal(next({ ...answered, electors: 'abc', retiring: 'c', learners: 'd' }), '?d')
  assert.equal(next({ ...answered, electors: 'abc', retiring: 'c', learners: 'd', ready: 'd' }), 'abcd')
  assert.equal(next({ ...answered, electors: 'abcd', retiring: 'c' }), 'abd')
  assert.equal(next({ ...answered, electors: 'abcd', retiring: 'bc' }), 'acd')
  assert.equal(next({ ...answered, electors: 'ab', retiring: 'c', learners: 'cd', ready: 'cd' }), 'abd')
  assert.equal(next({ ...answered, electors: 'abcd', retiring: 'd' }), 'abc')
  assert.equal(next({ ...answered, electors: 'ab', retiring: 'b' }), null)
})

test('an elector that retires stays for as long as another one is not heard', () => {
  assert.equal(next({ electors: 'abcd', retiring: 'c' }), null)
  assert.equal(next({ electors: 'abcde', retiring: 'cd' }), null)
})

test('of an elector that is dead and one that retires, the dead one goes first', () => {
  assert.equal(next({ electors: 'abcde', retiring: 'b', dead: 'd', learners: 'f', ready: 'f' }), 'abce')
})

test('an elector that lost its memory loses its vote at once', () => {
  assert.equal(next({ electors: 'abc', forgetful: 'b' }), 'ac')
})

test('a child that lost its memory five seconds ago is not steady, whatever the roster says', () => {
  assert.equal(next({ electors: 'ab', learners: 'cd', ready: 'cd', forgetful: 'c' }), 'abd')
  assert.equal(next({ electors: 'ab', learners: 'c', ready: 'c', forgetful: 'c' }), null)
})

test('two successive sets of electors never differ in more than one', () => {
  const letters = fc.uniqueArray(fc.constantFrom('b', 'c', 'd', 'e', 'f', 'g')).map((all) => all.join(''))
  fc.assert(
    fc.property(
      letters,
      letters,
      letters,
      letters,
      letters,
      letters,
      (electors, dead, retiring, learners, ready, forgetful) => {
        const before = `a${electors.slice(0, 4)}`
        const change = next({
          electors: before,
          dead,
          retiring,
          forgetful,
          learners: [...learners].filter((child) => !before.includes(child)).join(''),
          ready: [...ready].filter((child) => !before.includes(child)).join(''),
        })
        if (change === null || change.startsWith('?')) return
        const after = new Set(change)
        assert.equal(after.size, change.length)
        assert.ok(after.has('a'), 'a leader never removes itself')
        assert.equal(Math.abs(after.size - before.length), 1)
        assert.ok(
          [...(change.length < before.length ? change : before)].every((child) => (before + change).includes(child)),
        )
      },
    ),
    { seed: 20261121, numRuns: 400 },
  )
})

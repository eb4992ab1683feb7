// The policies keep their word: turns are even, the nearest comes first, one number is one number.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Candidate, type ChoiceMemory, choose as chooseFor, noMemory, type Wish } from './choose.ts'
import { nodeId } from './kernel/ids.ts'
import { seededRandom } from './kernel/random.ts'

const rr: Wish = { policy: 'rr', instance: 0 }
const closest: Wish = { policy: 'closest', instance: null }
const random = seededRandom(20261122)
const choose = (wish: Wish, candidates: readonly Candidate[], memory: ChoiceMemory, caller = '') =>
  chooseFor(wish, candidates, memory, { caller, random })
const at = (number: number, rttMs: number | null = null, isLocal = false): Candidate => ({
  number,
  node: nodeId(`node-${number}`),
  rttMs,
  isLocal,
  openTunnels: 0,
})
const numbers = (order: readonly Candidate[]): readonly number[] => order.map((candidate) => candidate.number)

/** The first choices of some calls in a row. */
function firstChoices(wish: Wish, candidates: readonly Candidate[], calls: number): readonly number[] {
  let memory: ChoiceMemory = noMemory
  return Array.from({ length: calls }, () => {
    const choice = choose(wish, candidates, memory)
    memory = choice.memory
    return choice.order[0]?.number ?? -1
  })
}

test('round robin gives each instance exactly its share, in whatever order the candidates come', () => {
  const candidates = [at(7), at(0), at(3)]
  assert.deepEqual(firstChoices(rr, candidates, 7), [0, 3, 7, 0, 3, 7, 0])
  assert.deepEqual(firstChoices(rr, candidates.toReversed(), 3), [0, 3, 7])
})

test('round robin is exactly even for any set of candidates', () => {
  const property = fc.property(fc.uniqueArray(fc.nat(1_000), { minLength: 1, maxLength: 20 }), (set) => {
    const chosen = firstChoices(
      rr,
      set.map((number) => at(number)),
      set.length * 3,
    )
    for (const number of set) assert.equal(chosen.filter((one) => one === number).length, 3)
  })
  fc.assert(property, { seed: 20261121, numRuns: 300 })
})

test('round robin goes on where it was when an instance comes or goes', () => {
  const first = choose(rr, [at(0), at(1), at(2)], { lastNumber: 0 })
  assert.equal(first.order[0]?.number, 1)
  const afterItLeft = choose(rr, [at(0), at(2)], first.memory)
  assert.equal(afterItLeft.order[0]?.number, 2)
  const afterOneCame = choose(rr, [at(0), at(2), at(5)], afterItLeft.memory)
  assert.equal(afterOneCame.order[0]?.number, 5)
})

test('the fallbacks after the choice are all the others, in turn', () => {
  assert.deepEqual(numbers(choose(rr, [at(0), at(1), at(2), at(3)], { lastNumber: 1 }).order), [2, 3, 0, 1])
})

test('closest puts the own node first and the unknown last', () => {
  const order = choose(closest, [at(0), at(1, 20), at(2, 3), at(3, 90, true)], noMemory).order
  assert.deepEqual(numbers(order), [3, 2, 1, 0])
})

test('equally close instances take turns', () => {
  const candidates = [at(0, 1, true), at(1, 1, true), at(2, 50)]
  assert.deepEqual(firstChoices(closest, candidates, 4), [0, 1, 0, 1])
})

test('the policy instance calls that number and no other', () => {
  const candidates = [at(0, 5), at(1, 9), { ...at(1, 2), node: nodeId('elsewhere') }]
  const order = choose({ policy: 'instance', instance: 1 }, candidates, noMemory).order
  assert.deepEqual(
    order.map((one) => one.node),
    ['elsewhere', 'node-1'],
  )
  assert.deepEqual(choose({ policy: 'instance', instance: 4 }, candidates, noMemory).order, [])
})

test('two copies of one number take one turn', () => {
  const twice = [at(0), { ...at(0, 4), node: nodeId('new-home') }, at(1)]
  assert.deepEqual(firstChoices(rr, twice, 4), [0, 1, 0, 1])
  assert.equal(choose(rr, twice, noMemory).order[0]?.node, 'new-home')
})

test('no candidates make an empty order and leave the memory as it was', () => {
  assert.deepEqual(choose(rr, [], { lastNumber: 3 }), { order: [], memory: { lastNumber: 3 } })
})

const callers = Array.from({ length: 3_000 }, (_, index) => `caller ${index}`)
const four = [at(0), at(1), at(2), at(3)]

/** How many of the callers' first calls go to each number. */
function spread(wish: Wish): readonly number[] {
  const counts = four.map(() => 0)
  for (const caller of callers) {
    const number = choose(wish, four, noMemory, caller).order[0]?.number ?? -1
    counts[number] = (counts[number] ?? 0) + 1
  }
  return counts
}

test('one call each of many callers is spread over all instances, by rr, random and sticky alike', (t) => {
  for (const policy of ['rr', 'random', 'sticky'] as const) {
    const counts = spread({ policy, instance: null })
    t.diagnostic(`${policy}: ${counts.join(', ')} of ${callers.length}`)
    // Four standard deviations of a fair draw: sqrt(3000 * 1/4 * 3/4) = 24.
    for (const count of counts) assert.ok(Math.abs(count - 750) < 96, `${policy}: ${counts.join(', ')}`)
  }
})

test('wherever a caller begins, its own calls are exactly even', () => {
  for (const caller of callers.slice(0, 50)) {
    let memory: ChoiceMemory = noMemory
    const counts = [0, 0, 0, 0]
    for (let call = 0; call < 8; call++) {
      const choice = choose({ policy: 'rr', instance: null }, four, memory, caller)
      memory = choice.memory
      const number = choice.order[0]?.number ?? 0
      counts[number] = (counts[number] ?? 0) + 1
    }
    assert.deepEqual(counts, [2, 2, 2, 2])
  }
})

test('sticky keeps a caller where it is, and moves only those whose instance is gone', () => {
  const wish: Wish = { policy: 'sticky', instance: null }
  for (const caller of callers.slice(0, 300)) {
    const before = choose(wish, four, noMemory, caller).order[0]?.number
    assert.equal(choose(wish, four.toReversed(), { lastNumber: 2 }, caller).order[0]?.number, before)
    const [, ...left] = four
    const after = choose(wish, left, noMemory, caller).order[0]?.number
    if (before !== 0) assert.equal(after, before)
  }
})

test('least takes the one with the fewest open tunnels, and equals in turn', () => {
  const least: Wish = { policy: 'least', instance: null }
  const busy = [
    { ...at(0), openTunnels: 2 },
    { ...at(1), openTunnels: 1 },
    { ...at(2), openTunnels: 5 },
  ]
  assert.deepEqual(numbers(choose(least, busy, noMemory).order), [1, 0, 2])
  assert.deepEqual(firstChoices(least, four, 4), [0, 1, 2, 3])
})

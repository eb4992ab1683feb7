// Coordinates found from measurements alone predict what was never measured; circles hold what they were made of.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { pick, seededRandom } from '../kernel/random.ts'
import { circleAround, circleAt, distanceKm, nearestKm, type Place, parsePlace } from './distance.ts'
import { estimatedMs, trilaterate } from './trilateration.ts'
import { createVivaldi, isCoordinate, observe, predictedMs, type VivaldiState } from './vivaldi.ts'

const BERLIN: Place = { latitude: 52.52, longitude: 13.405 }
const MUNICH: Place = { latitude: 48.137, longitude: 11.575 }
const SYDNEY: Place = { latitude: -33.869, longitude: 151.209 }

/** The haversine formula loses its last digits between opposite points. */
const ROUNDING_KM = 0.001

const place = fc.record({
  latitude: fc.double({ min: -90, max: 90, noNaN: true }),
  longitude: fc.double({ min: -180, max: 180, noNaN: true }),
})

interface Site {
  readonly at: readonly [number, number]
  /** Milliseconds of the access link. */
  readonly access: number
}

/** The true round trip: a plane, and two access links. */
const truth = (a: Site, b: Site): number => Math.hypot(a.at[0] - b.at[0], a.at[1] - b.at[1]) + a.access + b.access

/** Every node measures a random other one in each round, with that much noise. */
function settled(sites: readonly Site[], rounds: number, noise: number, seed: number): readonly VivaldiState[] {
  const random = seededRandom(seed)
  const states = sites.map(() => createVivaldi())
  for (let round = 0; round < rounds; round++) {
    for (const [index, site] of sites.entries()) {
      const other = pick(random, sites) as Site
      const peer = sites.indexOf(other)
      if (peer === index) continue
      const ms = truth(site, other) * (1 + noise * random.next())
      const theirs = states[peer]?.coordinate
      if (theirs === undefined) continue
      states[index] = observe(states[index] ?? createVivaldi(), { peer: String(peer), ms, theirs }, random)
    }
  }
  return states
}

function sitesOf(count: number, seed: number): readonly Site[] {
  const random = seededRandom(seed)
  return Array.from({ length: count }, () => ({
    at: [random.next() * 100, random.next() * 60] as const,
    access: 0.5 + random.next() * 5,
  }))
}

test('the middle prediction is off by less than a tenth after 200 rounds, also with noise', () => {
  for (const seed of [1, 2, 3]) {
    const sites = sitesOf(40, seed)
    const states = settled(sites, 200, 0.05, seed)
    const errors = sites.flatMap((a, i) =>
      sites.flatMap((b, j) => {
        const [one, other] = [states[i]?.coordinate, states[j]?.coordinate]
        if (i >= j || one === undefined || other === undefined) return []
        return [Math.abs(predictedMs(one, other) - truth(a, b)) / truth(a, b)]
      }),
    )
    errors.sort((a, b) => a - b)
    const middle = errors[Math.floor(errors.length / 2)] ?? 1
    assert.ok(middle < 0.1, `seed ${seed}: the middle error is ${middle.toFixed(3)}`)
    assert.ok((errors[Math.floor(errors.length * 0.9)] ?? 1) < 0.35, `seed ${seed}: nine of ten`)
  }
})

test('an error that is known falls as the coordinate gets better', () => {
  const states = settled(sitesOf(20, 7), 150, 0, 7)
  assert.equal(createVivaldi().coordinate.error, 1.5)
  for (const { coordinate } of states) assert.ok(coordinate.error < 0.4, String(coordinate.error))
})

test('whatever is measured and said, a coordinate stays one', () => {
  const wild = fc.double()
  const said = fc.record({ vector: fc.array(wild, { maxLength: 5 }), height: wild, error: wild })
  fc.assert(
    fc.property(fc.array(fc.tuple(wild, said), { maxLength: 50 }), fc.integer(), (measured, seed) => {
      const random = seededRandom(seed)
      let state = createVivaldi()
      for (const [ms, theirs] of measured) state = observe(state, { peer: 'x', ms, theirs }, random)
      assert.ok(isCoordinate(state.coordinate))
    }),
  )
})

test('one slow answer among fast ones moves nothing', () => {
  const random = seededRandom(1)
  const [a, b] = settled(
    [
      { at: [0, 0], access: 1 },
      { at: [20, 0], access: 1 },
    ],
    400,
    0,
    3,
  )
  assert.ok(a && b)
  const after = observe(a, { peer: '1', ms: 900, theirs: b.coordinate }, random)
  assert.ok(Math.abs(predictedMs(after.coordinate, b.coordinate) - 22) < 2)
})

test('great circles: Berlin to Munich, and to the other side of the earth', () => {
  assert.ok(Math.abs(distanceKm(BERLIN, MUNICH) - 504) < 2)
  assert.ok(Math.abs(distanceKm(BERLIN, SYDNEY) - 16_090) < 40)
  assert.equal(distanceKm(BERLIN, BERLIN), 0)
})

test('a circle holds every point, so that its nearest point is never farther than the nearest of them', () => {
  fc.assert(
    fc.property(fc.array(place, { minLength: 1, maxLength: 12 }), place, (places, from) => {
      const circle = circleAround(places.map(circleAt))
      assert.ok(circle)
      const nearest = Math.min(...places.map((one) => distanceKm(from, one)))
      assert.ok(nearestKm(from, circle) <= nearest + ROUNDING_KM)
      const halves = [places.slice(0, 3), places.slice(3)].flatMap((half) => circleAround(half.map(circleAt)) ?? [])
      const around = circleAround(halves)
      assert.ok(around && nearestKm(from, around) <= nearest + ROUNDING_KM, 'and so does a circle around circles')
    }),
  )
})

test('places are read from people', () => {
  assert.deepEqual(parsePlace('52.52,13.405'), BERLIN)
  assert.deepEqual(parsePlace(' -33.869; 151.209 '), SYDNEY)
  for (const word of ['', '52', '91,0', '0,181', 'a,b', '1,2,3']) assert.equal(parsePlace(word), null)
})

test('users of whom nothing was measured are found between the nodes around them', () => {
  const random = seededRandom(5)
  const places = Array.from({ length: 30 }, () => ({
    latitude: 47 + random.next() * 7,
    longitude: 7 + random.next() * 8,
  }))
  const sites = places.map((one): Site => ({ at: [one.longitude * 1.35, one.latitude * 2.22], access: 0.2 }))
  const states = settled(sites, 300, 0, 5)
  const anchors = places.flatMap((one, index) => {
    const coordinate = states[index]?.coordinate
    return coordinate === undefined ? [] : [{ place: one, coordinate }]
  })
  const users = trilaterate(BERLIN, anchors)
  assert.ok(users)
  const off = anchors.map(({ place: at, coordinate }) => {
    const expected = estimatedMs(BERLIN, at)
    return Math.abs(predictedMs(users, coordinate) - expected)
  })
  off.sort((a, b) => a - b)
  assert.ok((off[15] ?? 99) < 2, `the middle estimate is off by ${off[15]?.toFixed(2)} ms`)
  assert.equal(trilaterate(BERLIN, []), null)
})

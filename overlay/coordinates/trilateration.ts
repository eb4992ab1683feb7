// Where somebody stands in the space of network coordinates whom nobody has measured: users around a place. Nodes near
// that place are the anchors; from each the round trip to the users is estimated by the way that light has to go, and
// the point that fits all of them best is where the users are taken to be. After the LDP scheduler of Oakestra
// (Bartolomeo et al., "Oakestra: A Lightweight Hierarchical Orchestration Framework for Edge Computing", USENIX ATC
// 2023, section 5), which lets such nodes ping a user and trilaterates from that.

import { distanceKm, type Place } from './distance.ts'
import { type Coordinate, distanceMs, ERROR_MAX } from './vivaldi.ts'

export interface Anchor {
  readonly place: Place
  readonly coordinate: Coordinate
}

/** Light in fibre takes 1 ms for 200 km; ways are twice as long as the great circle (a usual inflation), and back. */
export const MS_PER_KM = 0.02
/** The nearest so many nodes; three are the least that a plane needs, more even out what is off. */
const ANCHORS_MAX = 8
const ROUNDS = 100
const STEP = 0.5

export const estimatedMs = (from: Place, to: Place): number => distanceKm(from, to) * MS_PER_KM

/** The point whose distances to the nearest anchors fit best; null without any. */
export function trilaterate(place: Place, anchors: readonly Anchor[]): Coordinate | null {
  const near = anchors
    .map((anchor) => ({ ...anchor, ms: estimatedMs(place, anchor.place) }))
    .sort((a, b) => a.ms - b.ms)
    .slice(0, ANCHORS_MAX)
  const [first] = near
  if (first === undefined) return null
  let vector = first.coordinate.vector
  for (let round = 0; round < ROUNDS; round++) {
    const pull = vector.map(() => 0)
    for (const { coordinate, ms } of near) {
      const apart = distanceMs(vector, coordinate.vector)
      const off = apart - ms
      for (const [index, axis] of vector.entries()) {
        const towards = (coordinate.vector[index] ?? 0) - axis
        pull[index] = (pull[index] ?? 0) + (apart < 1e-9 ? (index === 0 ? -off : 0) : (towards / apart) * off)
      }
    }
    vector = vector.map((axis, index) => axis + (STEP * (pull[index] ?? 0)) / near.length)
  }
  const error = Math.max(...near.map(({ coordinate }) => coordinate.error))
  return { vector, height: 0, error: Math.min(ERROR_MAX, error) }
}

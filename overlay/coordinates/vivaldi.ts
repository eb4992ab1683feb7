// Network coordinates: a point for each node such that the distance between two points predicts their round trip,
// found by each node alone from the round trips it measures anyway. Each measurement is a spring that pulls or pushes
// the node a little; what is left over is the height, the time that every packet spends on the node's own access link.
// Vivaldi: Dabek, Cox, Kaashoek, Morris, "Vivaldi: A Decentralized Network Coordinate System", SIGCOMM 2004, section
// 3.4 and 5.4; the filter and the pull to the origin as in hashicorp/serf, coordinate/client.go.

import type { Random } from '../kernel/random.ts'
import type { Millis } from '../kernel/time.ts'

export interface Coordinate {
  /** Milliseconds along each axis. */
  readonly vector: readonly number[]
  /** Milliseconds of the access link; a path has those of both its ends. */
  readonly height: Millis
  /** How far predictions are off, as a share: from 0 to ERROR_MAX, which says that nothing is known yet. */
  readonly error: number
}

/** Two are enough for distances on earth (section 5.2), a third for detours; each is 9 bytes in every summary. */
export const DIMENSIONS = 3
/** c_e and c_c of the paper, with its values. */
const ERROR_WEIGHT = 0.25
const STEP_WEIGHT = 0.25
/** As Serf has them: an error above one, a height that is never zero, and how far from the origin the pull is felt. */
export const ERROR_MAX = 1.5
const HEIGHT_MS_MIN = 0.01
const GRAVITY_MS = 150
/** The middle one of so many round trips to a peer counts (Serf: 3), so that one slow answer moves nothing. */
const FILTER_SAMPLES = 3
/** A round trip that long is a fault and no distance. */
const ROUND_TRIP_MS_MAX = 10_000
/** Peers whose last round trips are kept; the longest unheard goes first. */
const PEERS_MAX = 256
/** From where on a coordinate is believed. A guess: off by half at most. */
export const ERROR_TRUSTED = 0.5

export interface VivaldiState {
  readonly coordinate: Coordinate
  readonly recent: ReadonlyMap<string, readonly Millis[]>
}

export interface RoundTripMeasured {
  readonly peer: string
  readonly ms: Millis
  /** What the peer said of itself. */
  readonly theirs: Coordinate
}

export const createVivaldi = (): VivaldiState => ({
  coordinate: { vector: new Array<number>(DIMENSIONS).fill(0), height: HEIGHT_MS_MIN, error: ERROR_MAX },
  recent: new Map(),
})

/** Takes in one round trip; one that cannot be true, or a coordinate that is none, changes nothing. */
export function observe(state: VivaldiState, { peer, ms, theirs }: RoundTripMeasured, random: Random): VivaldiState {
  if (!(ms >= 0 && ms <= ROUND_TRIP_MS_MAX) || !isCoordinate(theirs)) return state
  const samples = [...(state.recent.get(peer) ?? []), ms].slice(-FILTER_SAMPLES)
  const recent = new Map(state.recent)
  recent.delete(peer)
  recent.set(peer, samples)
  if (recent.size > PEERS_MAX) recent.delete(recent.keys().next().value ?? peer)
  const middle = [...samples].sort((a, b) => a - b)[Math.floor(samples.length / 2)] ?? ms
  const moved = pulled(state.coordinate, theirs, Math.max(middle, HEIGHT_MS_MIN), random)
  return { coordinate: isCoordinate(moved) ? moved : createVivaldi().coordinate, recent }
}

/** Whether all of it are numbers in bounds. */
export const isCoordinate = ({ vector, height, error }: Coordinate): boolean =>
  vector.length === DIMENSIONS &&
  vector.every((axis) => Math.abs(axis) <= ROUND_TRIP_MS_MAX) &&
  height >= 0 &&
  height <= ROUND_TRIP_MS_MAX &&
  error >= 0 &&
  error <= ERROR_MAX

/** The paper's algorithm (figure 3), with heights: its own error and the peer's decide how far one sample moves. */
function pulled(own: Coordinate, theirs: Coordinate, ms: Millis, random: Random): Coordinate {
  const predicted = predictedMs(own, theirs)
  const weight = own.error / Math.max(own.error + theirs.error, Number.EPSILON)
  const off = Math.abs(predicted - ms) / ms
  const share = ERROR_WEIGHT * weight
  const error = Math.min(ERROR_MAX, off * share + own.error * (1 - share))
  const force = STEP_WEIGHT * weight * (ms - predicted)
  const apart = distanceMs(own.vector, theirs.vector)
  const direction =
    apart > HEIGHT_MS_MIN
      ? own.vector.map((axis, index) => (axis - (theirs.vector[index] ?? 0)) / apart)
      : unit(own.vector.map(() => random.next() - 0.5))
  const vector = own.vector.map((axis, index) => axis + force * (direction[index] ?? 0))
  const isApart = apart > HEIGHT_MS_MIN
  const height = isApart
    ? own.height + (force * (own.height + theirs.height)) / Math.max(apart, HEIGHT_MS_MIN)
    : own.height
  return { vector: towardsOrigin(vector), height: Math.min(Math.max(height, HEIGHT_MS_MIN), ms), error }
}

/** A drift of all nodes together changes no distance; a weak pull keeps their middle where it is. */
function towardsOrigin(vector: readonly number[]): readonly number[] {
  const length = distanceMs(vector, [])
  const pull = (length / GRAVITY_MS) ** 2
  return length === 0 ? vector : vector.map((axis) => axis - (axis / length) * Math.min(pull, length))
}

function unit(vector: readonly number[]): readonly number[] {
  const length = distanceMs(vector, [])
  return length === 0 ? vector.map((_, index) => (index === 0 ? 1 : 0)) : vector.map((axis) => axis / length)
}

/** Along a straight line, without heights. */
export const distanceMs = (a: readonly number[], b: readonly number[]): number =>
  Math.sqrt(a.reduce((sum, axis, index) => sum + (axis - (b[index] ?? 0)) ** 2, 0))

/** The round trip between two points. */
export const predictedMs = (a: Coordinate, b: Coordinate): Millis =>
  distanceMs(a.vector, b.vector) + a.height + b.height

/** The middle of several points, and how far from it the farthest may be. */
export interface Ball {
  readonly centre: Coordinate
  readonly radiusMs: Millis
}

/** A ball around balls, with the least of the heights; null when there are none. */
export function ballAround(balls: readonly Ball[]): Ball | null {
  if (balls.length === 0) return null
  const axes = new Array<number>(DIMENSIONS).fill(0)
  const vector = axes.map(
    (_, axis) => balls.reduce((sum, { centre }) => sum + (centre.vector[axis] ?? 0), 0) / balls.length,
  )
  const radiusMs = Math.max(...balls.map((ball) => distanceMs(vector, ball.centre.vector) + ball.radiusMs))
  const height = Math.min(...balls.map(({ centre }) => centre.height))
  const error = Math.max(...balls.map(({ centre }) => centre.error))
  return { centre: { vector, height, error }, radiusMs }
}

/** The least that a round trip from a point to any point of a ball can take. */
export const nearestMs = (from: Coordinate, { centre, radiusMs }: Ball): Millis =>
  Math.max(0, distanceMs(from.vector, centre.vector) - radiusMs) + from.height + centre.height

// Where things are on earth, and circles around several of them. A circle holds all that it was made of, so what it
// says of the nearest is never too far.

export interface Place {
  /** Degrees, north and east positive. */
  readonly latitude: number
  readonly longitude: number
}

export interface Circle {
  readonly centre: Place
  readonly radiusKm: number
}

/** Mean radius of the earth in km (IUGG). */
const EARTH_KM = 6_371.0088
const DEGREE = Math.PI / 180

/** Great-circle distance in km, by the haversine formula, which is exact enough at every distance. */
export function distanceKm(a: Place, b: Place): number {
  const [from, to] = [a.latitude * DEGREE, b.latitude * DEGREE]
  const north = Math.sin((to - from) / 2) ** 2
  const east = Math.sin(((b.longitude - a.longitude) * DEGREE) / 2) ** 2
  return 2 * EARTH_KM * Math.asin(Math.min(1, Math.sqrt(north + Math.cos(from) * Math.cos(to) * east)))
}

export const circleAt = (centre: Place): Circle => ({ centre, radiusKm: 0 })

/** A circle around circles: its centre is the mean of theirs on the sphere; null when there are none. */
export function circleAround(circles: readonly Circle[]): Circle | null {
  const [first] = circles
  if (first === undefined) return null
  const mean = { x: 0, y: 0, z: 0 }
  for (const { centre } of circles) {
    const [latitude, longitude] = [centre.latitude * DEGREE, centre.longitude * DEGREE]
    mean.x += Math.cos(latitude) * Math.cos(longitude)
    mean.y += Math.cos(latitude) * Math.sin(longitude)
    mean.z += Math.sin(latitude)
  }
  const isBalanced = Math.hypot(mean.x, mean.y, mean.z) < 1e-9
  const centre: Place = isBalanced
    ? first.centre
    : {
        latitude: Math.atan2(mean.z, Math.hypot(mean.x, mean.y)) / DEGREE,
        longitude: Math.atan2(mean.y, mean.x) / DEGREE,
      }
  const radiusKm = Math.max(...circles.map((circle) => distanceKm(centre, circle.centre) + circle.radiusKm))
  return { centre, radiusKm }
}

/** How far the nearest point of a circle can be at least. */
export const nearestKm = (place: Place, circle: Circle): number =>
  Math.max(0, distanceKm(place, circle.centre) - circle.radiusKm)

/** `52.52,13.405`: latitude and longitude in degrees; null when it is no place. */
export function parsePlace(word: string): Place | null {
  const [, latitude = '', longitude = ''] = /^\s*(-?\d+(?:\.\d+)?)\s*[,;]\s*(-?\d+(?:\.\d+)?)\s*$/.exec(word) ?? []
  const place = { latitude: Number(latitude), longitude: Number(longitude) }
  const isPlace = latitude !== '' && Math.abs(place.latitude) <= 90 && Math.abs(place.longitude) <= 180
  return isPlace ? place : null
}

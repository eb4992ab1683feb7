// How big the worlds of a run of many seeds are: small ones above all, since most bugs need few nodes and small worlds
// are quick, and some as large as the biggest site.

/** Nodes and clusters, taken in turn by seed. */
const MIX: readonly (readonly [nodes: number, clusters: number])[] = [
  [3, 1],
  [5, 2],
  [2, 1],
  [4, 2],
  [6, 3],
  [1, 1],
  [5, 1],
  [3, 3],
  [7, 2],
  [4, 1],
  [8, 3],
  [3, 2],
  [4, 2],
  [2, 2],
  [12, 3],
  [3, 1],
  [5, 2],
  [7, 1],
  [4, 3],
  [2, 1],
  [3, 1],
  [5, 2],
  [2, 2],
  [4, 1],
  [9, 3],
  [1, 1],
  [3, 3],
  [6, 1],
  [3, 2],
  [5, 3],
]

export interface Size {
  readonly nodes: number
  readonly clusters: number
}

/** The size that belongs to a seed where none was asked for. */
export function sizeOf(seed: number): Size {
  const [nodes, clusters] = MIX[seed % MIX.length] ?? [3, 1]
  return { nodes, clusters }
}

/** A cluster for every three or so nodes. */
export const clustersFor = (nodes: number): number => Math.max(1, Math.min(3, Math.round(nodes / 3)))

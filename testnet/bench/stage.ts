// One cluster of real processes that all can vote, watched by its event streams: where leaders are lost on purpose.
// The root's only child is the cluster, so the cluster's leader leads both.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StatusView } from '../../node/control.ts'
import { createFleet, type Fleet, type FleetNode, until } from '../local/fleet.ts'
import { createWatch, type Seen, type Watch } from '../local/watch.ts'

export const CLUSTER = '/home'
export const DOMAINS = [CLUSTER, '/'] as const
const ELECTORS_MAX = 5
/** A child is steady for 10 s before it is promoted, and two cores start a process in one; the rest is patience. */
const WHOLE_MS_MAX = 180_000
/** How often each node is asked whether the fleet is whole again, in ms per node of it: to cost next to nothing. */
const LOOK_MS_PER_NODE = 50
/** Processes that start at a time: more would make each other wait, on two cores. A guess. */
const WAVE_NODES = 10

export interface Stage {
  readonly fleet: Fleet
  readonly watch: Watch
}

export interface StageOptions {
  readonly nodes: number
  readonly preset: string
  readonly program?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}

/** Runs `play` on a fleet of its own, and leaves nothing behind. */
export async function onStage<T>(options: StageOptions, play: (stage: Stage) => Promise<T>): Promise<T> {
  const { nodes, preset, program, environment } = options
  const baseDir = await mkdtemp(join(tmpdir(), 'coppice-bench-'))
  const names = Array.from({ length: nodes }, (_, index) => `home-${index + 1}`)
  const fleet = createFleet({
    baseDir,
    clusters: [{ path: CLUSTER, names }],
    flags: ['--preset', preset],
    waveNodes: WAVE_NODES,
    onProgress: console.error,
    ...(program && { program }),
    ...(environment && { environmentOf: () => environment }),
  })
  const watch = createWatch()
  try {
    await fleet.start()
    await Promise.all(fleet.nodes.map(watch.follow))
    return await play({ fleet, watch })
  } finally {
    watch.close()
    await fleet.stop()
    await rm(baseDir, { recursive: true, force: true })
  }
}

export interface Leadership {
  readonly leader: FleetNode
  readonly others: readonly FleetNode[]
  /** Of each domain, the term that it is in. */
  readonly terms: Readonly<Record<string, number>>
}

/** Resolves once every node agrees on one leader of both domains and all that may vote have a vote. */
export async function whole({ fleet }: Stage): Promise<Leadership> {
  const lookMs = LOOK_MS_PER_NODE * fleet.living().length
  const agreed = async (): Promise<Leadership | null> => {
    const nodes = fleet.living()
    const all = await Promise.all(nodes.map((node) => node.control.status()))
    const terms: Record<string, number> = {}
    for (const path of DOMAINS) {
      const views = all.map((status) => status.domains.find((domain) => domain.path === path))
      const view = views[0]
      if (view === undefined || new Set(views.map((one) => `${one?.leaderNode} ${one?.epoch} ${one?.term}`)).size > 1)
        return null
      terms[path] = view.term
    }
    const odd = nodes.length - ((nodes.length + 1) % 2)
    const electors = nodes.length === 2 ? 2 : Math.min(odd, ELECTORS_MAX)
    const isFull = all.every((status) => status.ready && electorsOf(status).length === electors)
    const isAllThere = all.every((status) => electorsOf(status).every((id) => all.some(({ node }) => node === id)))
    const leader = nodes.find((_, index) => all[index]?.node === leaderIdOf(all[0]))
    if (!isFull || !isAllThere || leader === undefined) return null
    return { leader, others: nodes.filter((node) => node !== leader), terms }
  }
  return await until('every node knows the leader and all votes are given out', agreed, WHOLE_MS_MAX, [], lookMs)
}

const clusterOf = (status: StatusView | undefined) => status?.domains.find((domain) => domain.path === CLUSTER)
const electorsOf = (status: StatusView): readonly string[] => clusterOf(status)?.electors ?? []
const leaderIdOf = (status: StatusView | undefined): string | null => clusterOf(status)?.leaderNode ?? null

/**
 * When the last of `nodes` had learned of the same new leader of a domain, one of a term after `term`; null while they
 * do not agree.
 */
export function knownAt(
  seen: readonly Seen[],
  nodes: readonly FleetNode[],
  domain: string,
  term: number,
): { readonly atMs: number; readonly leader: string } | null {
  const known = new Map<string, string>()
  const news = seen.filter((one) => one.name === 'leader-known' && one.domain === domain)
  for (const { teller, fields, atMs } of [...news].sort((a, b) => a.atMs - b.atMs)) {
    if (Number(fields.term) <= term) continue
    known.set(teller, String(fields.leader))
    const leaders = new Set(nodes.map(({ name }) => known.get(name)))
    const [leader] = leaders
    if (leaders.size === 1 && leader !== undefined) return { atMs, leader }
  }
  return null
}

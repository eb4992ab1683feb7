// Every pair of devices: whether it is connected, how, through whom, how soon, and why not directly.

import type { PeerView } from '../../node/control.ts'
import { type LabFleet, type LabNode, pathsTold } from './nodes.ts'

export interface PairReport {
  readonly a: string
  readonly b: string
  readonly path: 'direct' | 'relay' | null
  /** The relay's name. */
  readonly via: string | null
  /** Since the later of the two was a member; null where it never came about. */
  readonly connectedS: number | null
  readonly directS: number | null
  /** Why it is not direct, as `a` says. */
  readonly reason: string | null
  readonly reasonCode: string | null
  readonly rttMs: number | null
}

/** The pairs as they stand now, with the times that the nodes' events tell. */
export async function readMatrix(fleet: LabFleet): Promise<readonly PairReport[]> {
  const told = pathsTold(fleet.watch.since(0))
  const nodes = [...fleet.nodes.values()]
  const peers = new Map<string, readonly PeerView[]>()
  for (const { name, control } of nodes) peers.set(name, (await control.status()).peers)
  const nameOf = new Map([...peers.values()].flat().map(({ node, name }) => [node, name] as const))
  const pairs = nodes.flatMap((a, index) => nodes.slice(index + 1).map((b): readonly [LabNode, LabNode] => [a, b]))
  return pairs.map(([a, b]) => {
    const since = Math.max(a.memberAtMs, b.memberAtMs)
    const ofPair = told.filter(
      ({ teller, to }) => (teller === a.name && to === b.name) || (teller === b.name && to === a.name),
    )
    const firstS = (events: typeof ofPair): number | null =>
      events.length === 0 ? null : Math.max(0, Math.min(...events.map(({ atMs }) => atMs)) - since) / 1_000
    const view = peers.get(a.name)?.find(({ name }) => name === b.name) ?? null
    return {
      a: a.name,
      b: b.name,
      path: view?.path ?? null,
      via: view?.via == null ? null : (nameOf.get(view.via) ?? view.via),
      connectedS: firstS(ofPair),
      directS: firstS(ofPair.filter(({ path }) => path === 'direct')),
      reason: view?.reason ?? null,
      reasonCode: view?.reasonCode ?? null,
      rttMs: view?.rttMs ?? null,
    }
  })
}

/** A line for each pair, and the sums. */
export function renderMatrix(pairs: readonly PairReport[]): string {
  const rows = pairs.map((pair) => [
    pair.a,
    pair.b,
    pair.path ?? 'NONE',
    pair.via ?? '',
    seconds(pair.connectedS),
    seconds(pair.directS),
    pair.path === 'direct' ? '' : (pair.reason ?? ''),
  ])
  const head = ['from', 'to', 'path', 'through', 'connected', 'direct', 'why not direct']
  const widths = head.map((word, column) => Math.max(word.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    row
      .map((word, column) => word.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return [line(head), ...rows.map(line), '', sums(pairs)].join('\n')
}

function sums(pairs: readonly PairReport[]): string {
  const direct = pairs.filter(({ path }) => path === 'direct').length
  const relay = pairs.filter(({ path }) => path === 'relay').length
  const slowest = Math.max(0, ...pairs.map(({ connectedS }) => connectedS ?? Number.POSITIVE_INFINITY))
  const slowestDirect = Math.max(0, ...pairs.map(({ directS }) => directS ?? 0))
  const slow = `the slowest connected after ${seconds(slowest)}, direct after ${seconds(slowestDirect)}`
  const none = pairs.length - direct - relay
  return `${pairs.length} pairs: ${direct} direct, ${relay} through a relay, ${none} not at all; ${slow}`
}

const seconds = (value: number | null): string => (value === null ? '-' : `${value.toFixed(1)} s`)

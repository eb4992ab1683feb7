// Where the time of a submission went: what the nodes' audit logs say of one service, by the one clock of this machine.

import type { AuditView } from '../../node/control.ts'
import { median } from './figures.ts'

export interface Teller {
  readonly node: string
  readonly domain: string
  readonly audit: readonly AuditView[]
}

/** When somebody submitted and was answered, in ms since 1970, and where. */
export interface Submission {
  readonly begunMs: number
  readonly answeredMs: number
  readonly caller: Teller
}

const STEPS = [
  'submitted -> signed by the node',
  '-> at the leader of the root',
  '-> asked downwards, and decided for a cluster',
  '-> decided for a device',
  '-> accepted by the device',
  '-> on its disk, started and answering on its port',
  '-> known in the cluster of the caller',
  '-> the caller is answered',
] as const
/** The step that has the start of the program itself in it. */
export const STARTED = STEPS.indexOf('-> on its disk, started and answering on its port')

/** How long each step took, in ms; NaN where nobody noted it. */
export function partsOf({ begunMs, answeredMs, caller }: Submission, tellers: readonly Teller[]): readonly number[] {
  const firstAt = (step: AuditView['step'], domain: string | null, among: readonly Teller[]): number =>
    Math.min(
      ...among.flatMap(({ audit }) =>
        audit
          .filter((entry) => entry.step === step && (domain === null || entry.domain === domain))
          .map(({ at }) => Date.parse(at)),
      ),
    )
  const signerOf = (step: AuditView['step'], isOfRoot: boolean | null): readonly Teller[] => {
    const all = tellers.flatMap(({ audit }) => audit)
    const signed = all.find((one) => one.step === step && (isOfRoot === null || (one.domain === '/') === isOfRoot))
    return tellers.filter(({ node }) => node === signed?.node)
  }
  const [root, cluster, device] = [signerOf('decided', true), signerOf('decided', false), signerOf('runs', null)]
  const neighbours = tellers.filter(({ domain }) => domain === caller.domain)
  const moments = [
    begunMs,
    firstAt('asked', null, tellers),
    firstAt('asked', null, root),
    firstAt('decided', '/', root),
    firstAt('decided', cluster[0]?.domain ?? '', cluster),
    firstAt('accepted', null, device),
    firstAt('runs', null, device),
    // Whoever asked for it may hear of it before the records of its own cluster.
    Math.min(answeredMs, firstAt('runs', null, neighbours)),
    answeredMs,
  ].map((moment) => (Number.isFinite(moment) ? moment : Number.NaN))
  return STEPS.map((_, index) => (moments[index + 1] ?? Number.NaN) - (moments[index] ?? Number.NaN))
}

/** The median of each step over all runs, in lines. */
export const partLines = (runs: readonly (readonly number[])[]): readonly string[] =>
  STEPS.map((step, index) => {
    const known = runs.map((parts) => parts[index] ?? Number.NaN).filter((ms) => !Number.isNaN(ms))
    return `  ${median(known).toFixed(0).padStart(5)} ms  ${step}`
  })

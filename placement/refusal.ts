// Why an instance cannot run somewhere. Refusals are counted by code on their way up, so that at the end one sentence
// says which constraint ruled out how many devices.

import { type Infer, list, number, object, optional, text, whole } from '../overlay/wire/schema.ts'
import { REASONS_MAX } from './constants.ts'

/** The codes that this version knows; a newer one may say others, so the field stays text on the wire. */
export type RefusalCode =
  | 'memory'
  | 'cpu'
  | 'gpu'
  | 'disk'
  | 'tpu'
  | 'bandwidth'
  | 'runtime'
  | 'node-selector'
  | 'cluster-selector'
  | 'pressure'
  | 'cordoned'
  | 'draining'
  | 'cannot-work'
  | 'no-summary'
  | 'silent'
  | 'avoided'
  | 'failed-there'
  | 'runs-there'
  | 'not-meant'
  | 'stale-fence'
  | 'busy'
  | 'name-taken'
  | 'bad-spec'
  | 'kind'
  | 'no-devices'
  | 'scheduler'
  | 'far'
  | 'slow'
  | 'narrow'
  | 'no-location'
  | 'evicted'
  | 'restricted'
  | 'policy'

export const reasonSchema = object({
  code: text(32),
  /** Devices that it ruled out. */
  count: whole(0, 1_000_000),
  /** What was needed or what went wrong, e.g. `4096 MB`. */
  detail: text(200),
  /** The best that any of them had, and which one: `1870`, `pi-3`. */
  most: optional(number()),
  on: optional(text(256)),
})
export type Reason = Infer<typeof reasonSchema>
export const reasonsSchema = list(reasonSchema, REASONS_MAX)

export const refusal = (code: RefusalCode, detail = '', count = 1): Reason => ({
  code,
  count,
  detail: detail.slice(0, 200),
})

/** Adds counts up per code; of several "most", the largest stays. First come, first listed. */
export function tally(reasons: readonly Reason[]): readonly Reason[] {
  const byCode = new Map<string, Reason>()
  for (const reason of reasons) {
    const sum = byCode.get(reason.code)
    byCode.set(reason.code, sum === undefined ? reason : join(sum, reason))
  }
  return [...byCode.values()].slice(0, REASONS_MAX)
}

function join(a: Reason, b: Reason): Reason {
  const better = (b.most ?? -Infinity) > (a.most ?? -Infinity) ? b : a
  return { ...better, count: a.count + b.count, detail: a.detail === '' ? b.detail : a.detail }
}

/** `0 of 9 devices: 4 lack memory (need 4096 MB, most free 1870 MB on pi-3), 5 do not offer the runtime docker`. */
export function refusalSentence(reasons: readonly Reason[], devices: number): string {
  const parts = [...tally(reasons)].sort((a, b) => b.count - a.count).map(phrase)
  const head = `0 of ${devices} ${devices === 1 ? 'device' : 'devices'}`
  return parts.length === 0 ? `${head} can take it` : `${head}: ${parts.join(', ')}`
}

function phrase(reason: Reason): string {
  const { code, count, detail } = reason
  const one = count === 1
  const aside = detail === '' ? '' : ` (${detail})`
  switch (code as RefusalCode) {
    case 'memory':
      return `${count} ${one ? 'lacks' : 'lack'} memory${shortage(reason, 'MB')}`
    case 'cpu':
      return `${count} ${one ? 'lacks' : 'lack'} cpu${shortage(reason, 'cores')}`
    case 'gpu':
      return `${count} ${one ? 'lacks' : 'lack'} gpus${shortage(reason, 'gpus')}`
    case 'disk':
      return `${count} ${one ? 'lacks' : 'lack'} disk${shortage(reason, 'MB')}`
    case 'tpu':
      return `${count} ${one ? 'lacks' : 'lack'} tpus${shortage(reason, 'tpus')}`
    case 'bandwidth':
      return `${count} ${one ? 'lacks' : 'lack'} bandwidth${shortage(reason, 'Mbit/s')}`
    case 'runtime':
      return `${count} ${one ? 'does' : 'do'} not offer the runtime ${detail}`
    case 'node-selector':
      return `${count} ${one ? 'is' : 'are'} not selected by node ${detail}`
    case 'cluster-selector':
      return `${count} ${one ? 'is' : 'are'} not in the clusters selected by ${detail}`
    case 'pressure':
      return `${count} ${one ? 'is' : 'are'} under pressure`
    case 'cordoned':
      return `${count} ${one ? 'is' : 'are'} cordoned`
    case 'draining':
      return `${count} ${one ? 'is' : 'are'} drained`
    case 'cannot-work':
      return `${count} may not take work`
    case 'no-summary':
      return `${count} ${one ? 'has' : 'have'} not said yet what ${one ? 'it has' : 'they have'}`
    case 'silent':
      return `${count} did not answer`
    case 'avoided':
      return `${count} ${one ? 'was' : 'were'} left out`
    case 'failed-there':
      return `${count} could not run it${aside}`
    case 'runs-there':
      return `${count} ${one ? 'has' : 'have'} it already`
    case 'not-meant':
      return `${count} ${one ? 'is' : 'are'} not meant by --to ${detail}`
    case 'stale-fence':
      return `${count} already ${one ? 'obeys' : 'obey'} a newer leader`
    case 'busy':
      return `${count} ${one ? 'is' : 'are'} busy with other offers`
    case 'name-taken':
      return `${count} ${one ? 'has' : 'have'} a service of this name of ${one ? 'its' : 'their'} own`
    case 'bad-spec':
      return `${count} cannot read the specification${aside}`
    case 'kind':
      return `${count} cannot run this kind of service${aside}`
    case 'no-devices':
      return `${count} ${one ? 'has' : 'have'} no devices`
    case 'far':
      return `${count} ${one ? 'is' : 'are'} farther than ${detail}${best(reason, 'nearest', 'km')}`
    case 'slow':
      return `${count} ${one ? 'is' : 'are'} slower than ${detail}${best(reason, 'nearest', 'ms')}`
    case 'narrow':
      return `${count} ${one ? 'has' : 'have'} less than ${detail}${best(reason, 'most', 'Mbit/s')}`
    case 'no-location':
      return `${count} ${one ? 'does' : 'do'} not say where ${one ? 'it stands' : 'they stand'}`
    case 'evicted':
      return `${count} stopped it to relieve ${one ? 'itself' : 'themselves'}`
    case 'restricted':
      return `${count} ${one ? 'takes' : 'take'} no work of other operators while under pressure`
    case 'policy':
      return `${count} ${one ? 'has an owner whose policy' : 'have owners whose policy'} forbids it${aside}`
    case 'scheduler':
      return `${count} ${one ? 'is' : 'are'} left out by the scheduler${aside}`
    default:
      return `${count} refused as ${code}${aside}`
  }
}

function best({ most, on }: Reason, which: string, unit: string): string {
  if (most === undefined) return ''
  return ` (${which} ${Math.round(Math.abs(most))} ${unit}${on === undefined ? '' : `: ${on}`})`
}

function shortage(reason: Reason, unit: string): string {
  if (reason.most === undefined) return reason.detail === '' ? '' : ` (need ${reason.detail})`
  const most = Math.round(reason.most * 100) / 100
  return ` (need ${reason.detail}, most free ${most} ${unit}${reason.on === undefined ? '' : ` on ${reason.on}`})`
}

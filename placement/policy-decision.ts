// Whether an owner's policy lets a service onto a device. A worker asks before it offers or runs anything, whoever
// orders it; a leader asks the little of it that a device tells, so that it seldom asks in vain.

import type { OperatorId } from '../overlay/kernel/ids.ts'
import type { UnixMillis } from '../overlay/kernel/time.ts'
import { covers, needOf, plus, type Resources } from './need.ts'
import { anyMatches, type Deed, type Grant, hoursOf, OTHERS_DEFAULT, OWN_DEFAULT, type PolicyFile } from './policy.ts'
import { type Reason, refusal } from './refusal.ts'
import { type ServiceSpec, serviceIdOf } from './spec.ts'

/** Who asks for a place. */
export interface Applicant {
  /** Null where nobody proved whose service it is: then it is a stranger's. */
  readonly operator: OperatorId | null
  readonly spec: Pick<ServiceSpec, 'app' | 'appNamespace' | 'name' | 'namespace'>
}

/** The device as its policy sees it. */
export interface Ground {
  readonly owner: OperatorId
  readonly wall: UnixMillis
  readonly power: 'mains' | 'battery' | null
  readonly capacity: Resources
  /** What instances that fall under the same rule have already, the one in question left out. */
  readonly taken: (rule: string) => { readonly need: Resources; readonly instances: number }
}

/** What holds for somebody: the rule's name, and what it grants with all defaults filled in. */
export interface Ruling {
  /** `own`, `others`, or `rules.N`. */
  readonly rule: string
  readonly grant: Grant
}

const namespacesOf = ({ appNamespace, namespace }: Applicant['spec']): readonly string[] => [appNamespace, namespace]

/** The first rule that holds for who asks, else what is said of own work or of that of others. */
export function rulingFor(policy: PolicyFile, applicant: Applicant, owner: OperatorId): Ruling {
  const { operator, spec } = applicant
  const isOwn = operator === owner
  const base = isOwn ? { ...OWN_DEFAULT, ...policy.own } : { ...OTHERS_DEFAULT, ...policy.others }
  const index = (policy.rules ?? []).findIndex(({ operators, namespaces }) => {
    const isMeant = operators === undefined || (operator !== null && anyMatches(operators, operator))
    return isMeant && namespacesOf(spec).every((name) => anyMatches(namespaces, name))
  })
  const rule = policy.rules?.[index]
  if (rule === undefined) return { rule: isOwn ? 'own' : 'others', grant: base }
  const { operators: _operators, namespaces: _namespaces, ...grant } = rule
  return { rule: `rules.${index}`, grant: { ...base, ...grant } }
}

/** What a policy has against a service being here at all, now; null when nothing. How much is left is another thing. */
export function whyNotHere(
  policy: PolicyFile,
  applicant: Applicant & { readonly spec: ServiceSpec },
  ground: Pick<Ground, 'owner' | 'wall' | 'power'>,
): Reason | null {
  const { spec, operator } = applicant
  const { grant } = rulingFor(policy, applicant, ground.owner)
  if (grant.place === false) return refusal('policy', 'this operator takes no such work')
  const kept = policy.namespaces ?? []
  if (operator !== ground.owner && namespacesOf(spec).some((name) => kept.length > 0 && anyMatches(kept, name)))
    return refusal('policy', 'the namespace belongs to another operator')
  return whyNotSo(grant, spec) ?? whyNotNow(policy, grant, ground)
}

/** What is not granted of what the service wants to be. */
function whyNotSo(grant: Grant, spec: ServiceSpec): Reason | null {
  if (!anyMatches(grant.runtimes, spec.runtime)) {
    const allowed = (grant.runtimes ?? []).join(', ')
    return refusal('policy', `runs by ${spec.runtime}; allowed is ${allowed === '' ? 'nothing' : allowed}`)
  }
  if (spec.privileged && grant.privileged !== true) return refusal('policy', 'is privileged')
  if (grant.images !== undefined && !anyMatches(grant.images, spec.code)) {
    return refusal('policy', `the image ${spec.code} is not among those allowed`)
  }
  const path = spec.volumes.map(hostPathOf).find((one) => one !== null && !isWithinAny(grant.host_paths ?? [], one))
  if (path !== undefined && path !== null) return refusal('policy', `mounts ${path} of the device`)
  const isOpen = (one: string): boolean => !climbs(one) && anyMatches(grant.devices ?? [], one)
  const device = spec.devices.map((one) => one.split(':')[0] ?? '').find((one) => !isOpen(one))
  return device === undefined ? null : refusal('policy', `uses ${device} of the device`)
}

/** The folder of the device in `source:target[:mode]`; null where it is a volume by name, which the engine keeps. */
function hostPathOf(volume: string): string | null {
  const [source = ''] = volume.split(':')
  return /^[/.~\\]/.test(source) ? source : null
}

const climbs = (path: string): boolean => path.split('/').includes('..')

/** Whether a path that climbs nowhere is one of those allowed, or lies in it. */
function isWithinAny(allowed: readonly string[], path: string): boolean {
  if (climbs(path)) return false
  return allowed.some((one) => anyMatches([one, `${one.replace(/\/$/, '')}/*`], path))
}

/** Whether a grant holds at this hour and on this power supply. */
export const isNow = (policy: PolicyFile, grant: Grant, ground: Pick<Ground, 'wall' | 'power'>): boolean =>
  whyNotNow(policy, grant, ground) === null

function whyNotNow(policy: PolicyFile, grant: Grant, { wall, power }: Pick<Ground, 'wall' | 'power'>): Reason | null {
  if (grant.mains_power === true && power === 'battery') return refusal('policy', 'only while on mains power')
  const { hours } = grant
  if (hours === undefined || hours.some((text) => isIn(text, wall, policy.utc_offset ?? '+00:00'))) return null
  return refusal('policy', `only at ${hours.length === 0 ? 'no time' : hours.join(', ')}`)
}

const MINUTE_MS = 60_000
const DAY_MINUTES = 24 * 60
/** 1970-01-01 was a Thursday. */
const EPOCH_DAY = 3

function isIn(text: string, wall: UnixMillis, offset: string): boolean {
  const { days, from, to } = hoursOf(text)
  const sign = offset.startsWith('-') ? -1 : 1
  const [hour = 0, minute = 0] = offset.slice(1).split(':').map(Number)
  const local = Math.floor(wall / MINUTE_MS) + sign * (hour * 60 + minute)
  const day = (Math.floor(local / DAY_MINUTES) + EPOCH_DAY) % 7
  const at = local % DAY_MINUTES
  const isToday = days.includes(day)
  if (from < to) return isToday && at >= from && at < to
  return (isToday && at >= from) || (days.includes((day + 6) % 7) && at < to)
}

/** Everything that a policy has against taking an instance on; null when nothing. */
export function whyPolicyRefuses(
  policy: PolicyFile,
  applicant: Applicant & { readonly spec: ServiceSpec },
  ground: Ground,
): Reason | null {
  const { hold } = policy
  const isHeld = hold !== undefined && (hold.until === undefined || Date.parse(hold.until) > ground.wall)
  if (isHeld) return refusal('policy', `takes nothing new${hold.reason === undefined ? '' : `: ${hold.reason}`}`)
  const { rule, grant } = rulingFor(policy, applicant, ground.owner)
  return whyNotHere(policy, applicant, ground) ?? whyTooMuch(grant, rule, applicant.spec, ground)
}

/** What a rule leaves of a device, all its instances together; Infinity where it sets no limit. */
export function ceilingOf(
  { limit = {} }: Grant,
  capacity: Resources,
): Pick<Resources, 'vcpus' | 'memoryMb' | 'storageMb'> {
  const least = (part: number | undefined, whole: number, amount: number | undefined): number =>
    Math.min(part === undefined ? Infinity : part * whole, amount ?? Infinity)
  return {
    vcpus: least(limit.cpu_share, capacity.vcpus, limit.vcpus),
    memoryMb: least(limit.memory_share, capacity.memoryMb, limit.memory_mb),
    storageMb: least(limit.disk_share, capacity.storageMb, limit.disk_mb),
  }
}

function whyTooMuch(grant: Grant, rule: string, spec: ServiceSpec, ground: Ground): Reason | null {
  const { limit } = grant
  if (limit === undefined) return null
  const taken = ground.taken(rule)
  if (limit.instances !== undefined && taken.instances >= limit.instances) {
    return refusal('policy', `at most ${limit.instances} instances at one time`)
  }
  const ceiling = ceilingOf(grant, ground.capacity)
  const wanted = plus(taken.need, needOf(spec))
  const over = (['memoryMb', 'vcpus', 'storageMb'] as const).find((key) => !covers(ceiling[key], wanted[key]))
  if (over === undefined) return null
  const what = { memoryMb: 'MB of memory', vcpus: 'cores', storageMb: 'MB of disk' }[over]
  return refusal('policy', `gives such work at most ${Math.floor(ceiling[over] * 100) / 100} ${what}`)
}

/** Whether what runs of a service stays as it is; the sentence says until when. */
export function whyLocked(policy: PolicyFile, spec: Applicant['spec'], wall: UnixMillis): Reason | null {
  const service = serviceIdOf(spec)
  const lock = (policy.locks ?? []).find(({ namespaces, services, until }) => {
    const isMeant = namespacesOf(spec).every((name) => anyMatches(namespaces, name)) && anyMatches(services, service)
    return isMeant && Date.parse(until) > wall
  })
  if (lock === undefined) return null
  return refusal(
    'policy',
    `is not to be changed until ${lock.until}${lock.reason === undefined ? '' : `: ${lock.reason}`}`,
  )
}

/** Whether a member of an operator may do something with a service of this policy's owner. */
export function mayDo(policy: PolicyFile, deed: Deed, applicant: Applicant, owner: OperatorId): boolean {
  if (applicant.operator === owner) return true
  return rulingFor(policy, applicant, owner).grant.may?.includes(deed) === true
}

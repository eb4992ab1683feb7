// What a Compose service says of its deployment: how many, where, with which resources, how it is updated and
// restarted.

import { itemsAt, objectAt, readMegabytes, warnUnsupported } from './compose-values.ts'
import { fieldOf, isObject, isOpen, type Place, readNumber, refuse, show, textOf, warn } from './descriptor-report.ts'

/** Keys of a microservice in the SLA. */
export type Fields = Readonly<Record<string, unknown>>

const DEPLOY = ['mode', 'replicas', 'resources', 'placement', 'update_config', 'restart_policy']

export function composeDeploy(service: Place): Fields {
  const place = objectAt(service, 'deploy')
  warnUnsupported(place, DEPLOY, ['endpoint_mode', 'rollback_config', 'labels'])
  return {
    ...modeOf(place),
    ...(!isOpen(service.raw.scale) && { replicas: service.raw.scale }),
    ...(!isOpen(place.raw.replicas) && { replicas: place.raw.replicas }),
    ...resourcesOf(service, objectAt(place, 'resources')),
    target_node: selectorOf(objectAt(place, 'placement')),
    ...(!isOpen(place.raw.update_config) && { update: updateOf(objectAt(place, 'update_config')) }),
    restart: isOpen(place.raw.restart_policy) ? restartOf(service) : restartPolicyOf(objectAt(place, 'restart_policy')),
  }
}

const MODES: Readonly<Record<string, string>> = { replicated: 'service', global: 'daemon', 'replicated-job': 'job' }

function modeOf(place: Place): Fields {
  const { mode } = place.raw
  if (isOpen(mode)) return {}
  const kind = typeof mode === 'string' ? MODES[mode] : undefined
  if (kind === undefined)
    refuse(place.report, fieldOf(place, 'mode'), `${show(mode)} is no mode`, Object.keys(MODES).join(', '))
  return { kind }
}

/** Compose's limit and reservation are one thing here: what is promised to an instance is what it may use. */
function resourcesOf(service: Place, place: Place): Fields {
  warnUnsupported(place, ['limits', 'reservations'])
  const limits = objectAt(place, 'limits')
  const reserved = objectAt(place, 'reservations')
  warnUnsupported(limits, ['cpus', 'memory', 'pids'])
  warnUnsupported(reserved, ['cpus', 'memory', 'devices'], ['generic_resources'])
  const memory = readMegabytes(limits, 'memory') ?? readMegabytes(service, 'mem_limit')
  const memoryKept = readMegabytes(reserved, 'memory') ?? readMegabytes(service, 'mem_reservation')
  const cpus = readCpus(limits, 'cpus') ?? readCpus(service, 'cpus')
  const cpusKept = readCpus(reserved, 'cpus')
  if (memory === null && memoryKept !== null) warnLimit(reserved, 'memory')
  if (cpus === null && cpusKept !== null) warnLimit(reserved, 'cpus')
  return {
    memory: memory ?? memoryKept ?? 0,
    vcpus: cpus ?? cpusKept ?? 0,
    vgpus: gpusOf(reserved),
    pids_limit: isOpen(limits.raw.pids) ? pidsOf(service) : limits.raw.pids,
  }
}

const warnLimit = (place: Place, key: string): void =>
  warn(place.report, fieldOf(place, key), 'is what it may use, too: there is no reservation without a limit')

const readCpus = (place: Place, key: string): number | null =>
  isOpen(place.raw[key]) ? null : readNumber(place, key, { fallback: 0, min: 0, max: 1e5, whole: false, unit: 'cores' })

/** Compose writes -1 for no limit. */
const pidsOf = ({ raw }: Place): unknown => (textOf(raw.pids_limit) === '-1' ? null : raw.pids_limit)

function gpusOf(place: Place): number {
  return itemsAt(place, 'devices').reduce((sum, { path, raw }) => {
    const capabilities = isObject(raw) && Array.isArray(raw.capabilities) ? raw.capabilities : []
    if (!isObject(raw) || !capabilities.includes('gpu')) {
      warn(place.report, path, `${show(raw)} asks for no gpu and has no effect`)
      return sum
    }
    warnUnsupported({ ...place, path, raw }, ['capabilities', 'count', 'device_ids', 'driver'], ['options'])
    if (Array.isArray(raw.device_ids)) {
      warn(place.report, `${path}.device_ids`, 'has no effect: as many gpus are given, not these')
      return sum + raw.device_ids.length
    }
    const count = Number(textOf(raw.count ?? 'all') || 'all')
    if (Number.isInteger(count) && count > 0) return sum + count
    warn(place.report, path, 'is read as one gpu: a device promises gpus one by one')
    return sum + 1
  }, 0)
}

const CONSTRAINT = /^\s*node\.(id|hostname|labels\.([A-Za-z0-9._/-]+))\s*(==|!=)\s*([A-Za-z0-9._*/:-]+)\s*$/

/** `node.labels.zone==eu` and the like, as one selector. */
function selectorOf(place: Place): string {
  warnUnsupported(place, ['constraints'], ['preferences', 'max_replicas_per_node'])
  const terms = itemsAt(place, 'constraints').flatMap(({ path, raw }) => {
    const match = CONSTRAINT.exec(textOf(raw))
    if (match !== null) {
      const [, , label, operator, value = ''] = match
      return [`${operator === '!=' ? '!' : ''}${label === undefined ? value : `${label}=${value}`}`]
    }
    if (/^\s*(?:node\.role|node\.platform\.|engine\.labels\.)/.test(textOf(raw))) {
      warn(place.report, path, `${show(raw)} is not supported and has no effect: devices have labels and names`)
    } else {
      const expected = '"node.labels.NAME==VALUE", "node.hostname!=NAME" or "node.id==ID"'
      refuse(place.report, path, `${show(raw)} is no constraint`, expected)
    }
    return []
  })
  return terms.join(' ')
}

const UPDATE = ['parallelism', 'delay', 'monitor', 'order', 'failure_action']
const ALL_AT_ONCE = 10_000

function updateOf(place: Place): Fields {
  warnUnsupported(place, UPDATE, ['max_failure_ratio'])
  const { parallelism, delay, monitor, order, failure_action: onFailure } = place.raw
  return {
    parallel: textOf(parallelism) === '0' ? ALL_AT_ONCE : parallelism,
    delay,
    monitor,
    order,
    on_failure: onFailure,
  }
}

const CONDITIONS: Readonly<Record<string, string>> = { none: 'never', 'on-failure': 'on-failure', any: 'always' }

function restartPolicyOf(place: Place): Fields {
  warnUnsupported(place, ['condition', 'delay'], ['max_attempts', 'window'])
  const { condition, delay } = place.raw
  const policy = isOpen(condition) ? 'always' : typeof condition === 'string' ? CONDITIONS[condition] : undefined
  if (policy === undefined) {
    const expected = Object.keys(CONDITIONS).join(', ')
    refuse(place.report, fieldOf(place, 'condition'), `${show(condition)} is no condition`, expected)
  }
  return { policy, delay }
}

/** Where nothing is said a service is kept running, as Swarm does. */
function restartOf(service: Place): unknown {
  const raw = service.raw.restart
  // YAML 1.1 reads a bare `no` as false.
  if (raw === false) return 'never'
  if (typeof raw !== 'string') return raw
  const [policy = '', attempts] = raw.split(':')
  if (attempts !== undefined) warn(service.report, fieldOf(service, 'restart'), 'the number of attempts has no effect')
  return policy
}

// What a descriptor says of an instance's life: when it is started again, when it counts as healthy, how a new version
// takes over, and what holds while its device cannot be reached.

import { STOP_AFTER_MS_MIN } from './constants.ts'
import {
  amount,
  choice,
  duration,
  type Field,
  type FieldTable,
  flag,
  honoured,
  objectSchema,
  orOpen,
  readKey,
  words,
} from './descriptor-field.ts'
import { command, type Port } from './descriptor-fields.ts'
import { checkKeys } from './descriptor-keys.ts'
import { fieldOf, isObject, isOpen, isSet, type Place, refuse, show, warn } from './descriptor-report.ts'
import { type ServiceSpec, SPEC_DEFAULTS } from './spec.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** The first delay between restarts is Docker's own; the longest a guess: a missing database is not hammered. */
export const RESTART_DELAY_MS = 100
export const RESTART_DELAY_MS_MAX = 60_000

type Policy = ServiceSpec['restart']['policy']
const POLICIES = ['always', 'on-failure', 'never'] as const
const POLICY_ALIASES = { 'unless-stopped': 'always', no: 'never' } as const

export const RESTART_KEYS = {
  policy: choice<Policy | 'open'>('When it is started again.', POLICIES, 'open', POLICY_ALIASES),
  delay: duration('Before the first restart; doubles.', { fallbackMs: RESTART_DELAY_MS, minMs: 0, maxMs: HOUR_MS }),
  delay_max: duration('The longest delay.', { fallbackMs: RESTART_DELAY_MS_MAX, minMs: 0, maxMs: HOUR_MS }),
}

/** `"always"`, `"on-failure"`, `"never"`, or `{policy, delay, delay_max}`; `open` where no policy is named. */
export const restart = (about: string): Field<ServiceSpec['restart'] & { readonly isOpen: boolean }> =>
  honoured(about, { anyOf: [RESTART_KEYS.policy.schema, objectSchema(RESTART_KEYS)] }, (place, key) => {
    const raw = place.raw[key]
    const isShort = !isObject(raw)
    const inner = isShort ? place : innerOf(place, key, 'restart', RESTART_KEYS)
    const policy = isShort ? RESTART_KEYS.policy.read(place, key) : readKey(inner, RESTART_KEYS, 'policy')
    const times: Place = isShort ? { ...place, raw: {} } : inner
    return {
      isOpen: policy === 'open',
      policy: policy === 'open' ? 'always' : policy,
      delayMs: readKey(times, RESTART_KEYS, 'delay'),
      delayMsMax: readKey(times, RESTART_KEYS, 'delay_max'),
    }
  })

/** Docker's defaults are 30 s, 30 s, 3; an edge service is expected to answer sooner. Guesses. */
export const HEALTH_INTERVAL_MS = 10_000
export const HEALTH_TIMEOUT_MS = 3_000
export const HEALTH_RETRIES = 3

const HEALTH_KINDS = ['http', 'tcp', 'command'] as const
const kindOfCheck = (about: string): Field<(typeof HEALTH_KINDS)[number] | 'open'> =>
  choice<(typeof HEALTH_KINDS)[number] | 'open'>(about, HEALTH_KINDS, 'open', { cmd: 'command', exec: 'command' })

export const HEALTHCHECK_KEYS = {
  kind: kindOfCheck('How it is asked: http (any answer from 200 to 399), tcp (it accepts), command (exits with 0).'),
  type: kindOfCheck('Another word for kind.'),
  port: amount('The port that is asked; 0 for the first tcp port of the service.', {
    fallback: 0,
    min: 0,
    max: 65_535,
    whole: true,
    unit: '',
  }),
  path: words('What an http check asks for.', 1_024),
  command: command('What runs inside the instance.'),
  interval: duration('Between two checks.', { fallbackMs: HEALTH_INTERVAL_MS, minMs: 100, maxMs: HOUR_MS }),
  timeout: duration('Until a check has failed.', { fallbackMs: HEALTH_TIMEOUT_MS, minMs: 100, maxMs: 600_000 }),
  retries: amount('Failures in a row before it is unhealthy.', {
    fallback: HEALTH_RETRIES,
    min: 1,
    max: 100,
    whole: true,
    unit: '',
  }),
  start_period: duration('Failures that early do not count.', { fallbackMs: 0, minMs: 0, maxMs: HOUR_MS }),
}

/** What is asked of a running instance; whose port and what else must fit the service is checked by `checkHealth`. */
export const healthcheck = (about: string): Field<Place | null> =>
  honoured(about, { anyOf: [objectSchema(HEALTHCHECK_KEYS), { enum: [null, '', false] }] }, (place, key) => {
    const raw = place.raw[key]
    if (isOpen(raw) || raw === false) return null
    const expected = '{"kind": "http", "port": 80, "path": "/"}'
    if (isObject(raw)) return innerOf(place, key, 'healthcheck', HEALTHCHECK_KEYS)
    refuse(place.report, fieldOf(place, key), `${show(raw)} is no health check`, expected)
    return null
  })

/** Without a port, the first declared TCP port. */
export function checkHealth(inner: Place, ports: readonly Port[]): ServiceSpec['healthcheck'] {
  const { report, path: field, raw } = inner
  const named = [readKey(inner, HEALTHCHECK_KEYS, 'kind'), readKey(inner, HEALTHCHECK_KEYS, 'type')]
  const implied = isSet(raw.command) ? 'command' : isOpen(raw.path) ? 'tcp' : 'http'
  const kind = named.find((one) => one !== 'open') ?? implied
  const words = readKey(inner, HEALTHCHECK_KEYS, 'command')
  if (kind === 'command' && words.length === 0)
    refuse(report, `${field}.command`, 'is missing', 'what to run, e.g. ["pg_isready"]')
  for (const [key, only] of [
    ['path', 'http'],
    ['command', 'command'],
  ] as const)
    if (kind !== only && isSet(raw[key])) warn(report, `${field}.${key}`, `has no effect on a ${kind} check`)
  return {
    kind,
    port: kind === 'command' ? 0 : checkedPort(inner, ports),
    path: readKey(inner, HEALTHCHECK_KEYS, 'path') || '/',
    command: kind === 'command' ? words : [],
    intervalMs: readKey(inner, HEALTHCHECK_KEYS, 'interval'),
    timeoutMs: readKey(inner, HEALTHCHECK_KEYS, 'timeout'),
    retries: readKey(inner, HEALTHCHECK_KEYS, 'retries'),
    startPeriodMs: readKey(inner, HEALTHCHECK_KEYS, 'start_period'),
  }
}

function checkedPort(inner: Place, ports: readonly Port[]): number {
  const asked = readKey(inner, HEALTHCHECK_KEYS, 'port')
  const tcp = ports.filter(({ protocol }) => protocol === 'tcp')
  const [first] = tcp
  if (first === undefined) {
    refuse(inner.report, inner.path, 'the service declares no tcp port to check', 'a "port" of the service')
    return asked || 80
  }
  if (asked === 0) return first.declared
  if (tcp.some(({ declared, internal }) => asked === declared || asked === internal)) return asked
  const expected = `one of its ports, e.g. ${first.declared}`
  refuse(inner.report, `${inner.path}.port`, `${asked} is no tcp port of the service`, expected)
  return first.declared
}

export const UPDATE_KEYS = {
  parallel: amount('Instances replaced at the same time.', {
    fallback: SPEC_DEFAULTS.update.parallel,
    min: 1,
    max: 10_000,
    whole: true,
    unit: '',
  }),
  order: choice<ServiceSpec['update']['order']>(
    'Whether the new instance runs before the old one ends.',
    ['start-first', 'stop-first'],
    SPEC_DEFAULTS.update.order,
    { start_first: 'start-first', stop_first: 'stop-first' },
  ),
  delay: duration('Pause between two steps.', {
    fallbackMs: SPEC_DEFAULTS.update.delayMs,
    minMs: 0,
    maxMs: HOUR_MS,
  }),
  monitor: duration('How long a new instance must run, and be healthy, before it counts as good.', {
    fallbackMs: SPEC_DEFAULTS.update.monitorMs,
    minMs: 0,
    maxMs: HOUR_MS,
  }),
  on_failure: choice<ServiceSpec['update']['onFailure']>(
    'What follows when a new instance fails while it is watched.',
    ['rollback', 'pause', 'continue'],
    SPEC_DEFAULTS.update.onFailure,
  ),
}

export const update = (about: string): Field<ServiceSpec['update']> =>
  honoured(about, orOpen(objectSchema(UPDATE_KEYS)), (place, key) => {
    const inner = innerOf(place, key, 'update', UPDATE_KEYS)
    return {
      parallel: readKey(inner, UPDATE_KEYS, 'parallel'),
      order: readKey(inner, UPDATE_KEYS, 'order'),
      delayMs: readKey(inner, UPDATE_KEYS, 'delay'),
      monitorMs: readKey(inner, UPDATE_KEYS, 'monitor'),
      onFailure: readKey(inner, UPDATE_KEYS, 'on_failure'),
    }
  })

export const DISCONNECT_KEYS = {
  lost_after: duration('How long the device must be gone before its instances count as lost.', {
    fallbackMs: SPEC_DEFAULTS.disconnect.lostAfterMs,
    minMs: 0,
    maxMs: DAY_MS,
  }),
  replace: {
    ...flag('Whether a lost instance is replaced at all.'),
    read: (place: Place, key: string): boolean => isOpen(place.raw[key]) || flag('').read(place, key),
  },
  reconcile: choice<ServiceSpec['disconnect']['reconcile']>(
    'Which of the two stays when the device returns.',
    ['keep_original', 'keep_replacement', 'longest_running', 'best_score'],
    SPEC_DEFAULTS.disconnect.reconcile,
  ),
  stop_after: duration('After how long without a leader in reach the device itself ends the instance.', {
    fallbackMs: SPEC_DEFAULTS.disconnect.stopAfterMs,
    minMs: STOP_AFTER_MS_MIN,
    maxMs: DAY_MS,
  }),
}

export const disconnect = (about: string): Field<ServiceSpec['disconnect']> =>
  honoured(about, orOpen(objectSchema(DISCONNECT_KEYS)), (place, key) => {
    const inner = innerOf(place, key, 'disconnect', DISCONNECT_KEYS)
    const read = {
      lostAfterMs: readKey(inner, DISCONNECT_KEYS, 'lost_after'),
      replace: readKey(inner, DISCONNECT_KEYS, 'replace'),
      reconcile: readKey(inner, DISCONNECT_KEYS, 'reconcile'),
      stopAfterMs: readKey(inner, DISCONNECT_KEYS, 'stop_after'),
    }
    if (read.lostAfterMs !== null && read.stopAfterMs !== null && read.lostAfterMs < read.stopAfterMs) {
      const problem = 'is shorter than stop_after: the instance may be replaced while a device that is cut off runs it'
      warn(place.report, fieldOf(inner, 'lost_after'), problem)
    }
    return read
  })

/** The object under a key, its keys checked; an empty one where nothing or nonsense stands. */
function innerOf(place: Place, key: string, table: string, keys: FieldTable): Place {
  const raw = place.raw[key]
  const path = fieldOf(place, key)
  if (!isOpen(raw) && !isObject(raw))
    refuse(place.report, path, `${show(raw)} is no object`, `an object with ${Object.keys(keys).join(', ')}`)
  const inner: Place = { report: place.report, path, raw: isObject(raw) ? raw : {} }
  checkKeys(inner, table, keys)
  return inner
}

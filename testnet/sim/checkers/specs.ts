// A spec that was accepted does not disappear: once it is synced on a disk that still exists, whoever holds its
// domain's records in the end knows that version or a later one.

import type { CoreMessage } from '../../../node/core/effects.ts'
import type { Opened } from '../../../overlay/wire/envelope.ts'
import type { SealedRecord, SpecRecord } from '../../../services-registry/record.ts'
import { compareRecords, isTombstone } from '../../../services-registry/version.ts'
import { BrokenRule, type DeviceView, type SafetyChecker } from './checker.ts'

interface Accepted {
  readonly record: SealedRecord<SpecRecord>
  readonly on: Set<DeviceView>
}

export interface Specs extends SafetyChecker {
  accepted(): number
}

export function checkSpecs(open: (bytes: Uint8Array) => Opened<CoreMessage> | null): Specs {
  const accepted = new Map<string, Accepted>()
  return {
    accepted: () => accepted.size,
    onDurable: (device, key, value) => {
      if (value === null || !key.startsWith('store/')) return
      const opened = open(value)
      if (opened?.message.kind !== 'record/spec') return
      const record = opened as SealedRecord<SpecRecord>
      const { domain, service, clock } = record.message
      const name = `${domain} ${service} ${clock.wall}.${clock.counter} by ${record.from}`
      const known = accepted.get(name) ?? { record, on: new Set() }
      known.on.add(device)
      accepted.set(name, known)
    },
    onForgot: (device, what) => {
      if (what === 'everything') for (const { on } of accepted.values()) on.delete(device)
    },
    onEnd: (devices) => {
      for (const last of lastOf([...accepted.values()].filter(isStillThere))) {
        for (const device of devices) checkHeld(device, last)
      }
    },
  }
}

const isStillThere = ({ on }: Accepted): boolean => [...on].some((device) => !device.isLost)

/** Of each service the latest version. */
function lastOf(all: readonly Accepted[]): Iterable<SealedRecord<SpecRecord>> {
  const last = new Map<string, SealedRecord<SpecRecord>>()
  for (const { record } of all) {
    const name = `${record.message.domain} ${record.message.service}`
    const known = last.get(name)
    if (known === undefined || compareRecords(record, known) > 0) last.set(name, record)
  }
  return last.values()
}

function checkHeld(device: DeviceView, record: SealedRecord<SpecRecord>): void {
  const { domain, service } = record.message
  const store = device.core?.view.stores().find((one) => one.domain === domain)
  if (store === undefined) return
  const held = store.spec(service)
  // Of two deletions one is as good as the other, and who never held the service need not hear of any.
  const isGone = isTombstone(record) && (held === null || isTombstone(held))
  if (isGone || (held !== null && compareRecords(held, record) >= 0)) return
  const wanted = `${service} of ${record.message.clock.wall} by ${record.from}`
  throw new BrokenRule('specs-kept', `${device.node} lacks ${wanted} in ${domain}`)
}

// A spec that was accepted does not disappear: once it is synced on a disk that still exists, whoever holds its domain's records in
// the end knows that version or a later one.

import type { DomainPath } from '../../../overlay/kernel/ids.ts'
import { ROOT } from '../../../overlay/kernel/ids.ts'
import type { SealedRecord, SpecRecord } from '../../../services-registry/record.ts'
import { compareRecords } from '../../../services-registry/version.ts'
import type { CoreMessage } from '../../../node/core/effects.ts'
import type { Opened } from '../../../overlay/wire/envelope.ts'
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
    onEnd: (devices) => {
      for (const { record, on } of accepted.values()) {
        if ([...on].every((device) => device.isLost)) continue
        const { domain, service } = record.message
        for (const device of devices) checkHeld(device, domain ?? ROOT, service, record)
      }
    },
  }
}

function checkHeld(device: DeviceView, domain: DomainPath, service: string, record: SealedRecord<SpecRecord>): void {
  const store = device.core?.view.stores().find((one) => one.domain === domain)
  if (store === undefined) return
  const held = store.spec(record.message.service)
  if (held !== null && compareRecords(held, record) >= 0) return
  throw new BrokenRule('specs-kept', `${device.node} lacks the accepted version of ${service} in ${domain}`)
}

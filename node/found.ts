// What a node knows of a service whose records it does not hold: it asked those who do, and looks into their answer as
// if it were a store. Only the question is slower, so every device answers the same to the same command.

import type { DomainPath, ServiceId } from '../overlay/kernel/ids.ts'
import {
  isInstance,
  isPlacement,
  isRollout,
  isSpec,
  type SealedRecord,
  type StoreView,
} from '../services-registry/index.ts'
import { recordKey } from '../services-registry/record.ts'
import type { CoreView } from './core/core-view.ts'

/** The core's view together with what others know of a service; what this node holds itself comes first. */
export function withFound(core: CoreView, records: readonly SealedRecord[]): CoreView {
  const held = core.stores()
  const found = records.filter(({ message }) => !held.some((store) => store.domain === message.domain))
  const domains = [...new Set(found.map(({ message }) => message.domain))]
  const stores = [...held, ...domains.map((domain) => foundStore(domain, found))]
  return { ...core, stores: () => stores }
}

/** What was found of one domain, to be looked into like a store. */
function foundStore(domain: DomainPath, found: readonly SealedRecord[]): StoreView {
  const records = found.filter(({ message }) => message.domain === domain)
  const of = <R extends SealedRecord>(all: readonly R[], service: ServiceId): readonly R[] =>
    all.filter(({ message }) => message.service === service)
  const specs = records.filter(isSpec)
  const placements = records.filter(isPlacement)
  const rollouts = records.filter(isRollout)
  const instances = records.filter(isInstance)
  return {
    domain,
    get: (key) => records.find((record) => recordKey(record.message, record.from) === key) ?? null,
    spec: (service) => of(specs, service)[0] ?? null,
    specs: () => specs,
    rollout: (service) => of(rollouts, service)[0] ?? null,
    placements: (service) => of(placements, service),
    placement: (service, number) => of(placements, service).find(({ message }) => message.number === number) ?? null,
    instances: (service) => of(instances, service),
    allInstances: () => instances,
    instancesOf: (service, number) => of(instances, service).filter(({ message }) => message.number === number),
    placedOn: (child) => placements.filter(({ message }) => message.child === child || message.previous === child),
  }
}

// What this node knows by name, for its operator that wants to make two federations one: services, devices, clusters,
// secrets, the policy. The side that is asked looks services up in its tree, so it need not hold their records.

import { createHash } from 'node:crypto'
import { type Named, takenNames } from '../../bootstrap/index.ts'
import { type DomainPath, ROOT, type ServiceId } from '../../overlay/kernel/ids.ts'
import { isServiceId } from '../../services-registry/authority.ts'
import { type Clock, isSpec, type SpecRecord } from '../../services-registry/index.ts'
import type { SecretView } from '../control.ts'
import type { CoreView } from '../core/core-view.ts'
import type { Lookups } from '../lookups.ts'
import type { HeldPolicy } from '../policy-keeper.ts'
import { nameOf } from '../view.ts'

export interface NameSources {
  readonly view: CoreView
  readonly federation: string
  readonly secrets: () => readonly SecretView[]
  readonly policy: () => HeldPolicy
}

const markOf = ({ wall, counter }: Clock): string => `${wall}.${counter}`
const serviceNamed = ({ service, clock }: SpecRecord): Named => ({ of: 'service', name: service, mark: markOf(clock) })
const policyMark = (statement: string): string => createHash('sha256').update(statement).digest('hex').slice(0, 32)

/** Clusters that this node knows of: its own, and whoever has a leader and nothing below it. */
export function clustersOf(view: CoreView): readonly DomainPath[] {
  const domains = [...new Set([view.self.domain, ...view.leaders().domains()])].filter((domain) => domain !== ROOT)
  return domains.filter((domain) => !domains.some((other) => other.startsWith(`${domain}/`)))
}

/** What this node itself knows by name. */
export function namesHere({ view, federation, secrets, policy }: NameSources): readonly Named[] {
  const specs = view
    .stores()
    .flatMap((store) => [...store.specs()].flatMap(({ message }) => (message.spec === null ? [] : [message])))
  const waiting = view
    .unaccepted()
    .filter(isSpec)
    .map(({ message }) => message)
  const { file, statement } = policy()
  return [
    ...[...specs, ...waiting].map(serviceNamed),
    ...[...view.roster().keys()].map((node): Named => ({ of: 'device', name: nameOf(view, node) ?? node, mark: node })),
    ...clustersOf(view).map((name): Named => ({ of: 'cluster', name, mark: federation })),
    ...secrets().map(({ name, at }): Named => ({ of: 'secret', name, mark: at })),
    ...(statement === null ? [] : [{ of: 'policy', name: 'policy', mark: policyMark(JSON.stringify(file)) } as const]),
  ]
}

/** Of the names asked about, those that mean something else in this federation. */
export async function takenHere(
  asked: readonly Named[],
  sources: NameSources,
  lookUp: Lookups['lookUp'],
  signal: AbortSignal,
): Promise<readonly Named[]> {
  const services = asked.filter(({ of, name }) => of === 'service' && isServiceId(name))
  const found = await Promise.all(
    services.map(async ({ name }) => {
      const { records } = await lookUp(name as ServiceId, signal, true)
      return (records ?? []).filter(isSpec).filter(({ message }) => message.spec !== null)
    }),
  )
  return takenNames(asked, [...namesHere(sources), ...found.flat().map(({ message }) => serviceNamed(message))])
}

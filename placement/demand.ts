// What a service asks of a place: all that the rules and the schedulers of ours look at, and nothing else. So two
// services that ask for the same may go by the same judgement of a child.

import type { ServiceSpec } from './spec.ts'

/** The type and the key are made from this list, so neither can forget a field that the other has. */
const DEMAND_FIELDS = [
  'runtime',
  'privileged',
  'constraints',
  'vcpus',
  'memoryMb',
  'vgpus',
  'vtpus',
  'storageMb',
  'bandwidthInMbit',
  'bandwidthOutMbit',
] as const satisfies readonly (keyof ServiceSpec)[]

export type Demand = Pick<ServiceSpec, (typeof DEMAND_FIELDS)[number]>

/** The same for all that ask for the same. */
export const demandKey = (demand: Demand): string => JSON.stringify(DEMAND_FIELDS.map((field) => demand[field]))

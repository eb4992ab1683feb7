// Sealed records as a test wants them: what is not said is that of one running instance on one node.

import type { NodeId, ServiceId } from '../overlay/kernel/ids.ts'
import { encodeSpec, parseDescriptor, type ServiceSpec } from '../placement/index.ts'
import type { InstanceRecord, PlacementRecord, SealedRecord, SpecRecord } from '../services-registry/index.ts'
import { factsOf, trustingSealer } from './core/world.test-kit.ts'

export const SERVICE = 'shop.demo.hello.web' as ServiceId
const CLOCK = { wall: 1, counter: 0 }
const FENCE = { epoch: 1, term: 1 }

const seal = (name: string, domain: string, message: SealedRecord['message']): SealedRecord => {
  const facts = factsOf(name, domain)
  return trustingSealer(facts, [facts]).seal(message) as SealedRecord
}

/** What the node `name` of a cluster says of one instance. */
export const instance = (name: string, domain: string, fields: Partial<InstanceRecord> = {}): SealedRecord =>
  seal(name, domain, {
    kind: 'record/instance',
    domain: domain as InstanceRecord['domain'],
    service: SERVICE,
    number: 0,
    state: 'running',
    incarnation: 1,
    sequence: 1,
    endpoint: { host: '127.0.0.1', ports: [{ declared: 8080, actual: 40_000, protocol: 'tcp' }] },
    since: 1_000,
    restarts: 0,
    reason: '',
    fence: FENCE,
    specClock: CLOCK,
    live: true,
    ...fields,
  })

/** An order of a domain's leader for one of its children. */
export const placement = (domain: string, child: string | null, fields: Partial<PlacementRecord> = {}): SealedRecord =>
  seal('leader', domain, {
    kind: 'record/placement',
    domain: domain as PlacementRecord['domain'],
    service: SERVICE,
    number: 0,
    child: child as PlacementRecord['child'],
    fence: FENCE,
    sequence: 1,
    specClock: CLOCK,
    reason: 'it fits',
    ...fields,
  })

export function specWith(replicas: number): ServiceSpec {
  const service = {
    microservice_name: 'hello',
    microservice_namespace: 'web',
    virtualization: 'process',
    cmd: ['true'],
    memory: 64,
    vcpus: 0.1,
    port: '8080',
    replicas,
  }
  const applications = [{ application_name: 'shop', application_namespace: 'demo', microservices: [service] }]
  const [spec] = parseDescriptor(JSON.stringify({ sla_version: 'v2.0', customerID: 'x', applications })).services
  if (spec === undefined) throw new Error('the descriptor of the tests is not valid')
  return spec
}

export const specRecord = (
  domain: string,
  replicas: number | null,
  fields: Partial<ServiceSpec> = {},
): SealedRecord<SpecRecord> =>
  seal('submitter', domain, {
    kind: 'record/spec',
    domain: domain as SpecRecord['domain'],
    service: SERVICE,
    clock: CLOCK,
    spec: replicas === null ? null : encodeSpec({ ...specWith(replicas), ...fields }),
  }) as SealedRecord<SpecRecord>

export const idOf = (name: string): NodeId => factsOf(name, '/').node

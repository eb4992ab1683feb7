// For the tests of this folder only: nodes that sign with a toy signature, and short ways to make records. The
// envelopes are the real ones, encoded and opened by the code that ships.

import {
  type DomainPath,
  type FederationId,
  type NodeId,
  nodeId,
  type OperatorId,
  type ServiceId,
  serviceId,
} from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import { seededRandom } from '../overlay/kernel/random.ts'
import { err, ok } from '../overlay/kernel/result.ts'
import { createCodec } from '../overlay/wire/codec.ts'
import { createSealer, type Sealer, type SignerFacts, type Verifier } from '../overlay/wire/envelope.ts'
import { hashBytes, hashText, packHashes } from './digest.ts'
import type { LeaderBook } from './leaders.ts'
import { type RegistryMessage, recordSchemas, registrySchemas } from './messages.ts'
import type { InstanceRecord, PlacementRecord, PlainRecord, RolloutRecord, SealedRecord, SpecRecord } from './record.ts'

export type TestMessage = RegistryMessage | PlainRecord

export const ROOT_DOMAIN = '/' as DomainPath
export const BERLIN = '/berlin' as DomainPath
export const MUNICH = '/munich' as DomainPath
export const WEB = serviceId('shop.prod.web.prod')
export const START_WALL = 1_790_000_000_000

export interface TestNode {
  readonly facts: SignerFacts
  readonly sealer: Sealer<TestMessage>
}

const codec = createCodec<TestMessage>({ ...registrySchemas, ...recordSchemas })

/** A federation in which a signature is a hash that only tests would take for one. */
export function createFederation() {
  const known = new Map<string, SignerFacts>()
  const signature = (node: NodeId, payload: Uint8Array): Uint8Array =>
    packHashes([hashText(`secret of ${node}`), hashBytes(payload)])
  const verifier: Verifier = {
    verify: (from, credentialHash, payload, signed) => {
      const facts = known.get(credentialHash.join())
      if (facts === undefined || facts.node !== from) return err('unknown-credential')
      return signature(from, payload).join() === signed.join() ? ok(facts) : err('bad-signature')
    },
  }
  return {
    addNode: (name: string, domain: DomainPath, facts: Partial<SignerFacts> = {}): TestNode => {
      const full: SignerFacts = {
        node: nodeId(name),
        operator: 'operator-a' as OperatorId,
        domain,
        capabilities: ['work', 'lead', 'deploy:*'],
        labels: {},
        expiresAt: START_WALL * 2,
        ...facts,
      }
      const credentialHash = new Uint8Array(32)
      credentialHash.set(packHashes([hashText(JSON.stringify(full))]))
      known.set(credentialHash.join(), full)
      const signer = { facts: full, credentialHash, sign: (payload: Uint8Array) => signature(full.node, payload) }
      return { facts: full, sealer: createSealer(codec, 'f0' as FederationId, signer, verifier) }
    },
  }
}

export function sealRecord<R extends PlainRecord>(node: TestNode, record: R): SealedRecord<R> {
  const opened = node.sealer.seal(record) as SealedRecord<R>
  return { ...opened, bytes: Uint8Array.from(opened.bytes) }
}

export const specRecord = (wall: number, change: Partial<SpecRecord> = {}): SpecRecord => ({
  kind: 'record/spec',
  domain: ROOT_DOMAIN,
  service: WEB,
  clock: { wall, counter: 0 },
  spec: new Uint8Array([1]),
  ...change,
})

export const placementRecord = (term: number, change: Partial<PlacementRecord> = {}): PlacementRecord => ({
  kind: 'record/placement',
  domain: ROOT_DOMAIN,
  service: WEB,
  number: 0,
  child: BERLIN,
  fence: { epoch: 1, term },
  sequence: 1,
  specClock: { wall: START_WALL, counter: 0 },
  reason: '',
  ...change,
})

export const rolloutRecord = (term: number, change: Partial<RolloutRecord> = {}): RolloutRecord => ({
  kind: 'record/rollout',
  domain: ROOT_DOMAIN,
  service: WEB,
  version: { wall: START_WALL, counter: 0 },
  state: 'rolling',
  reason: '',
  fence: { epoch: 1, term },
  sequence: 1,
  ...change,
})

export const instanceRecord = (sequence: number, change: Partial<InstanceRecord> = {}): InstanceRecord => ({
  kind: 'record/instance',
  domain: BERLIN,
  service: WEB,
  number: 0,
  state: 'running',
  incarnation: 1,
  sequence,
  endpoint: { host: '127.0.0.1', ports: [{ declared: 80, actual: 8_080, protocol: 'tcp' }] },
  since: START_WALL,
  restarts: 0,
  reason: '',
  fence: { epoch: 1, term: 1 },
  specClock: { wall: START_WALL, counter: 0 },
  live: true,
  ...change,
})

export const serviceNumber = (number: number): ServiceId => serviceId(`shop.prod.web-${number}.prod`)

/** A book that tests write into: who led at which term of epoch 1, in any domain. */
export function createTestLeaders(byTerm: Readonly<Record<number, NodeId>>) {
  const terms = new Map(Object.entries(byTerm).map(([term, node]) => [Number(term), node]))
  const book: LeaderBook = { leaderAt: (_domain, fence) => terms.get(fence.term) ?? null }
  return { book, prove: (term: number, node: NodeId) => terms.set(term, node) }
}

export const contextAt = (now: number, seed = 1): StepContext => ({
  now,
  wall: START_WALL + now,
  random: seededRandom(seed),
})

// Envelopes for tests: real bytes, real codec, and a signature that anybody can compute but nobody forges by
// accident. A node is called after its cluster, as in `berlin-1`; a guest (`berlin-guest`) may work but not lead.

import { type DomainPath, type FederationId, type NodeId, nodeId } from '../overlay/kernel/ids.ts'
import { err, ok } from '../overlay/kernel/result.ts'
import { createCodec } from '../overlay/wire/codec.ts'
import { createSealer, type Opened, type Sealer, type Signer, type SignerFacts } from '../overlay/wire/envelope.ts'
import { type Announcement, type ElectionMessage, electionSchemas, type Vote } from './messages.ts'

const FEDERATION = 'f0'.repeat(32) as FederationId
const CREDENTIAL = new Uint8Array(32)
const codec = createCodec<ElectionMessage>(electionSchemas)

export const clusterOf = (node: NodeId): DomainPath => `/${node.split('-')[0]}` as DomainPath

const factsOf = (node: NodeId): SignerFacts => ({
  node,
  operator: 'operator' as SignerFacts['operator'],
  domain: clusterOf(node),
  capabilities: node.endsWith('-guest') ? ['work'] : ['work', 'lead'],
  labels: {},
  expiresAt: Number.MAX_SAFE_INTEGER,
})

/** FNV-1a over the signer's name and the payload, twice with different offsets. */
function sign(node: NodeId, payload: Uint8Array): Uint8Array {
  let high = 0x811c9dc5
  let low = 0x1234567
  const mix = (byte: number): void => {
    high = Math.imul(high ^ byte, 0x01000193)
    low = Math.imul(low ^ byte, 0x01000193)
  }
  for (let at = 0; at < node.length; at++) mix(node.charCodeAt(at))
  for (const byte of payload) mix(byte)
  const signature = new DataView(new ArrayBuffer(8))
  signature.setInt32(0, high)
  signature.setInt32(4, low)
  return new Uint8Array(signature.buffer)
}

export function sealerOf(node: NodeId): Sealer<ElectionMessage> {
  const signer: Signer = {
    facts: factsOf(node),
    credentialHash: CREDENTIAL,
    sign: (payload) => sign(node, payload),
  }
  return createSealer(codec, FEDERATION, signer, {
    verify: (from, _hash, payload, signature) => {
      const expected = sign(from, payload)
      const isSame = expected.every((byte, at) => byte === signature[at])
      return isSame ? ok(factsOf(from)) : err('bad-signature')
    },
  })
}

export const sealBy = <M extends ElectionMessage>(node: NodeId, message: M): Opened<M> =>
  sealerOf(node).seal(message) as Opened<M>

export const nodes = (cluster: string, count: number): readonly NodeId[] =>
  Array.from({ length: count }, (_, at) => nodeId(`${cluster}-${at + 1}`))

/** A vote in `/berlin`, in term 2 of epoch 7, for `berlin-1`, unless told otherwise. */
export function voteBy(node: NodeId, change: Partial<Vote> = {}): Opened<Vote> {
  return sealBy(node, {
    kind: 'election/vote',
    domain: '/berlin' as DomainPath,
    line: 'line-a',
    epoch: 7,
    term: 2,
    voter: node,
    candidate: nodeId('berlin-1'),
    speaker: null,
    ...change,
  })
}

/** The announcement of `berlin-1` that goes with such votes. */
export function announcementBy(node: NodeId, change: Partial<Announcement> = {}): Opened<Announcement> {
  const electors = change.electors ?? nodes('berlin', 3)
  const { epoch = 7, term = 2, line = 'line-a' } = change
  const votes = electors.map((elector) => voteBy(elector as NodeId, { epoch, term, line, candidate: node }))
  return sealBy(node, {
    kind: 'election/announcement',
    domain: '/berlin' as DomainPath,
    line,
    epoch,
    term,
    leader: node,
    node,
    name: node,
    electors,
    predecessor: null,
    grants: [],
    established: true,
    votes,
    addresses: [],
    sequence: 1,
    fitness: 0.5,
    ...change,
  })
}

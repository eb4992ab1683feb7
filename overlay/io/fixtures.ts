// For tests only: nodes on loopback whose gate is an allow-list of node ids, and a recorder of what the network told
// them.

import { type Duplex, PassThrough } from 'node:stream'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { type DomainPath, type FederationId, type NodeId, nodeId, type OperatorId, serviceId } from '../kernel/ids.ts'
import { err, ok } from '../kernel/result.ts'
import type { NotDirect } from '../not-direct.ts'
import type { SignerFacts } from '../wire/envelope.ts'
import { createNode, type Libp2pNode, type Libp2pOptions } from './create-libp2p.ts'
import { createNetwork, type NetworkOptions } from './libp2p-transport.ts'
import type { Gate, NetworkEvents, NetworkPort, PeerConnected, TunnelHandler, TunnelHeader } from './network.ts'

export const FEDERATION = 'ab'.repeat(32) as FederationId
export const OTHER_FEDERATION = 'cd'.repeat(32) as FederationId
/** No test waits longer for anything that takes less than a second on a free machine. */
export const PATIENCE_MS = 100_000

const text = new TextEncoder()

export const newKey = (): Promise<PrivateKey> => generateKeyPair('Ed25519')
export const idOf = (key: PrivateKey): NodeId => nodeId(peerIdFromPrivateKey(key).toString())

/** libp2p alone, on loopback and not started: without hello, so nobody has to prove membership. */
export const createBareNode = async (parts: Partial<Libp2pOptions> = {}): Promise<Libp2pNode> =>
  await createNode({
    privateKey: await newKey(),
    federation: FEDERATION,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    announce: [],
    clientMode: true,
    ...parts,
  })

export const factsOf = (
  node: NodeId,
  capabilities: readonly string[] = ['work', 'lead'],
  domain = '/berlin' as DomainPath,
): SignerFacts => ({
  node,
  operator: 'uTest' as OperatorId,
  domain,
  capabilities,
  labels: {},
  expiresAt: 4_102_444_800_000,
})

/** Believes the ids on the list; a join is answered with the request in upper case. */
export function allowListGate(self: NodeId, members: ReadonlySet<NodeId>, relays: ReadonlySet<NodeId>): Gate {
  return {
    ownHello: () => text.encode(`member ${self}`),
    piecesFor: () => null,
    takePiece: async () => ok(null),
    checkHello: async (peer, hello) => {
      if (new TextDecoder().decode(hello) !== `member ${peer}`)
        return err({ code: 'stranger', detail: 'garbled hello' })
      if (!members.has(peer)) return err({ code: 'revoked', detail: `${peer} is not on the list` })
      return ok({ facts: factsOf(peer, relays.has(peer) ? ['work', 'relay'] : ['work']), name: peer.slice(-6) })
    },
    serveJoin: async (_peer, request) => text.encode(new TextDecoder().decode(request).toUpperCase()),
    serveRenewal: async (_peer, request) => request,
    credentialByHash: (hash) => (hash[0] === 1 ? text.encode('a credential') : null),
    learnCredential: async (credential) => new TextDecoder().decode(credential) === 'a credential',
    isRevoked: (peer) => !members.has(peer),
  }
}

export interface Heard {
  readonly messages: { readonly text: string; readonly from: NodeId; readonly topic: string | null }[]
  readonly connected: PeerConnected[]
  readonly disconnected: { readonly peer: NodeId; readonly at: number }[]
  readonly roundTrips: number[]
  readonly notices: string[]
  readonly notDirect: NotDirect[]
  /** Resolves as soon as the condition holds; looked at whenever the network says anything, and every 20 ms. */
  until(condition: () => boolean, what: string): Promise<void>
}

export function listenTo(): { readonly heard: Heard; readonly events: NetworkEvents } {
  const waiting = new Set<() => void>()
  const told = (): void => {
    for (const check of waiting) check()
  }
  const heard: Heard = {
    messages: [],
    connected: [],
    disconnected: [],
    roundTrips: [],
    notices: [],
    notDirect: [],
    until: (condition, what) => untilTrue(condition, what, waiting),
  }
  const events: NetworkEvents = {
    onMessage: (bytes, from, topic) => {
      heard.messages.push({ text: new TextDecoder().decode(bytes), from, topic })
      told()
    },
    onConnected: (peer) => {
      heard.connected.push(peer)
      told()
    },
    onDisconnected: (peer) => {
      heard.disconnected.push({ peer, at: performance.now() })
      told()
    },
    onRoundTrip: (_peer, ms) => {
      heard.roundTrips.push(ms)
      told()
    },
    onNotDirect: (_peer, reason) => {
      heard.notDirect.push(reason)
      told()
    },
    onReachChanged: told,
    onNotice: (code) => {
      heard.notices.push(code)
      told()
    },
  }
  return { heard, events }
}

function untilTrue(condition: () => boolean, what: string, waiting: Set<() => void>): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const check = (): void => {
    if (condition()) resolve()
  }
  waiting.add(check)
  const poll = setInterval(check, 20)
  const deadline = setTimeout(() => reject(new Error(`never happened: ${what}`)), PATIENCE_MS)
  check()
  return promise.finally(() => {
    waiting.delete(check)
    clearInterval(poll)
    clearTimeout(deadline)
  })
}

/** Sends back what comes, and ends when the caller ends. */
export const echoTunnels: TunnelHandler = async () => ok(echo())

export const echo = (): Duplex => new PassThrough()

export interface TestNode {
  readonly key: PrivateKey
  readonly network: NetworkPort
  readonly heard: Heard
  readonly gate: Gate
}

export interface Village {
  /** Starts a member. */
  add(options?: Partial<NetworkOptions>): Promise<TestNode>
  /** Starts two, the first of which dials the second; resolves when each hears of the other. */
  pair(first?: Partial<NetworkOptions>, second?: Partial<NetworkOptions>): Promise<readonly [TestNode, TestNode]>
  readonly members: Set<NodeId>
  /** Those whose credential lets them carry connections; whoever is started as a relay is one. */
  readonly relays: Set<NodeId>
  /** Stops all that were started. */
  stop(): Promise<void>
}

/** A federation on loopback whose nodes know each other's ids. */
export function createVillage(): Village {
  const members = new Set<NodeId>()
  const relays = new Set<NodeId>()
  const nodes: TestNode[] = []
  const village: Village = {
    members,
    relays,
    pair: async (first, second) => {
      const [a, b] = [await village.add(first), await village.add(second)]
      a.network.want(wantOf(b))
      await Promise.all([
        a.heard.until(() => a.network.connectedPeers().length === 1, 'the first hears of the second'),
        b.heard.until(() => b.network.connectedPeers().length === 1, 'the second hears of the first'),
      ])
      return [a, b]
    },
    add: async (options = {}) => {
      const key = options.privateKey ?? (await newKey())
      const self = idOf(key)
      members.add(self)
      if (options.relay === true) relays.add(self)
      const { heard, events } = listenTo()
      const gate = options.gate ?? allowListGate(self, members, relays)
      const network = await createNetwork({
        privateKey: key,
        federation: FEDERATION,
        gate,
        events,
        tunnels: echoTunnels,
        listen: ['/ip4/127.0.0.1/tcp/0'],
        linePatienceMs: PATIENCE_MS,
        helloTimeoutMs: PATIENCE_MS,
        ...options,
      })
      const node = { key, network, heard, gate }
      nodes.push(node)
      return node
    },
    stop: async () => {
      await Promise.all(nodes.map(({ network }) => network.stop()))
    },
  }
  return village
}

/** What tunnels of tests ask for. */
export const HEADER: TunnelHeader = {
  kind: 'instance',
  service: serviceId('app.ns.svc.ns'),
  number: 0,
  port: 8080,
  protocol: 'tcp',
  callerNamespace: '',
}

/** A tunnel, which nothing is in the way of. */
export async function openTunnel(from: TestNode, to: TestNode): Promise<Duplex> {
  const tunnel = await from.network.openTunnel(to.network.self, HEADER, AbortSignal.timeout(PATIENCE_MS))
  if (!tunnel.ok) throw new Error(JSON.stringify(tunnel.error))
  return tunnel.value
}

export const wantOf = (...nodes: readonly TestNode[]) =>
  nodes.map(({ network }) => ({ peer: network.self, addresses: network.addresses() }))

export const bytesOf = (value: string): Uint8Array => text.encode(value)

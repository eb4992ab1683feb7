// A NodeControl that answers from a table, so that the socket and the CLI are tested without a federation behind them.

import { once } from 'node:events'
import type { CharterLog } from '../../bootstrap/charter-log.ts'
import type { InviteView } from '../../bootstrap/enrolment.ts'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { err } from '../../overlay/kernel/result.ts'
import { serveExec } from '../../placement/io/exec-serving.ts'
import type { EventView, InspectView, InstanceView, NodeControl, ServiceView, StatusView } from '../control.ts'
import { CoppiceError } from '../errors.ts'

export const NODE = '12D3KooWJfZZRsqoTEYL2aRCTHRGBSEzqfUYDuy4x9Ghn8XJh7kQ'
export const SERVICE = 'shop.default.web.default'
export const EVENT: EventView = {
  at: '2026-11-21T10:00:00.000Z',
  name: 'node-alive',
  level: 'info',
  domain: '/berlin',
  fields: { name: 'größe' },
}

const instance: InstanceView = {
  service: SERVICE,
  number: 0,
  state: 'running',
  node: NODE,
  name: 'berlin-1',
  domain: '/berlin',
  endpoint: '127.0.0.1:9000',
  since: '2026-11-21T10:00:00.000Z',
  restarts: 0,
  reason: 'best fit: 3 of 4 cores free',
}

export const service: ServiceView = {
  id: SERVICE,
  address: `${SERVICE}.0.rr.local`,
  domain: '/',
  accepted: true,
  instances: [instance],
}

export const inspected: InspectView = {
  ...service,
  rollout: null,
  versions: { current: '2026-11-21T10:00:00.000Z', previous: null },
  wanted: 1,
  ready: 1,
  spec: { replicas: 1 },
  placements: [],
}

export const status: StatusView = {
  node: NODE,
  name: 'berlin-1',
  federation: 'f'.repeat(64),
  domain: '/berlin',
  incarnation: 1,
  ready: true,
  waitingFor: [],
  intake: 'open',
  pressure: 0,
  addresses: [`/ip4/127.0.0.1/tcp/4001/p2p/${NODE}`],
  reach: { standing: 'unknown', isRelay: false, relays: [] },
  proxies: { http: '127.0.0.1:8080', socks: null, dns: null },
  domains: [],
  peers: [],
  counters: {},
}

const FEDERATED = { state: 'checked', federation: 'f', name: 'Fields', collisions: [], away: [], devices: [] } as const
const held = { operator: 'op', version: 1, at: '2026-11-22T10:00:00.000Z', policy: { hold: {} }, statement: 'a.b.c' }
const explained = {
  name: 'berlin-1',
  operator: 'other',
  owner: 'op',
  allowed: false,
  rule: 'others',
  reason: 'runs by process; allowed is docker',
}

/** What was asked of the fixture, in order, and the overrides that a test brings. */
export function fixtureControl(overrides: Partial<NodeControl> = {}): NodeControl & { readonly asked: unknown[] } {
  const asked: unknown[] = []
  const noted = <T>(answer: T, ...question: readonly unknown[]): T => {
    asked.push(question)
    return answer
  }
  return {
    asked,
    status: () => status,
    nodes: () => [{ node: NODE, name: 'berlin-1', domain: '/berlin', state: 'alive', incarnation: 1, summary: null }],
    instances: () => [instance],
    deploy: async (descriptor, { domain }) =>
      noted({ services: [service], warnings: [{ field: 'a', problem: 'b' }] }, 'deploy', descriptor, domain),
    services: async (ids) => noted([service], 'services', ids),
    inspect: async (id) => {
      if (id === SERVICE) return inspected
      throw new CoppiceError('no-such-service', `there is no service ${id}`, 'See `coppice ps`.')
    },
    remove: async (id) => noted({ ...service, instances: [] }, 'remove', id),
    rollback: async (id) => noted(service, 'rollback', id),
    scale: async (id, replicas) => noted(service, 'scale', id, replicas),
    migrate: async (id, number, to) => noted({ service: id, moves: [] }, 'migrate', id, number, to),
    intake: async (node, set) => noted({ ...emptied, node }, 'intake', node, set),
    resolve: async (address) => noted(resolved, 'resolve', address),
    registries: () => [{ registry: 'ghcr.io', username: 'shop' }],
    registryLogin: async ({ registry, username, password }) =>
      noted({ registry, username }, 'registryLogin', registry, username, password),
    registryLogout: async (registry) => noted({ registry }, 'registryLogout', registry),
    policy: () => held,
    setPolicy: async (text) => noted(held, 'setPolicy', text),
    explainPolicy: async (id, node) => noted({ ...explained, service: id, node }, 'explainPolicy', id, node),
    audit: async (id) => noted([], 'audit', id),
    stats: async () => [{ service: SERVICE, number: 0, cpuSeconds: 1.5, memoryMb: 40 }],
    usage: async () => [
      {
        ...{ operator: 'other', owner: 'op', instanceSeconds: 60, coreSeconds: 30, gbHours: 0.001 },
        ...{ usedCpuSeconds: 2, usedGbHours: 0.0005, carriedBytes: 1_000 },
      },
    ],
    secrets: () => [{ name: 'db', at: '2026-11-22T10:00:00.000Z' }],
    setSecret: async (name, value) => noted({ name, devices: 2 }, 'setSecret', name, value),
    removeSecret: async (name) => noted({ name, devices: 2 }, 'removeSecret', name),
    invite: async (options) => noted('coppice1:abc', 'invite', options),
    invites: () => [invite],
    takeBackInvite: async (id) => noted({ ...invite, state: 'revoked' }, 'takeBackInvite', id),
    revoke: async (node) => noted({ ...proposal, kind: 'revoke', node, charterHead: 'aa' }, 'revoke', node),
    charterLog: () => charter,
    charterFile: () => 'coppice charter 2\n',
    takeCharter: async (file) => noted({ added: 1, waiting: 0, problems: [] }, 'takeCharter', file),
    admitOperator: async (request) => noted(proposal, 'admitOperator', request),
    removeOperator: async (who, reason) =>
      noted({ ...proposal, kind: 'remove-operator' }, 'removeOperator', who, reason),
    signCharter: async (entry) => noted([proposal], 'signCharter', entry),
    setThreshold: async (threshold) => noted({ ...proposal, kind: 'policy' }, 'setThreshold', threshold),
    rotateOperator: async (isLost) => noted({ ...proposal, kind: 'rotate' }, 'rotateOperator', isLost),
    prepare: async (device) => noted('{}', 'prepare', device),
    federate: async (request) => noted(FEDERATED, 'federate', request),
    signRecovery: async (domain) => noted('eyJ.order', 'signRecovery', domain),
    recover: async (domain, order) => noted({ domain, line: 'ab', epoch: 2, operator: 'op' }, 'recover', domain, order),
    ping: async (node) => noted({ node, name: null, path: 'direct', via: null, rttMs: 1.5 }, 'ping', node),
    events: async function* (signal) {
      yield EVENT
      await once(signal, 'abort')
      asked.push('events ended')
    },
    logs: async (request) => noted(bytes('hello\n', 'world\n'), 'logs', request),
    exec: async (target) =>
      noted(
        serveExec(async () => err('no shell')),
        'exec',
        target,
      ),
    forward: async (request, signal) => {
      signal.addEventListener('abort', () => asked.push('forward ended'))
      return noted({ host: '127.0.0.1', port: 4711 }, 'forward', request)
    },
    metrics: async () => 'coppice_up 1\n',
    ...overrides,
  }
}

const proposal = { entry: 'ab', kind: 'admit-operator', state: 'waiting', signedBy: ['acme'], missing: 1 } as const

const invite: InviteView = {
  id: '0a',
  domain: '/berlin' as DomainPath,
  state: 'open',
  usesLeft: 1,
  expiresAt: 0,
  node: null,
  joined: [],
}

const charter: CharterLog = {
  federation: 'f0',
  name: 'Green Fields',
  head: 'aa',
  threshold: 'majority',
  operators: [],
  entries: [],
  forks: 0,
}

const emptied = { name: null, intake: 'draining', instances: 0, leads: [], elects: [], stuck: [] } as const

const resolved = {
  service: SERVICE,
  policy: 'rr',
  endpoints: [{ number: 0, node: NODE, name: 'berlin-1', path: 'direct', rttMs: 0.4 }],
  virtualAddress: null,
  reason: null,
} as const

export async function* bytes(...pieces: readonly string[]): AsyncIterable<Uint8Array> {
  for (const piece of pieces) yield Buffer.from(piece)
}

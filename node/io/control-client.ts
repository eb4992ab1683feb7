// The other end of the control socket: what the CLI and the demo ask a node. It needs node:http only, so a question is
// answered fast.

import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { dirname } from 'node:path'
import type { ExecRequest, ExecSession } from '../../placement/runtime.ts'
import type {
  AuditView,
  DeployView,
  EventView,
  ExecTarget,
  ForwardRequest,
  InspectView,
  InstanceView,
  IntakeView,
  LogRequest,
  MoveView,
  NodeView,
  PingView,
  PolicyExplanation,
  PolicyView,
  RecoveryView,
  RegistryView,
  ResolveView,
  SecretChange,
  SecretView,
  ServiceView,
  StatsView,
  StatusView,
  UsageView,
} from '../control.ts'
import { CoppiceError, type ErrorView } from '../errors.ts'
import { type MembershipClient, membershipClient } from './control-membership-client.ts'
import { controlSocketPath, ERROR_TRAILER, withShortPath } from './control-socket.ts'
import { openUpgrade } from './control-upgrade.ts'

/**
 * Longer than anything a node does for one answer: a deploy waits for the leader of a domain across a slow link. A
 * guess.
 */
const ANSWER_MS_MAX = 30_000

/**
 * The methods of NodeControl, asked from another process. All reject with CoppiceError; `no-node` when nobody answers.
 */
export interface ControlClient extends MembershipClient {
  status(): Promise<StatusView>
  nodes(): Promise<readonly NodeView[]>
  instances(): Promise<readonly InstanceView[]>
  deploy(descriptor: string, options: { readonly domain: string | null }): Promise<DeployView>
  services(ids: readonly string[]): Promise<readonly ServiceView[]>
  inspect(service: string): Promise<InspectView>
  remove(service: string): Promise<ServiceView>
  scale(service: string, replicas: number): Promise<ServiceView>
  migrate(service: string, number: number | null, to: string | null): Promise<MoveView>
  intake(node: string, set: IntakeView['intake'] | null): Promise<IntakeView>
  rollback(service: string): Promise<ServiceView>
  resolve(address: string): Promise<ResolveView>
  registries(): Promise<readonly RegistryView[]>
  registryLogin(login: RegistryView & { readonly password: string }): Promise<RegistryView>
  registryLogout(registry: string): Promise<{ readonly registry: string }>
  policy(): Promise<PolicyView>
  setPolicy(text: string): Promise<PolicyView>
  explainPolicy(service: string, node: string): Promise<PolicyExplanation>
  stats(): Promise<readonly StatsView[]>
  audit(service: string | null): Promise<readonly AuditView[]>
  usage(): Promise<readonly UsageView[]>
  secrets(): Promise<readonly SecretView[]>
  setSecret(name: string, value: string): Promise<SecretChange>
  removeSecret(name: string): Promise<SecretChange>
  signRecovery(domain: string): Promise<string>
  recover(domain: string, order: string | null): Promise<RecoveryView>
  ping(node: string): Promise<PingView>
  events(signal: AbortSignal): AsyncIterable<EventView>
  logs(request: LogRequest, signal: AbortSignal): AsyncIterable<Uint8Array>
  /** Starts a program in an instance; rejects with what its device has against it. */
  exec(target: ExecTarget, request: ExecRequest, signal: AbortSignal): Promise<ExecSession>
  /** The local port stands until the signal aborts; `ended` settles when it is gone. */
  forward(request: ForwardRequest, signal: AbortSignal): Promise<Forwarded>
  metrics(): Promise<string>
}

export interface Forwarded {
  readonly host: string
  readonly port: number
  readonly ended: Promise<void>
}

type Query = Readonly<Record<string, string | readonly string[] | undefined>>

export function createControlClient(dataDir: string): ControlClient {
  const ask = async <T>(method: string, path: string, body?: unknown): Promise<T> =>
    JSON.parse(await askText(dataDir, method, path, body)) as T
  const service = (id: string) => `/v1/services/${encodeURIComponent(id)}`
  return {
    status: () => ask('GET', '/v1/status'),
    nodes: () => ask('GET', '/v1/nodes'),
    instances: () => ask('GET', '/v1/instances'),
    deploy: (descriptor, { domain }) => ask('POST', '/v1/deploy', { descriptor, domain }),
    services: (ids) => ask('GET', withQuery('/v1/services', { id: ids })),
    inspect: (id) => ask('GET', service(id)),
    remove: (id) => ask('DELETE', service(id)),
    rollback: (id) => ask('POST', `${service(id)}/rollback`),
    scale: (id, replicas) => ask('POST', `${service(id)}/scale`, { replicas }),
    migrate: (id, number, to) => ask('POST', `${service(id)}/migrate`, { number, to }),
    intake: (node, set) => ask('POST', '/v1/intake', { node, set }),
    resolve: (address) => ask('GET', withQuery('/v1/resolve', { address })),
    registries: () => ask('GET', '/v1/registries'),
    registryLogin: (login) => ask('POST', '/v1/registries', login),
    registryLogout: (registry) => ask('DELETE', `/v1/registries/${encodeURIComponent(registry)}`),
    policy: () => ask('GET', '/v1/policy'),
    setPolicy: (text) => ask('POST', '/v1/policy', { text }),
    explainPolicy: (id, node) => ask('GET', withQuery('/v1/policy/explanation', { service: id, node })),
    stats: () => ask('GET', '/v1/stats'),
    audit: (id) => ask('GET', withQuery('/v1/audit', { service: id ?? undefined })),
    usage: () => ask('GET', '/v1/usage'),
    secrets: () => ask('GET', '/v1/secrets'),
    setSecret: (name, value) => ask('POST', '/v1/secrets', { name, value }),
    removeSecret: (name) => ask('DELETE', `/v1/secrets/${encodeURIComponent(name)}`),
    ...membershipClient(ask),
    signRecovery: async (domain) =>
      (await ask<{ readonly order: string }>('POST', '/v1/recovery-orders', { domain })).order,
    recover: (domain, order) => ask('POST', '/v1/recoveries', { domain, order }),
    ping: (node) => ask('GET', withQuery('/v1/ping', { node })),
    events: (signal) => values<EventView>(dataDir, 'GET', '/v1/events', undefined, signal),
    logs: (request, signal) => logBytes(dataDir, request, signal),
    exec: (target, request, signal) => exec(dataDir, target, request, signal),
    forward: (request, signal) => forward(dataDir, request, signal),
    metrics: () => askText(dataDir, 'GET', '/v1/metrics'),
  }
}

function withQuery(path: string, query: Query): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((one): [string, string] => [name, one]),
  )
  return `${path}?${new URLSearchParams(pairs)}`
}

async function askText(dataDir: string, method: string, path: string, body?: unknown): Promise<string> {
  const response = await send(dataDir, method, path, body, AbortSignal.timeout(ANSWER_MS_MAX))
  return text(response)
}

async function* values<T>(
  dataDir: string,
  method: string,
  path: string,
  body: unknown,
  signal: AbortSignal,
): AsyncGenerator<T> {
  let rest = ''
  const decoder = new TextDecoder()
  for await (const chunk of bytesOf(await send(dataDir, method, path, body, signal), signal)) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = parts.pop() ?? ''
    for (const line of parts) yield JSON.parse(line) as T
  }
}

async function* logBytes(dataDir: string, request: LogRequest, signal: AbortSignal): AsyncIterable<Uint8Array> {
  const path = withQuery('/v1/logs', {
    service: request.service,
    number: request.number?.toString(),
    follow: String(request.follow),
    tail: request.tail?.toString(),
    sinceMs: request.sinceMs?.toString(),
  })
  yield* bytesOf(await send(dataDir, 'GET', path, undefined, signal), signal)
}

async function exec(
  dataDir: string,
  { service, number }: ExecTarget,
  request: ExecRequest,
  signal: AbortSignal,
): Promise<ExecSession> {
  const path = withQuery('/v1/exec', { service, number: number?.toString() })
  const stream = await withShortPath(dataDir, (socketPath) =>
    openUpgrade(socketPath, path, asCoppiceError, signal).catch((problem: unknown) => {
      throw problem instanceof CoppiceError ? problem : asNoAnswer(problem as Error, dataDir, signal)
    }),
  )
  // Only whoever runs a program pays for the codec.
  const { callExec } = await import('../../placement/io/exec-calling.ts')
  const started = await callExec(stream, request)
  if (started.ok) return started.value
  stream.destroy()
  throw new CoppiceError('not-started', started.error, '`coppice ps` shows whether the instance runs.')
}

async function forward(dataDir: string, request: ForwardRequest, signal: AbortSignal): Promise<Forwarded> {
  const said = values<{ readonly host: string; readonly port: number }>(dataDir, 'POST', '/v1/forward', request, signal)
  const first = await said.next()
  if (first.done) throw brokenOff()
  return { ...first.value, ended: said.next().then(() => undefined) }
}

/** The bytes of a stream to its orderly end; the caller's abort is an end like any other. */
async function* bytesOf(response: IncomingMessage, signal: AbortSignal): AsyncIterable<Uint8Array> {
  try {
    for await (const chunk of response) yield chunk as Uint8Array
  } catch {
    if (signal.aborted) return
    throw brokenOff()
  }
  const trailer = response.trailers[ERROR_TRAILER]
  if (trailer !== undefined) throw asCoppiceError(decodeURIComponent(trailer))
}

/** Sends a request and resolves with an answer that says yes; every other answer rejects. */
async function send(
  dataDir: string,
  method: string,
  path: string,
  body: unknown,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const payload = body === undefined ? null : Buffer.from(JSON.stringify(body))
  const headers = payload === null ? {} : { 'content-type': 'application/json', 'content-length': payload.length }
  const response = await withShortPath(dataDir, (socketPath) => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const asked: ClientRequest = httpRequest({ socketPath, method, path, headers, agent: false, signal })
    asked.once('response', resolve)
    asked.once('error', (problem) => reject(asNoAnswer(problem, dataDir, signal)))
    asked.end(payload)
    return promise
  })
  if (response.statusCode === 200) return response
  throw asCoppiceError(await text(response))
}

async function text(response: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of response) chunks.push(chunk as Uint8Array)
  } catch {
    throw brokenOff()
  }
  return Buffer.concat(chunks).toString()
}

function asNoAnswer(problem: NodeJS.ErrnoException, dataDir: string, signal: AbortSignal): CoppiceError {
  const folder = dirname(controlSocketPath(dataDir))
  if (problem.code === 'ENOENT' || problem.code === 'ECONNREFUSED') {
    return new CoppiceError(
      'no-node',
      `no node answers in ${folder}`,
      `Start one with \`coppice up --data ${folder}\`.`,
    )
  }
  if (problem.code === 'EACCES' || problem.code === 'EPERM') {
    return new CoppiceError(
      'not-yours',
      `the node in ${folder} belongs to another user`,
      'Ask as the user who runs it.',
    )
  }
  if (signal.aborted) {
    return new CoppiceError(
      'no-answer',
      `the node in ${folder} did not answer in time`,
      'Look at its log; then try again.',
    )
  }
  return brokenOff()
}

const brokenOff = (): CoppiceError =>
  new CoppiceError('broken-off', 'the node ended the connection', 'It may have stopped: see `coppice status`.')

function asCoppiceError(answer: string): CoppiceError {
  try {
    const { error } = JSON.parse(answer) as ErrorView
    return new CoppiceError(error.code, error.message, error.hint)
  } catch {
    return new CoppiceError('broken-off', `the node answered with nonsense: ${answer.slice(0, 80)}`, 'Is it a node?')
  }
}

// The control API: NodeControl as JSON over HTTP on a unix socket in the node's folder. It translates and nothing more;
// who may open the socket (its owner, mode 0600) may do everything.

import { once } from 'node:events'
import { unlink } from 'node:fs/promises'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { type Duplex, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { NodeControl } from '../control.ts'
import { CoppiceError, errorView } from '../errors.ts'
import { CHARTER_FILE_CHARS_MAX, CHARTER_LINES_MAX, DESCRIPTOR_BYTES_MAX } from './control-limits.ts'
import { addMembership } from './control-membership-server.ts'
import { readRequest, requestSchemas } from './control-schema.ts'
import { controlSocketPath, ERROR_TRAILER, withShortPath } from './control-socket.ts'
import { serveUpgrades } from './control-upgrade.ts'

/** JSON escapes may make a descriptor twice as long; a charter's text has nothing to escape but its line ends. */
const REQUEST_BYTES_MAX = Math.max(2 * DESCRIPTOR_BYTES_MAX, CHARTER_FILE_CHARS_MAX + CHARTER_LINES_MAX) + 4_096
/** How long whoever holds the socket may take to say that it is alive; it only has to accept. A guess. */
const PROBE_MS_MAX = 1_000
/** How long whoever listens to events may take to read the last ones when the node stops. A guess. */
const LAST_EVENTS_MS_MAX = 200
/** In characters; a service's name of 255 that is percent-encoded. */
const PATH_PARAMETER_MAX = 3 * 255

export interface ControlServer {
  readonly path: string
  /** Ends open streams and removes the socket. */
  close(): Promise<void>
}

export interface ControlServerOptions {
  /** Told of what is a bug of ours, with its stack, which no client gets to see. Default: printed on stderr. */
  readonly onBug?: (problem: unknown) => void
}

/**
 * Serves `control` on `<dataDir>/control.sock`; rejects with CoppiceError `node-running` when another node answers
 * there.
 */
export async function serveControl(
  control: NodeControl,
  dataDir: string,
  options: ControlServerOptions = {},
): Promise<ControlServer> {
  const path = controlSocketPath(dataDir)
  const stopping = new AbortController()
  const app = Fastify({
    bodyLimit: REQUEST_BYTES_MAX,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: PATH_PARAMETER_MAX },
  })
  const onBug = options.onBug ?? console.error
  app.setErrorHandler((problem, _request, reply) => {
    const answered = asRequestProblem(problem)
    if (!(answered instanceof CoppiceError)) onBug(problem)
    return sendError(reply, answered)
  })
  app.setNotFoundHandler((request, reply) =>
    sendError(reply, new CoppiceError('no-such-route', `${request.method} ${request.url} is not part of the API`, '')),
  )
  addQuestions(app, control)
  addOrders(app, control)
  addMembership(app, control)
  const lastEvents = new Set<Promise<void>>()
  addStreams(app, control, stopping.signal, lastEvents)
  const execIn = async (path: URL, gone: AbortSignal): Promise<Duplex> => {
    if (path.pathname !== '/v1/exec') throw new CoppiceError('no-such-route', `${path.pathname} is no stream`, '')
    const target = readRequest(requestSchemas.exec, Object.fromEntries(path.searchParams))
    return await control.exec({ service: target.service, number: target.number ?? null }, gone)
  }
  serveUpgrades(app.server, execIn, stopping.signal)
  await app.ready()
  await withShortPath(dataDir, async (shortPath) => {
    await removeStale(shortPath, dataDir)
    await listenPrivately(app.server, shortPath)
  })
  return {
    path,
    close: async () => {
      stopping.abort()
      await Promise.race([Promise.all(lastEvents), delay(LAST_EVENTS_MS_MAX, undefined, { ref: false })])
      app.server.closeAllConnections()
      await new Promise<void>((resolve) => app.server.close(() => resolve()))
      await app.close()
      await unlink(path).catch(() => {})
    },
  }
}

/** What changes nothing. */
function addQuestions(app: FastifyInstance, control: NodeControl): void {
  app.get('/v1/status', () => control.status())
  app.get('/v1/nodes', () => control.nodes())
  app.get('/v1/instances', () => control.instances())
  app.get('/v1/services', (request) => control.services(readRequest(requestSchemas.services, request.query).id))
  app.get('/v1/services/:id', (request) => control.inspect(serviceOf(request)))
  app.get('/v1/registries', () => control.registries())
  app.get('/v1/policy', () => control.policy())
  app.get('/v1/policy/explanation', (request) => {
    const { service, node } = readRequest(requestSchemas.explanation, request.query)
    return control.explainPolicy(service, node)
  })
  app.get('/v1/audit', (request) => control.audit(readRequest(requestSchemas.audit, request.query).service ?? null))
  app.get('/v1/stats', () => control.stats())
  app.get('/v1/usage', () => control.usage())
  app.get('/v1/secrets', () => control.secrets())
  app.get('/v1/resolve', (request, reply) =>
    control.resolve(readRequest(requestSchemas.resolve, request.query).address, untilGone(reply)),
  )
  app.get('/v1/ping', (request, reply) =>
    control.ping(readRequest(requestSchemas.node, request.query).node, untilGone(reply)),
  )
  app.get('/v1/metrics', async (_request, reply) => {
    reply.type('text/plain; version=0.0.4; charset=utf-8')
    return control.metrics()
  })
}

function addOrders(app: FastifyInstance, control: NodeControl): void {
  app.post('/v1/deploy', (request) => {
    const { descriptor, domain } = readRequest(requestSchemas.deploy, request.body)
    return control.deploy(descriptor, { domain })
  })
  app.delete('/v1/services/:id', (request) => control.remove(serviceOf(request)))
  app.post('/v1/services/:id/scale', (request) =>
    control.scale(serviceOf(request), readRequest(requestSchemas.scale, request.body).replicas),
  )
  app.post('/v1/services/:id/migrate', (request) => {
    const { number, to } = readRequest(requestSchemas.migrate, request.body)
    return control.migrate(serviceOf(request), number, to)
  })
  app.post('/v1/intake', (request) => {
    const { node, set } = readRequest(requestSchemas.intake, request.body)
    return control.intake(node, set)
  })
  app.post('/v1/services/:id/rollback', (request) => control.rollback(serviceOf(request)))
  app.post('/v1/registries', (request) =>
    control.registryLogin(readRequest(requestSchemas.registryLogin, request.body)),
  )
  app.delete('/v1/registries/:id', (request) => control.registryLogout(serviceOf(request)))
  app.post('/v1/policy', (request) => control.setPolicy(readRequest(requestSchemas.policy, request.body).text))
  app.post('/v1/secrets', (request) => {
    const { name, value } = readRequest(requestSchemas.secret, request.body)
    return control.setSecret(name, value)
  })
  app.delete('/v1/secrets/:id', (request) => control.removeSecret(serviceOf(request)))
  app.post('/v1/recovery-orders', async (request) => ({
    order: await control.signRecovery(readRequest(requestSchemas.recoveryOrder, request.body).domain),
  }))
  app.post('/v1/recoveries', (request) => {
    const { domain, order } = readRequest(requestSchemas.recovery, request.body)
    return control.recover(domain, order)
  })
}

/** What goes on until the client, the node or the source ends it; events to the last one. */
function addStreams(
  app: FastifyInstance,
  control: NodeControl,
  stopping: AbortSignal,
  lastEvents: Set<Promise<void>>,
): void {
  app.get('/v1/events', async (_request, reply) => {
    const gone = untilGone(reply)
    const told = lines(control.events(AbortSignal.any([gone, stopping])))
    const sending = sendStream(reply, 'application/x-ndjson', endingInStop(told, stopping), gone)
    lastEvents.add(sending)
    await sending.finally(() => lastEvents.delete(sending))
  })
  app.get('/v1/logs', async (request, reply) => {
    const {
      service,
      number = null,
      follow,
      tail = null,
      sinceMs = null,
    } = readRequest(requestSchemas.logs, request.query)
    const signal = AbortSignal.any([untilGone(reply), stopping])
    const log = await control.logs({ service, number, follow, tail, sinceMs }, signal)
    await sendStream(reply, 'application/octet-stream', log, signal)
  })
  app.post('/v1/forward', async (request, reply) => {
    const forwarding = readRequest(requestSchemas.forward, request.body)
    const signal = AbortSignal.any([untilGone(reply), stopping])
    const bound = await control.forward(forwarding, signal)
    await sendStream(reply, 'application/x-ndjson', lines(oneThenWait(bound, signal)), signal)
  })
}

const serviceOf = (request: FastifyRequest): string => (request.params as { readonly id: string }).id

/** Aborts when the client goes away before its answer is complete. */
function untilGone(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  return gone.signal
}

/** HTTP statuses by the shape of the code: the caller's mistake, an unknown thing, a refusal, a bug. */
function statusOf(code: string): number {
  if (code === 'internal') return 500
  if (code.startsWith('no-such-')) return 404
  if (code.startsWith('bad-') || code.startsWith('invalid-')) return 400
  return 409
}

function sendError(reply: FastifyReply, problem: unknown): FastifyReply {
  const view = errorView(problem)
  return reply.code(statusOf(view.error.code)).send(view)
}

/** Fastify's own refusals (no JSON, too long) are the caller's problem too. */
function asRequestProblem(problem: unknown): unknown {
  if (problem instanceof CoppiceError || !(problem instanceof Error)) return problem
  const status = (problem as { readonly statusCode?: unknown }).statusCode
  if (typeof status !== 'number' || status >= 500) return problem
  return new CoppiceError('bad-request', problem.message, 'Send JSON as the control API describes it.')
}

async function* lines(values: AsyncIterable<unknown>): AsyncIterable<Uint8Array> {
  for await (const value of values) yield Buffer.from(`${JSON.stringify(value)}\n`)
}

/** Says at the end that it is one because the node stopped. */
async function* endingInStop(values: AsyncIterable<Uint8Array>, stopping: AbortSignal): AsyncIterable<Uint8Array> {
  yield* values
  if (stopping.aborted) throw new CoppiceError('broken-off', 'the node stopped', 'Start it again: `coppice up`.')
}

async function* oneThenWait(value: unknown, signal: AbortSignal): AsyncIterable<unknown> {
  yield value
  if (!signal.aborted) await once(signal, 'abort')
}

/** Headers leave at once, so that a client knows its stream stands; what goes wrong later is said in a trailer. */
async function sendStream(
  reply: FastifyReply,
  type: string,
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  reply.hijack()
  const response: ServerResponse<IncomingMessage> = reply.raw
  response.writeHead(200, { 'content-type': type, trailer: ERROR_TRAILER })
  response.flushHeaders()
  try {
    await pipeline(Readable.from(bytes, { objectMode: false }), response, { signal, end: false })
  } catch (problem) {
    if (signal.aborted) return void response.destroy()
    response.addTrailers({ [ERROR_TRAILER]: encodeURIComponent(JSON.stringify(errorView(problem))) })
  }
  response.end()
}

/** Removes a socket that a killed node left behind; one that answers is somebody's. */
async function removeStale(path: string, dataDir: string): Promise<void> {
  if (await answers(path)) {
    throw new CoppiceError(
      'node-running',
      `a node already runs in ${dataDir}`,
      'Stop it first, or give this one a folder of its own with --data.',
    )
  }
  await unlink(path).catch((problem: NodeJS.ErrnoException) => {
    if (problem.code !== 'ENOENT') throw problem
  })
}

function answers(path: string): Promise<boolean> {
  const socket = connect(path)
  const { promise, resolve } = Promise.withResolvers<boolean>()
  socket.once('connect', () => resolve(true))
  socket.once('error', () => resolve(false))
  // A queue that is full is not a dead one.
  socket.setTimeout(PROBE_MS_MAX, () => resolve(true))
  return promise.finally(() => socket.destroy())
}

/** The mask makes the socket private from its first moment; `listen` binds before it returns. */
async function listenPrivately(server: Server, path: string): Promise<void> {
  const listening = once(server, 'listening')
  const mask = process.umask(0o177)
  server.listen(path)
  process.umask(mask)
  await listening
}

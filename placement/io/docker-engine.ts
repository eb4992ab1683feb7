// The way to a Docker engine: found without loading the client, reached only when needed, every call with a deadline,
// every failure as one kind of error.

import { access } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type Docker from 'dockerode'
import { onPullLine, type PullLine, type PullTable, pullSentence } from '../pull-progress.ts'
import type { RegistryLogin } from '../registry-login.ts'
import { codeOf, messageOf } from './deadline.ts'

/** For an ordinary call; the engine on a busy single-board computer needs seconds to create a container. A guess. */
export const CALL_TIMEOUT_MS = 60_000
/** A pull that tells nothing for so long has lost its registry. A guess. */
const PULL_SILENCE_MS_MAX = 120_000
/** Between two reports on a pull. */
const PULL_REPORT_INTERVAL_MS = 1_000

const DEFAULT_SOCKET = '/var/run/docker.sock'

export interface DockerEngine {
  /** For messages: where the engine is looked for. */
  readonly address: string
  /**
   * The client; throws when there is no engine to talk to. Loads dockerode (measured: 200 ms, 33 MB) only when a
   * socket exists.
   */
  client(): Promise<Docker>
}

/** The engine that `socketPath`, else DOCKER_HOST names, else the usual one. */
export function createDockerEngine(socketPath: string | undefined, dockerHost = process.env.DOCKER_HOST): DockerEngine {
  const fromHost = dockerHost?.startsWith('unix://') ? dockerHost.slice('unix://'.length) : undefined
  const socket = socketPath ?? fromHost
  const isRemote = socket === undefined && dockerHost !== undefined && dockerHost !== ''
  let loaded: Promise<Docker> | null = null
  return {
    address: isRemote ? dockerHost : (socket ?? DEFAULT_SOCKET),
    async client() {
      if (loaded === null) {
        const path = isRemote ? null : await existingSocket(socket)
        loaded = load(path)
        loaded.catch(() => {
          loaded = null
        })
      }
      return await loaded
    },
  }
}

/** Docker's socket; Docker Desktop has its own per user. Throws ENOENT or EACCES as the system says it. */
async function existingSocket(socket: string | undefined): Promise<string> {
  if (socket !== undefined) {
    await access(socket)
    return socket
  }
  const ofUser = join(homedir(), '.docker', 'run', 'docker.sock')
  const hasOwn = await access(ofUser).then(
    () => true,
    () => false,
  )
  if (hasOwn) return ofUser
  await access(DEFAULT_SOCKET)
  return DEFAULT_SOCKET
}

async function load(socket: string | null): Promise<Docker> {
  const { default: Client } = await import('dockerode')
  // An explicit socket wins over DOCKER_HOST only when the client's own reading of that is undone.
  return socket === null ? new Client() : new Client({ socketPath: socket, host: undefined })
}

/** The engine's own status code for a refused call; null when the engine did not answer at all. */
export function statusOf(thrown: unknown): number | null {
  const status = thrown instanceof Error && 'statusCode' in thrown ? thrown.statusCode : null
  return typeof status === 'number' ? status : null
}

/** What the engine, or the way to it, has to say; a sentence that tells what to do where that is known. */
export function engineProblem(thrown: unknown, address: string): string {
  if (statusOf(thrown) !== null) {
    const answer = thrown instanceof Error && 'json' in thrown ? thrown.json : null
    const hasMessage = typeof answer === 'object' && answer !== null && 'message' in answer
    return hasMessage ? String(answer.message).trim() : messageOf(thrown).trim()
  }
  switch (codeOf(thrown)) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return `no Docker engine answers at ${address}: is it installed and started?`
    case 'EACCES':
      return `this user may not open ${address}: add it to the group "docker"`
    case '':
      return messageOf(thrown)
    default:
      return `the Docker engine at ${address} does not answer (${messageOf(thrown)})`
  }
}

/** The answer to a call, or an error after so many ms. */
export async function answerWithin<T>(call: Promise<T>, ms = CALL_TIMEOUT_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the Docker engine gave no answer within ${ms / 1_000} s`)), ms)
  })
  try {
    return await Promise.race([call, late])
  } finally {
    clearTimeout(timer)
  }
}

/** A call whose "no such thing" (404) is an answer: null. */
export async function orNull<T>(call: Promise<T>): Promise<T | null> {
  try {
    return await answerWithin(call)
  } catch (error) {
    if (statusOf(error) === 404) return null
    throw error
  }
}

/**
 * Resolves when a container is not running (any more); rejects when the engine goes away meanwhile. dockerode's own
 * `wait` does neither in that case: it listens for the end of the answer and not for its being cut off.
 */
export async function untilStopped(docker: Docker, id: string, signal: AbortSignal): Promise<void> {
  const answer: NodeJS.ReadableStream = await new Promise((resolve, reject) => {
    docker.modem.dial(
      {
        path: `/containers/${id}/wait?`,
        method: 'POST',
        isStream: true,
        abortSignal: signal,
        statusCodes: { 200: true, 400: 'bad parameter', 404: 'no such container', 500: 'server error' },
      },
      (error: unknown, stream: unknown) => (error ? reject(error) : resolve(stream as NodeJS.ReadableStream)),
    )
  })
  for await (const _piece of answer) {
    // The exit status is asked for afterwards, together with the rest of the state.
  }
}

/** Pulls an image and tells how it goes, once a second; throws when it fails or falls silent. */
export async function pullImage(
  docker: Docker,
  image: string,
  login: RegistryLogin | null,
  onProgress: (sentence: string) => void,
  outer: AbortSignal,
): Promise<void> {
  const silence = new AbortController()
  const timer = setTimeout(() => silence.abort(), PULL_SILENCE_MS_MAX)
  const abortSignal = AbortSignal.any([outer, silence.signal])
  const table: PullTable = new Map()
  let reportedMs = Number.NEGATIVE_INFINITY
  try {
    onProgress(pullSentence(image, table))
    const stream = await docker.pull(image, { abortSignal, ...(login === null ? {} : { authconfig: asked(login) }) })
    for await (const line of linesOf(stream)) {
      timer.refresh()
      if (line.error !== undefined) throw new Error(line.error)
      onPullLine(table, line)
      if (performance.now() - reportedMs < PULL_REPORT_INTERVAL_MS) continue
      reportedMs = performance.now()
      onProgress(pullSentence(image, table))
    }
  } catch (error) {
    if (!silence.signal.aborted) throw error
    throw new Error(`the registry said nothing for ${PULL_SILENCE_MS_MAX / 1_000} s`)
  } finally {
    clearTimeout(timer)
  }
}

/** Goes to the engine in a header; the client keeps it out of the address. */
const asked = ({ registry, username, password }: RegistryLogin) => ({ username, password, serveraddress: registry })

async function* linesOf(stream: NodeJS.ReadableStream): AsyncGenerator<PullLine> {
  let rest = ''
  for await (const piece of stream) {
    const lines = (rest + piece.toString('utf8')).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line.trim() !== '') yield JSON.parse(line) as PullLine
    }
  }
}

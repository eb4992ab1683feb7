// What Coppice's tunnels are measured beside: the same server reached straight, over plain relays, over relays with TLS
// between them, over `ssh -L` and over socat with TLS. Each is set up between two places and ends with the process.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { until } from '../local/fleet.ts'
import type { RelayTask, Task, Way } from './traffic-ends.ts'
import type { Place, TwoPlaces } from './two-places.ts'

export const TRAFFIC_ENDS = fileURLToPath(new URL('./traffic-ends.ts', import.meta.url))
const LOOPBACK = '127.0.0.1'
const SSHD = '/usr/sbin/sshd'
/** Free in namespaces of our own, and hardly used elsewhere. */
const PORTS = { sshd: 17_022, ssh: 17_023, socatTls: 17_024, socat: 17_025 }
const READY_MS_MAX = 15_000
/** Half a second by default, after which socat cuts an answer that a busy machine gives late. */
const SOCAT_WAITS_S = '60'

export interface Stagehands {
  /** Runs something at a place until the measurement ends. */
  start(place: Place, ...command: readonly string[]): ChildProcess
  stop(): void
}

export function createStagehands(): Stagehands {
  const children: ChildProcess[] = []
  const stop = (): void => {
    for (const child of children) child.kill('SIGKILL')
  }
  process.once('exit', stop)
  return {
    start: (place, ...command) => {
      const [file = '', ...words] = [...place.prefix, ...command]
      const child = spawn(file, words, { stdio: ['ignore', 'pipe', 'ignore'] })
      children.push(child)
      return child
    },
    stop,
  }
}

/** Lets a client do its task at the near place. */
export async function clientAt<T>(place: Place, task: Task): Promise<T> {
  const { child, answer } = openClient(place, task)
  const [line] = await Promise.all([answer, once(child, 'close')])
  return JSON.parse(line) as T
}

/** A client whose input the caller ends; `answer` is the last line that it prints. */
export function openClient(place: Place, task: Task) {
  const [file = '', ...words] = [...place.prefix, process.execPath, TRAFFIC_ENDS, 'client', JSON.stringify(task)]
  const child = spawn(file, words, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines: string[] = []
  const reader = createInterface({ input: child.stdout })
  reader.on('line', (line) => lines.push(line))
  const answer = once(child, 'close').then(() => {
    const last = lines.at(-1)
    if (child.exitCode !== 0 || last === undefined) throw new Error(`a client failed at ${JSON.stringify(task)}`)
    return last
  })
  answer.catch(() => {})
  return { child, answer, lines }
}

/** Each way by name; what this machine lacks is named instead. */
export async function openCarriers(
  places: TwoPlaces,
  hands: Stagehands,
  folder: string,
): Promise<{ readonly ways: Readonly<Record<string, Way>>; readonly missing: readonly string[] }> {
  const { near, far } = places
  const ends = async (place: Place, role: string, task: object): Promise<number> => {
    const child = hands.start(place, process.execPath, TRAFFIC_ENDS, role, JSON.stringify(task))
    if (child.stdout === null) throw new Error('a child without an output')
    const [line] = await once(createInterface({ input: child.stdout }), 'line')
    return Number(line)
  }
  const server = await ends(far, 'serve', { host: '0.0.0.0' })
  const pair = async (isTls: boolean): Promise<Way> => {
    const inner: RelayTask = { to: { host: LOOPBACK, port: server }, host: far.address, tls: isTls ? 'accepts' : 'no' }
    const to = { host: far.address, port: await ends(far, 'relay', inner) }
    const outer: RelayTask = { to, host: LOOPBACK, tls: isTls ? 'dials' : 'no' }
    return { host: LOOPBACK, port: await ends(near, 'relay', outer) }
  }
  const ways: Record<string, Way> = {
    'TCP itself': { host: far.address, port: server },
    'two plain relays': await pair(false),
    'two relays, TLS between': await pair(true),
  }
  const missing: string[] = []
  for (const [name, openIt] of [
    ['ssh -L', openSsh],
    ['socat with TLS', openSocat],
  ] as const) {
    const way = openIt(places, hands, folder, server)
    if (way === null) missing.push(name)
    else ways[name] = way
  }
  for (const [name, way] of Object.entries(ways)) {
    const isThere = () => clientAt(near, { kind: 'latency', way, openings: 1, requests: 1 })
    await until(`${name} works`, isThere, READY_MS_MAX)
  }
  return { ways, missing }
}

function openSsh({ near, far }: TwoPlaces, hands: Stagehands, folder: string, server: number): Way | null {
  if (!existsSync(SSHD) || !has('ssh') || process.getuid?.() !== 0) return null
  mkdirSync('/run/sshd', { recursive: true })
  const [host, user] = [join(folder, 'host-key'), join(folder, 'user-key')]
  for (const key of [host, user]) spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
  const settings = [`ListenAddress=${far.address}`, `AuthorizedKeysFile=${user}.pub`, 'StrictModes=no', 'UsePAM=no']
  const asOptions = (all: readonly string[]): string[] => all.flatMap((one) => ['-o', one])
  hands.start(far, SSHD, '-D', '-f', '/dev/null', '-p', String(PORTS.sshd), '-h', host, ...asOptions(settings))
  const trusting = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'BatchMode=yes', 'LogLevel=ERROR']
  const forward = `${LOOPBACK}:${PORTS.ssh}:${LOOPBACK}:${server}`
  const retried = ['ConnectionAttempts=10', 'ExitOnForwardFailure=yes']
  const words = ['-N', '-L', forward, '-i', user, '-p', String(PORTS.sshd), ...asOptions([...trusting, ...retried])]
  hands.start(near, 'ssh', ...words, `root@${far.address}`)
  return { host: LOOPBACK, port: PORTS.ssh }
}

function openSocat({ near, far }: TwoPlaces, hands: Stagehands, folder: string, server: number): Way | null {
  if (!has('socat') || !has('openssl')) return null
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=far']
  spawnSync('openssl', ['req', '-x509', ...kind, '-keyout', key, '-out', certificate], { stdio: 'ignore' })
  const files = `cert=${certificate},key=${key},verify=0`
  const tls = `OPENSSL-LISTEN:${PORTS.socatTls},bind=${far.address},${files},fork,reuseaddr`
  hands.start(far, 'socat', '-t', SOCAT_WAITS_S, '-b', '65536', tls, `TCP:${LOOPBACK}:${server},nodelay`)
  const listen = `TCP-LISTEN:${PORTS.socat},bind=${LOOPBACK},fork,reuseaddr,nodelay`
  hands.start(
    near,
    'socat',
    '-t',
    SOCAT_WAITS_S,
    '-b',
    '65536',
    listen,
    `OPENSSL:${far.address}:${PORTS.socatTls},verify=0,nodelay`,
  )
  return { host: LOOPBACK, port: PORTS.socat }
}

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0

// A fleet of real nodes on this machine: one process and one data folder each, on loopback, started by the same CLI
// that people use.

import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { copyFile, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { giveConsent } from '../../bootstrap/charter-entry.ts'
import { createOperatorKey, OPERATOR_KEY_FILE } from '../../bootstrap/io/key-file.ts'
import { encodeRequest } from '../../bootstrap/operator-request.ts'
import { type ControlClient, createControlClient } from '../../node/io/control-client.ts'

const COPPICE = fileURLToPath(new URL('../../node/cli/coppice.js', import.meta.url))

/**
 * How often the fleet is asked whether something has come about: the resolution of the times that are printed. Where
 * the answer takes longer, there is as long a pause after it: who asks is not to be what keeps the machine busy.
 */
export const POLL_MS = 20

/**
 * How long a live test waits for what takes up to ten seconds on a free machine. It decides nothing that a test is
 * about: what should come soon is asserted, or measured by a bench, apart from whether it comes at all.
 */
export const PATIENCE_MS = 120_000

/** Of a folder that somebody who was just killed may have written to: each try waits 100 ms longer than the last. */
const REMOVE_TRIES = 10

/** Longer than a hundred nodes take to start in waves. */
const INVITE_MS = 3_600_000

/** A wave of a few processes on a slow machine; more means that one of them hangs. A guess. */
const WAVE_MS_MAX = 180_000

export interface FleetNode {
  readonly name: string
  readonly domain: string
  readonly dataDir: string
  readonly control: ControlClient
  readonly process: ChildProcess
}

export interface FleetCluster {
  readonly path: string
  readonly names: readonly string[]
  /** The operator whose devices these are, by name; default: whoever founds the federation. */
  readonly operator?: string
}

export interface FleetPlan {
  readonly baseDir: string
  /** Path and names of each cluster, the founder's first. */
  readonly clusters: readonly FleetCluster[]
  /** Further flags of `up` and `join`. */
  readonly flags?: readonly string[]
  /** Those of one node, besides. */
  readonly flagsOf?: (name: string) => readonly string[]
  /** The multiaddr that a node listens on; default: a free port on loopback. */
  readonly listenOf?: (name: string) => string
  /** Words before the command of a node, as `ip netns exec NAME`; what they run must keep the process id. */
  readonly prefixOf?: (name: string) => readonly string[]
  /** What stands in one node's environment, besides this process's. */
  readonly environmentOf?: (name: string) => Readonly<Record<string, string>>
  /** How many start at a time, the next only when these are ready; default: all at once. */
  readonly waveNodes?: number
  /** What Node is given before the words of the CLI; default: the launcher of this checkout. */
  readonly program?: readonly string[]
  /** Told what was done; default: nobody is. */
  readonly onProgress?: (text: string) => void
}

export interface Fleet {
  readonly nodes: readonly FleetNode[]
  /** Starts the founder, hands out invites, and starts all others; resolves when each process runs, not yet ready. */
  start(): Promise<void>
  /** Throws where none is called so. */
  named(name: string): FleetNode
  /** The nodes that were not cut down. */
  living(): readonly FleetNode[]
  /** Cuts a device down: the node's process and everything that it ran, at once and without a word (SIGKILL). */
  cutDown(node: FleetNode): Promise<void>
  /** Stops a node's process for so long (SIGSTOP, SIGCONT): its connections stand, and nothing is said on them. */
  pause(node: FleetNode, ms: number): Promise<void>
  /** Asks a node to end (SIGTERM) and resolves when it did; what it ran runs on. */
  terminate(node: FleetNode): Promise<void>
  /** Starts a node again that was cut down or ended, with its folder as it was left. */
  restart(node: FleetNode): FleetNode
  stop(): Promise<void>
}

/** Starts a fleet; whatever was started is stopped again when that fails. */
export async function startFleet(plan: FleetPlan): Promise<Fleet> {
  const fleet = createFleet(plan)
  try {
    await fleet.start()
    return fleet
  } catch (problem) {
    await fleet.stop()
    throw problem
  }
}

/** Starts a fleet, and resolves when each of its nodes can take work. */
export async function readyFleet(plan: FleetPlan): Promise<Fleet> {
  const fleet = await startFleet(plan)
  try {
    await ready(fleet.nodes)
    return fleet
  } catch (problem) {
    await fleet.stop()
    throw problem
  }
}

async function ready(wave: readonly FleetNode[]): Promise<void> {
  for (const node of wave)
    await until(`${node.name} is ready`, async () => (await node.control.status()).ready, WAVE_MS_MAX, [node])
}

export function createFleet(plan: FleetPlan): Fleet {
  const {
    baseDir,
    clusters,
    flags = [],
    flagsOf = () => [],
    environmentOf = () => ({}),
    listenOf = () => '/ip4/127.0.0.1/tcp/0',
    prefixOf = () => [],
    program = [COPPICE],
    waveNodes = Number.POSITIVE_INFINITY,
    onProgress = () => undefined,
  } = plan
  const nodes: FleetNode[] = []
  const dead = new Set<FleetNode>()
  const common = ['--no-mdns', ...flags]

  const launch = (name: string, domain: string, dataDir: string, args: readonly string[]): FleetNode => {
    const log = createWriteStream(join(dataDir, 'node.log'), { flags: 'a' })
    const own = ['--name', name, '--data', dataDir, '--listen', listenOf(name), ...common, ...flagsOf(name)]
    const [command = '', ...words] = [...prefixOf(name), process.execPath, ...program, ...args, ...own]
    const child = spawn(command, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environmentOf(name) },
    })
    child.stdout?.pipe(log, { end: false })
    child.stderr?.pipe(log, { end: false })
    return { name, domain, dataDir, control: createControlClient(dataDir), process: child }
  }

  const folderOf = async (name: string): Promise<string> => {
    const dataDir = join(baseDir, name)
    await mkdir(dataDir, { recursive: true })
    return dataDir
  }

  const named = (name: string): FleetNode => {
    const node = nodes.find((one) => one.name === name)
    if (node === undefined) throw new Error(`no node is called ${name}`)
    return node
  }

  const living = (): readonly FleetNode[] => nodes.filter((node) => !dead.has(node))

  const killLiving = (): void => {
    for (const node of living()) node.process.kill('SIGKILL')
  }
  // Whoever started it may end without having stopped it.
  process.once('exit', killLiving)

  const stop = async (): Promise<void> => {
    process.off('exit', killLiving)
    const gone = living().map((node) => exited(node.process))
    killLiving()
    await Promise.all(gone)
    for (const node of nodes) await killInstances(node.dataDir)
  }

  /** An operator makes its key, asks, is admitted, and puts the key on its devices, which it vouches for itself. */
  const admitOperator = async (founder: FleetNode, name: string, devices: readonly string[]): Promise<void> => {
    const [first, ...others] = await Promise.all(devices.map(folderOf))
    if (first === undefined) return
    const key = await createOperatorKey(join(first, OPERATOR_KEY_FILE), name)
    for (const folder of others) await copyFile(join(first, OPERATOR_KEY_FILE), join(folder, OPERATOR_KEY_FILE))
    const request = encodeRequest(giveConsent({ key: key.operator, name, at: Date.now() }, key))
    const admitted = await founder.control.admitOperator(request)
    onProgress(`${name} asks to be an operator and is admitted: entry ${admitted.entry.slice(0, 8)} of the charter`)
  }

  const start = async (): Promise<void> => {
    const [first] = clusters
    const founderName = first?.names[0]
    if (first === undefined || founderName === undefined) throw new Error('a fleet has at least one node')
    const founder = launch(founderName, first.path, await folderOf(founderName), [
      'up',
      '--no-pressure',
      '--domain',
      first.path,
    ])
    nodes.push(founder)
    await until('the founder answers', async () => (await founder.control.status()).ready, WAVE_MS_MAX, [founder])
    onProgress(`${founderName} founded the federation`)

    for (const { path, names, operator } of clusters) {
      const joining = names.filter((name) => name !== founderName)
      if (joining.length === 0) continue
      if (operator !== undefined) await admitOperator(founder, operator, joining)
      const invite = await founder.control.invite({ domain: path, uses: joining.length, ttlMs: INVITE_MS })
      for (const [index, name] of joining.entries()) {
        if (index > 0 && index % waveNodes === 0) {
          await ready(nodes.slice(-waveNodes))
          onProgress(`${nodes.length} are ready`)
        }
        nodes.push(launch(name, path, await folderOf(name), ['join', invite, '--no-pressure']))
      }
      onProgress(`${joining.join(', ')} ${joining.length === 1 ? 'joins' : 'join'} ${path} by invite`)
    }
  }

  return {
    nodes,
    start,
    named,
    living,
    cutDown: async (node) => {
      dead.add(node)
      const gone = exited(node.process)
      node.process.kill('SIGKILL')
      await killInstances(node.dataDir)
      await gone
    },
    pause: async (node, ms) => {
      node.process.kill('SIGSTOP')
      await delay(ms)
      node.process.kill('SIGCONT')
    },
    terminate: async (node) => {
      dead.add(node)
      const gone = exited(node.process)
      node.process.kill('SIGTERM')
      await gone
    },
    restart: (node) => {
      const again = launch(node.name, node.domain, node.dataDir, ['up', '--no-pressure'])
      nodes[nodes.indexOf(node)] = again
      dead.delete(node)
      return again
    },
    stop,
  }
}

/**
 * Asks again and again until there is an answer that is not empty; what is asked may fail meanwhile. Rejects after
 * `timeoutMs`, or when a watched node ended.
 */
export async function until<T>(
  what: string,
  find: () => Promise<T | false | null | undefined | ''>,
  timeoutMs: number,
  watched: readonly FleetNode[] = [],
  pollMs = POLL_MS,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  let problem: unknown = null
  for (let askedAt = performance.now(); askedAt < deadline; askedAt = performance.now()) {
    try {
      const found = await find()
      if (found) return found
      problem = null
    } catch (caught) {
      problem = caught
    }
    const ended = watched.find(({ process: { exitCode, signalCode } }) => exitCode !== null || signalCode !== null)
    if (ended !== undefined) throw new Error(`${ended.name} ended: ${await tailOf(ended)}`)
    await delay(Math.max(pollMs, performance.now() - askedAt))
  }
  const detail = problem instanceof Error ? ` (${problem.message})` : ''
  throw new Error(`not within ${Math.round(timeoutMs / 1_000)} s: ${what}${detail}`)
}

/** Removes the folder of a fleet that was stopped. */
export const removeFolder = (folder: string): Promise<void> =>
  rm(folder, { recursive: true, force: true, maxRetries: REMOVE_TRIES })

/** The last lines of a node's log. */
export async function tailOf(node: FleetNode, lines = 5): Promise<string> {
  const text = await readFile(join(node.dataDir, 'node.log'), 'utf8').catch(() => '')
  return text.trim().split('\n').slice(-lines).join(' | ')
}

/** The process groups of what a node runs: each instance's folder notes its watcher, which leads a group of its own. */
async function instanceGroups(dataDir: string): Promise<readonly number[]> {
  const folder = join(dataDir, 'instances')
  const names = await readdir(folder).catch(() => [])
  const noted = await Promise.all(names.map((name) => readFile(join(folder, name, 'process'), 'utf8').catch(() => '')))
  return noted.map((stat) => Number.parseInt(stat, 10)).filter((pid) => pid > 1)
}

/** Ends what a node runs, at once: it would outlive the node. */
export async function killInstances(dataDir: string): Promise<void> {
  for (const group of await instanceGroups(dataDir)) killGroup(group)
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL')
  } catch {
    // It is gone already.
  }
}

function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => child.once('exit', () => resolve()))
}

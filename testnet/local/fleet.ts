// A fleet of real nodes on this machine: one process and one data folder each, on loopback, started by the same CLI that people use.

import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type ControlClient, createControlClient } from '../../node/io/control-client.ts'

const COPPICE = fileURLToPath(new URL('../../node/cli/coppice.js', import.meta.url))

/** How often the fleet is asked whether something has come about: the resolution of the times that are printed. */
export const POLL_MS = 20

export interface FleetNode {
  readonly name: string
  readonly domain: string
  readonly dataDir: string
  readonly control: ControlClient
  readonly process: ChildProcess
}

export interface FleetPlan {
  readonly baseDir: string
  /** Path and names of each cluster, the founder's first. */
  readonly clusters: readonly { readonly path: string; readonly names: readonly string[] }[]
  /** Further flags of `up` and `join`. */
  readonly flags?: readonly string[]
  readonly onProgress: (text: string) => void
}

export interface Fleet {
  readonly nodes: readonly FleetNode[]
  /** The nodes that were not cut down. */
  living(): readonly FleetNode[]
  /** Cuts a device down: the node's process and everything that it ran, at once and without a word (SIGKILL). */
  cutDown(node: FleetNode): Promise<void>
  /** Starts a node again that was cut down, with its folder as it was left. */
  restart(node: FleetNode): FleetNode
  stop(): Promise<void>
}

/** Starts the founder, hands out invites, and starts all others; resolves when each process is up, not yet ready. */
export async function startFleet({ baseDir, clusters, flags = [], onProgress }: FleetPlan): Promise<Fleet> {
  const nodes: FleetNode[] = []
  const dead = new Set<FleetNode>()
  const common = ['--listen', '/ip4/127.0.0.1/tcp/0', '--no-mdns', ...flags]

  const launch = (name: string, domain: string, dataDir: string, args: readonly string[]): FleetNode => {
    const log = createWriteStream(join(dataDir, 'node.log'), { flags: 'a' })
    const child = spawn(process.execPath, [COPPICE, ...args, '--name', name, '--data', dataDir, ...common], {
      stdio: ['ignore', 'pipe', 'pipe'],
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

  const [first] = clusters
  const founderName = first?.names[0]
  if (first === undefined || founderName === undefined) throw new Error('a fleet has at least one node')
  const founder = launch(founderName, first.path, await folderOf(founderName), ['up', '--domain', first.path])
  nodes.push(founder)
  await until('the founder answers', async () => (await founder.control.status()).ready, 30_000, [founder])
  onProgress(`${founderName} founded the federation`)

  for (const { path, names } of clusters) {
    const joining = names.filter((name) => name !== founderName)
    const invite = await founder.control.invite({ domain: path, uses: joining.length, ttlMs: 600_000 })
    for (const name of joining) nodes.push(launch(name, path, await folderOf(name), ['join', invite]))
    onProgress(`${joining.join(', ')} ${joining.length === 1 ? 'joins' : 'join'} ${path} by invite`)
  }

  const living = (): readonly FleetNode[] => nodes.filter((node) => !dead.has(node))
  return {
    nodes,
    living,
    cutDown: async (node) => {
      const groups = await instanceGroups(node)
      dead.add(node)
      const gone = exited(node.process)
      node.process.kill('SIGKILL')
      for (const group of groups) killGroup(group)
      await gone
    },
    restart: (node) => {
      const again = launch(node.name, node.domain, node.dataDir, ['up'])
      nodes[nodes.indexOf(node)] = again
      dead.delete(node)
      return again
    },
    stop: async () => {
      for (const node of nodes) for (const group of await instanceGroups(node)) killGroup(group)
      await Promise.all(
        living().map(async (node) => {
          const gone = exited(node.process)
          node.process.kill('SIGKILL')
          await gone
        }),
      )
      for (const node of nodes) for (const group of await instanceGroups(node)) killGroup(group)
    },
  }
}

/** Asks again and again until it is so; what is asked may fail meanwhile. Rejects after `timeoutMs`, or when a watched node ended. */
export async function until(
  what: string,
  isSo: () => Promise<boolean>,
  timeoutMs: number,
  watched: readonly FleetNode[] = [],
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  let problem: unknown = null
  while (performance.now() < deadline) {
    try {
      if (await isSo()) return
      problem = null
    } catch (caught) {
      problem = caught
    }
    const ended = watched.find((node) => node.process.exitCode !== null)
    if (ended !== undefined) throw new Error(`${ended.name} ended: ${await tailOf(ended)}`)
    await delay(POLL_MS)
  }
  const detail = problem instanceof Error ? ` (${problem.message})` : ''
  throw new Error(`not within ${Math.round(timeoutMs / 1_000)} s: ${what}${detail}`)
}

/** The last lines of a node's log. */
export async function tailOf(node: FleetNode, lines = 5): Promise<string> {
  const text = await readFile(join(node.dataDir, 'node.log'), 'utf8').catch(() => '')
  return text.trim().split('\n').slice(-lines).join(' | ')
}

/** The process groups of what a node runs, from the folders in which its process runtime remembers them. */
async function instanceGroups(node: FleetNode): Promise<readonly number[]> {
  const folder = join(node.dataDir, 'instances')
  const names = await readdir(folder).catch(() => [])
  const groups = await Promise.all(
    names.map(async (name) => {
      const text = await readFile(join(folder, name, 'launch.json'), 'utf8').catch(() => '{}')
      return (JSON.parse(text) as { readonly pid?: number }).pid
    }),
  )
  return groups.filter((pid) => pid !== undefined)
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

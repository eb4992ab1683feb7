// Real nodes on the devices of the lab: the CLI that people use, each in the namespace of its device, and what they
// tell of their paths to each other.

import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createControlClient } from '../../node/io/control-client.ts'
import { type FleetNode, until } from '../local/fleet.ts'
import { createWatch, type Seen, type Watch } from '../local/watch.ts'
import type { Device, LabNetwork } from './network.ts'

const COPPICE = fileURLToPath(new URL('../../node/cli/coppice.js', import.meta.url))
/** Of the one port that every node listens on; each has its device for itself. */
const PORT = 4001
const LISTEN = ['--listen', `/ip4/0.0.0.0/tcp/${PORT}`, '--listen', `/ip6/::/tcp/${PORT}`] as const
const LOG_FILE = 'node.log'
const DOMAIN = '/lab'
/** Longer than a node takes to start while a dozen of them, and other work, share two cores. */
const START_MS_MAX = 180_000
const INVITE_MS = 3_600_000

export interface LabNode extends FleetNode {
  /** Wall clock in ms at which it had passed its first hello, or founded the federation. */
  memberAtMs: number
}

export interface LabFleet {
  readonly nodes: ReadonlyMap<string, LabNode>
  readonly watch: Watch
  /** The command line that the nodes were started with. */
  readonly program: string
  node(name: string): LabNode
  /** Starts the founder and then, one after the other, those that join. */
  start(devices: readonly Device[], network: LabNetwork, onProgress: (text: string) => void): Promise<void>
  /** Starts a device with an invite of another one. Resolves with what the node said when it has passed a hello. */
  join(name: string, network: LabNetwork, invite: string): Promise<string>
  kill(name: string): Promise<void>
  stop(): Promise<void>
}

/** `flagsOf` adds to what a node is started with. */
export function createLabFleet(baseDir: string, flagsOf: (name: string) => readonly string[] = () => []): LabFleet {
  const nodes = new Map<string, LabNode>()
  const watch = createWatch()
  const launch = async (name: string, network: LabNetwork, words: readonly string[]): Promise<LabNode> => {
    const dataDir = join(baseDir, name)
    await mkdir(dataDir, { recursive: true })
    const [program = '', ...before] = network.on(name)
    const fixed = ['--name', name, '--data', dataDir, '--no-mdns', '--no-pressure', ...LISTEN]
    const child = spawn(program, [...before, process.execPath, COPPICE, ...words, ...fixed, ...flagsOf(name)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const log = createWriteStream(join(dataDir, LOG_FILE), { flags: 'a' })
    child.stdout.pipe(log, { end: false })
    child.stderr.pipe(log, { end: false })
    const control = createControlClient(dataDir)
    const node: LabNode = { name, domain: DOMAIN, dataDir, control, process: child, memberAtMs: Number.NaN }
    nodes.set(name, node)
    void watch.follow(node)
    return node
  }
  const start: LabFleet['start'] = async (devices, network, onProgress) => {
    const [first, ...others] = devices
    if (first === undefined) throw new Error('the lab has at least one device')
    const founder = await launch(first.name, network, ['up', '--domain', DOMAIN])
    await until(`${first.name} is ready`, async () => (await founder.control.status()).ready, START_MS_MAX, [founder])
    founder.memberAtMs = Date.now()
    onProgress(`${first.name} founded the federation`)
    const invite = await founder.control.invite({
      domain: DOMAIN,
      uses: devices.length,
      ttlMs: INVITE_MS,
      isEnrolling: true,
    })
    for (const { name } of others) {
      await admit(name, network, invite)
      onProgress(`${name} is a member`)
    }
  }
  const admit: LabFleet['join'] = async (name, network, invite) => {
    const node = await launch(name, network, ['join', invite])
    const isMember = async () => (await node.control.status()).peers.some(({ path }) => path !== null)
    await until(`${name} is a member`, isMember, START_MS_MAX, [node])
    node.memberAtMs = Date.now()
    return await readFile(join(node.dataDir, LOG_FILE), 'utf8')
  }
  const kill = async (name: string): Promise<void> => {
    const node = nodeOf(name)
    const gone = new Promise((resolve) => node.process.once('exit', resolve))
    node.process.kill('SIGKILL')
    nodes.delete(name)
    await gone
  }
  const nodeOf = (name: string): LabNode => {
    const node = nodes.get(name)
    if (node === undefined) throw new Error(`no node runs on ${name}`)
    return node
  }
  return {
    nodes,
    watch,
    program: COPPICE,
    node: nodeOf,
    start,
    join: admit,
    kill,
    stop: async () => {
      watch.close()
      await Promise.all([...nodes.keys()].map(kill))
    },
  }
}

/** What one node told of its path to another; `via` is the relay's node id. */
export interface PathTold {
  readonly atMs: number
  readonly teller: string
  readonly to: string
  readonly path: 'direct' | 'relay'
  readonly via: string | null
}

/** The changes of paths among what was told, by the nodes' names. */
export const pathsTold = (seen: readonly Seen[]): readonly PathTold[] =>
  seen.flatMap(({ name, teller, atMs, fields }) =>
    name === 'path-changed' && (fields.path === 'direct' || fields.path === 'relay')
      ? [
          {
            atMs,
            teller,
            to: String(fields.name),
            path: fields.path,
            via: fields.via === null ? null : String(fields.via),
          },
        ]
      : [],
  )

/** How far back, and how many lines of it at most. */
const LAST_WORDS_MS = 130_000
const LAST_WORDS_MAX = 80
/** What comes in numbers and says little of paths. */
const UNTOLD: readonly string[] = ['election-canvass', 'node-suspect', 'suspicion-refuted']

/** What the nodes say of their paths and services, and what they told lately: for whoever asks why a story failed. */
export async function lastWords({ nodes, watch }: LabFleet): Promise<string> {
  const statuses = [...nodes.values()].map(async ({ name, control }) => {
    const { peers, reach, domains } = await control.status()
    const paths = peers.map((peer) => `${peer.name} ${peer.path ?? 'none'}`).join(', ')
    const leaders = domains.map(({ path, leader }) => `${path} ${leader?.slice(-6) ?? 'none'}`).join(', ')
    const instances = (await control.instances()).map(({ service, number, state }) => `${service}#${number} ${state}`)
    const itself = `${reach.standing}, on ${reach.relays.length} relays`
    return `${name}: ${paths}; ${itself}; ${leaders}; ${instances.join(', ')}`
  })
  const told = watch
    .since(Date.now() - LAST_WORDS_MS)
    .filter(({ name }) => !UNTOLD.includes(name))
    .slice(-LAST_WORDS_MAX)
    .map(({ at, teller, name, fields }) => `${at} ${teller} ${name} ${JSON.stringify(fields)}`)
  const said = await Promise.allSettled(statuses)
  return [...said.map((one) => (one.status === 'fulfilled' ? one.value : String(one.reason))), ...told].join('\n')
}

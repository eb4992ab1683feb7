// `npm run demo`: nine nodes in three clusters of two operators on this machine; a service is placed, called by name,
// and survives the loss of the root leader and of a device that runs it. Every line that is printed was measured in
// this very run.

import { mkdtemp, readFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { table } from '../../node/cli/render.ts'
import type { InstanceView } from '../../node/control.ts'
import { removeContainers, requireEngine } from './containers.ts'
import { createFleet, type Fleet, type FleetNode, PATIENCE_MS, removeFolder, until } from './fleet.ts'

const CLUSTERS = [
  { path: '/berlin', names: ['berlin-1', 'berlin-2', 'berlin-3'] },
  { path: '/paris', names: ['paris-1', 'paris-2', 'paris-3'] },
  { path: '/rome', names: ['rome-1', 'rome-2', 'rome-3'], operator: 'Tiber Farms' },
]
const ELECTORS_OF_THREE = 3
/** A call that hangs longer than this is given up, and made again. */
const ANSWER_MS_MAX = 10_000
const SERVICE = 'shop.demo.hello.web'
const ADDRESS = `${SERVICE}.0.rr.local:8080`

const { values: words } = parseArgs({
  options: { keep: { type: 'boolean', default: false }, runtime: { type: 'string', default: 'process' } },
})
const isDocker = words.runtime === 'docker'
const DESCRIPTOR = fileURLToPath(new URL(isDocker ? './hello-docker.json' : './hello.json', import.meta.url))
/** By name, for the containers that go down with a node. */
const nodeIds = new Map<string, string>()

interface Measured {
  readonly what: string
  readonly ms: number | null
  readonly detail: string
}

const startedAt = performance.now()
const measured: Measured[] = []
const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`
const say = (text: string): void => console.log(`${seconds(performance.now() - startedAt).padStart(8)}  ${text}`)

async function timed(what: string, detail: () => Promise<string>): Promise<void> {
  const from = performance.now()
  const said = await detail()
  const ms = performance.now() - from
  measured.push({ what, ms, detail: said })
  say(`${what}: ${seconds(ms)}${said === '' ? '' : ` — ${said}`}`)
}

/** The same HTTP request that a browser would send through the node's proxy. */
function fetchThrough(proxy: string, address: string): Promise<string> {
  const { hostname, port } = new URL(proxy)
  return new Promise((resolve, reject) => {
    const path = `http://${address}/`
    const asked = request(
      { hostname, port, path, headers: { host: address }, agent: false, timeout: ANSWER_MS_MAX },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString().trim()
          if (answer.statusCode === 200) resolve(text)
          else reject(new Error(`HTTP ${answer.statusCode}: ${text}`))
        })
      },
    )
    asked.on('timeout', () => asked.destroy(new Error(`no answer in ${seconds(ANSWER_MS_MAX)}`)))
    asked.on('error', reject)
    asked.end()
  })
}

async function call(node: FleetNode): Promise<string> {
  const { proxies } = await node.control.status()
  if (proxies.http === null) throw new Error(`${node.name} has no HTTP proxy`)
  return fetchThrough(proxies.http, ADDRESS)
}

/** Whether the node knows a leader that `isWanted` accepts, in each of its domains, backed by so many electors. */
async function knowsLeaders(
  node: FleetNode,
  electors: number,
  isWanted: (leaderNode: string) => boolean,
): Promise<boolean> {
  const { ready, domains } = await node.control.status()
  const isLed = domains.every(
    (domain) => domain.leaderNode !== null && isWanted(domain.leaderNode) && domain.electors.length >= electors,
  )
  return ready && domains.length === 2 && isLed
}

async function everyone(fleet: Fleet, holds: (node: FleetNode) => Promise<boolean>): Promise<boolean> {
  const answers = await Promise.all(fleet.living().map(holds))
  return answers.every(Boolean)
}

async function running(node: FleetNode): Promise<readonly InstanceView[]> {
  const all = await node.control.instances()
  return all.filter((instance) => instance.service === SERVICE && instance.state === 'running')
}

async function bothRunning(node: FleetNode): Promise<readonly InstanceView[] | null> {
  const found = await running(node)
  return found.length === 2 ? found : null
}

/** Whom a living node knows as the root's leader; on a busy machine one may lose its lease, and there is none yet. */
function rootLeader(fleet: Fleet): Promise<FleetNode> {
  const find = async (): Promise<FleetNode | undefined> => {
    const status = await fleet.living()[0]?.control.status()
    const root = status?.domains.find((domain) => domain.path === '/')
    return fleet.living().find((node) => nodeIds.get(node.name) === root?.leaderNode)
  }
  return until('a living node leads the root', find, PATIENCE_MS)
}

/** The device that an instance runs on: another operator's people are told its id and not its name. */
const deviceOf = (fleet: Fleet, { node: id }: InstanceView): FleetNode | undefined =>
  fleet.nodes.find(({ name }) => nodeIds.get(name) === id)

/** Each operator opens its devices and services to the other; the second keeps its namespace `lab` to itself. */
async function agree(fleet: Fleet): Promise<void> {
  const open = { runtimes: ['process', 'docker'], may: ['reach'] }
  const policies = [
    { at: 'berlin-1', policy: { rules: [{ operators: ['Tiber Farms'], ...open }] } },
    { at: 'rome-1', policy: { rules: [{ operators: ['berlin-1'], ...open }], namespaces: ['lab'] } },
  ]
  await timed('both operators signed policies, and all their devices have them', async () => {
    for (const { at, policy } of policies) {
      await fleet.named(at).control.setPolicy(JSON.stringify(policy))
    }
    const hasOne = async ({ control }: FleetNode): Promise<boolean> => (await control.policy()).version > 0
    await until('every device has its policy', () => everyone(fleet, hasOne), PATIENCE_MS)
    return ''
  })
}

/** The first operator asks for a place in the second one's namespace, on its devices: the owner decides. */
async function beRefused(fleet: Fleet): Promise<void> {
  const descriptor = JSON.parse(await readFile(DESCRIPTOR, 'utf8'))
  const [application] = descriptor.applications
  const [microservice] = application.microservices
  Object.assign(application, { application_namespace: 'lab' })
  const constraints = [{ type: 'clusters', allowed: ['/rome'] }]
  Object.assign(microservice, { microservice_namespace: 'lab', replicas: 1, constraints })
  const from = fleet.living().find((node) => node.domain === '/berlin') as FleetNode
  const id = 'shop.lab.hello.lab'
  await timed('a service of the first operator for the second one’s devices is refused by their owner', async () => {
    await from.control.deploy(JSON.stringify(descriptor), { domain: null })
    const leader = await rootLeader(fleet)
    return await until(
      'the refusal is shown',
      async () => {
        const all = await leader.control.instances()
        return all.find(({ service, reason }) => service === id && /policy forbids it/.test(reason))?.reason ?? null
      },
      PATIENCE_MS,
    )
  })
  await from.control.remove(id)
}

async function deploy(fleet: Fleet): Promise<readonly InstanceView[]> {
  const from = fleet.living().find((node) => node.domain === '/rome') as FleetNode
  const descriptor = await readFile(DESCRIPTOR, 'utf8')
  let placed: readonly InstanceView[] = []
  await timed('deployed 2 replicas, submitted on a node of /rome', async () => {
    await from.control.deploy(descriptor, { domain: null })
    placed = await until('both replicas run', () => bothRunning(from), PATIENCE_MS)
    return placed.map((one) => `#${one.number} on ${deviceOf(fleet, one)?.name}`).join(', ')
  })
  for (const one of placed)
    say(`  #${one.number} runs on ${deviceOf(fleet, one)?.name} in ${one.domain}: ${one.reason}`)
  return placed
}

async function callFromElsewhere(fleet: Fleet, placed: readonly InstanceView[]): Promise<void> {
  const caller = fleet.living().find((node) => placed.every((one) => one.domain !== node.domain))
  if (caller === undefined) throw new Error('every cluster runs an instance, so there is no other to call from')
  await timed(`called http://${ADDRESS}/ from ${caller.name}, in another cluster`, async () => {
    return await until('the address answers', () => call(caller), PATIENCE_MS)
  })
}

/** The whole device goes: its node, and what it ran. */
async function cutDown(fleet: Fleet, device: FleetNode): Promise<void> {
  await fleet.cutDown(device)
  if (isDocker) await removeContainers([nodeIds.get(device.name) ?? ''])
}

/** Resolves with the domain that lost its leader. */
async function loseRootLeader(fleet: Fleet): Promise<string> {
  const leader = await rootLeader(fleet)
  const { node: lost } = await leader.control.status()
  say(`cutting down ${leader.name}, which leads ${leader.domain} and the root`)
  await cutDown(fleet, leader)
  await timed(`a new leader of the root and of ${leader.domain} is known to all`, async () => {
    await until(
      'all know new leaders',
      () => everyone(fleet, (node) => knowsLeaders(node, 1, (id) => id !== lost)),
      PATIENCE_MS,
    )
    return (await rootLeader(fleet)).name
  })
  return leader.domain
}

async function loseInstance(fleet: Fleet, hurt: string): Promise<void> {
  const asked = fleet.living().find(({ domain }) => domain !== hurt) as FleetNode
  const find = async () => {
    const victim = (await running(asked)).find(({ domain }) => domain !== hurt)
    const device = victim && deviceOf(fleet, victim)
    return device && fleet.living().includes(device) && { victim, device }
  }
  const { victim, device } = await until('one runs outside the cluster that lost its leader', find, PATIENCE_MS)
  const caller = fleet.living().find((node) => node.domain !== device.domain) as FleetNode
  say(`cutting down ${device.name}, which runs #${victim.number}`)
  await cutDown(fleet, device)
  await timed(`#${victim.number} answered by name from a replacement`, async () => {
    const isReplaced = async (): Promise<boolean> => (await call(caller)).includes(`instance ${victim.number},`)
    await until('a replacement answers', isReplaced, PATIENCE_MS)
    const now = (await running(caller)).find(({ number, node }) => number === victim.number && node !== victim.node)
    return `on ${(now && deviceOf(fleet, now)?.name) ?? '?'}`
  })
}

async function story(fleet: Fleet): Promise<void> {
  await timed('all nine nodes can take work', async () => {
    await until(
      'all nodes are ready',
      () => everyone(fleet, (node) => knowsLeaders(node, 1, () => true)),
      PATIENCE_MS,
      fleet.nodes,
    )
    for (const node of fleet.nodes) nodeIds.set(node.name, (await node.control.status()).node)
    return `root leader ${(await rootLeader(fleet)).name}`
  })
  say('waiting until each domain has three electors (a child is promoted after it was steady for 10 s)')
  await timed('every domain can lose any one of its electors', async () => {
    const isSafe = (node: FleetNode): Promise<boolean> => knowsLeaders(node, ELECTORS_OF_THREE, () => true)
    await until('three electors everywhere', () => everyone(fleet, isSafe), PATIENCE_MS, fleet.nodes)
    return ''
  })
  await agree(fleet)
  const placed = await deploy(fleet)
  await callFromElsewhere(fleet, placed)
  await beRefused(fleet)
  await loseInstance(fleet, await loseRootLeader(fleet))
}

function lookAround(fleet: Fleet, baseDir: string): void {
  const folder = fleet.living()[0]?.dataDir ?? baseDir
  console.log(`\nThe fleet keeps running; Ctrl-C ends it. Look around with:
  npm run --silent coppice -- status --data ${folder}
  npm run --silent coppice -- nodes --data ${folder}
  npm run --silent coppice -- ps --data ${folder}
  npm run --silent coppice -- resolve ${ADDRESS} --data ${folder}
  npm run --silent coppice -- logs ${SERVICE} --data ${folder}`)
}

async function main(): Promise<void> {
  if (!['process', 'docker'].includes(words.runtime))
    throw new Error(`there is no runtime "${words.runtime}": use process or docker`)
  if (isDocker) await requireEngine()
  const baseDir = await mkdtemp(join(tmpdir(), 'coppice-demo-'))
  const fleet = createFleet({ baseDir, clusters: CLUSTERS, onProgress: say })
  const interrupted = new Promise<'interrupted'>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve('interrupted'))
  })
  try {
    say(`starting nine nodes on loopback, with their folders in ${baseDir}`)
    const outcome = await Promise.race([fleet.start().then(() => story(fleet)), interrupted])
    if (outcome === 'interrupted') throw new Error('interrupted')
    console.log(`\n${table(['what happened', 'took', 'detail'], measured.map(rowOf))}`)
    if (words.keep) {
      lookAround(fleet, baseDir)
      await interrupted
    }
  } finally {
    await fleet.stop()
    if (isDocker) await removeContainers([...nodeIds.values()])
    await removeFolder(baseDir)
  }
}

const rowOf = ({ what, ms, detail }: Measured): string[] => [what, ms === null ? '' : seconds(ms), detail]

main().then(
  () => process.exit(0),
  (problem: unknown) => {
    console.error(`\nThe demo failed: ${problem instanceof Error ? problem.message : String(problem)}`)
    process.exit(1)
  },
)

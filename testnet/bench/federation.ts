// What belonging costs: checking a long charter, joining, and being put out of a cluster of fifty. The nodes of the
// last parts live in this one process, each with its own folder, sockets and keys.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Charter, entriesOf, extend, foundWith, openEntries } from '../../bootstrap/charter.ts'
import { type CharterEntry, draftEntry, signEntry } from '../../bootstrap/charter-entry.ts'
import { packEntries, unpackEntries } from '../../bootstrap/charter-file.ts'
import { nodeCrypto } from '../../bootstrap/io/crypto.ts'
import { createOperatorKey } from '../../bootstrap/io/key-file.ts'
import { createNode, joinNode, type NodeControl, type RunningNode } from '../../node/index.ts'
import { nodeId } from '../../overlay/kernel/ids.ts'
import { type Figure, loadNow, median, worstOf } from './figures.ts'

export const FEDERATION_PARTS = ['charter', 'join', 'revoke'] as const

const CHARTER_ENTRIES = 1_000
const CHARTER_MS_MAX = 300
const JOIN_MS_MAX = 2_000
const REVOKE_MS_MAX = 2_000
/** How often it is looked whether something has come about; looking at fifty nodes costs this process time, too. */
const LOOK_MS = 10
const PATIENCE_MS = 120_000
/** Nodes that start at the same time. */
const WAVE_NODES = 5

export interface FederationBench {
  readonly parts: readonly string[]
  readonly runs: number
  readonly nodes: number
}

export async function benchFederation({ parts, runs, nodes }: FederationBench): Promise<readonly Figure[]> {
  const baseDir = await mkdtemp(join(tmpdir(), 'coppice-bench-'))
  try {
    return [
      ...(parts.includes('charter') ? await benchCharter(baseDir, runs) : []),
      ...(parts.includes('join') ? await benchJoin(baseDir, runs) : []),
      ...(parts.includes('revoke') ? await benchRevocation(baseDir, nodes) : []),
    ]
  } finally {
    await rm(baseDir, { recursive: true, force: true })
  }
}

/** Reads and checks a charter of revocations by one of three operators each, as a start of a node does. */
async function benchCharter(baseDir: string, runs: number): Promise<readonly Figure[]> {
  const packed = packEntries(entriesOf(await longCharter(baseDir)))
  const took: number[] = []
  for (let run = 0; run < runs; run++) {
    const from = performance.now()
    const read = unpackEntries(packed)
    const opened = read.ok ? openEntries(read.value, nodeCrypto) : read
    if (!opened.ok) throw new Error('the charter of the bench is not valid')
    took.push(performance.now() - from)
  }
  const what = `charter of ${CHARTER_ENTRIES} entries read and verified`
  return [
    { what: `${what}, median of ${runs}`, value: median(took), target: CHARTER_MS_MAX, unit: 'ms' },
    { what: 'its bytes', value: packed.length / 1_024, target: 1_024, unit: 'KiB' },
  ]
}

async function longCharter(baseDir: string): Promise<Charter> {
  const keys = await Promise.all(['a', 'b', 'c'].map((name) => createOperatorKey(join(baseDir, `${name}.key`), name)))
  const operators = keys.map(({ operator: id, name }) => ({ id, name }))
  const founded = foundWith({ name: 'bench', nonce: new Uint8Array(32), at: 0, operators }, keys, nodeCrypto)
  if (!founded.ok) throw new Error(founded.error.detail)
  // Entries are signed one on top of the other, and taken in at once.
  const entries: CharterEntry[] = []
  let tip = founded.value
  while (entries.length < CHARTER_ENTRIES - 1) {
    const key = keys[entries.length % keys.length]
    if (key === undefined) break
    const node = nodeId(`12D3KooW${String(entries.length).padStart(44, 'x')}`)
    const body = { operator: key.operator, nodes: [node], credentials: [], reason: 'lost', at: entries.length }
    const { length, head } = tip.view
    const entry = signEntry(draftEntry(length, head, { kind: 'revoke', body }), [key])
    entries.push(entry)
    tip = extend(tip, [entry], nodeCrypto).charter
  }
  return tip
}

/** From handing a new device an invite until it can take work, next to the founder alone. */
async function benchJoin(baseDir: string, runs: number): Promise<readonly Figure[]> {
  const founder = await createNode({ ...optionsOf(baseDir, 'founder'), domain: '/bench' as never })
  await founder.ready(AbortSignal.timeout(PATIENCE_MS))
  const took: number[] = []
  for (let run = 0; run < runs; run++) {
    const invite = await founder.control.invite({ domain: null, uses: 1, ttlMs: 600_000 })
    const from = performance.now()
    const guest = await joinNode({ ...optionsOf(baseDir, `guest-${run}`), invite })
    await guest.ready(AbortSignal.timeout(PATIENCE_MS))
    took.push(performance.now() - from)
    await guest.stop()
  }
  await founder.stop()
  const what = `invite to ready on loopback, without the start of the process`
  console.error(`join: worst of ${runs} ${Math.round(worstOf(took))} ms; ${loadNow()}`)
  return [{ what: `${what}, median of ${runs}`, value: median(took), target: JOIN_MS_MAX, unit: 'ms' }]
}

/** From the order on one device until all others know, and nobody is connected to the one that was put out. */
async function benchRevocation(baseDir: string, count: number): Promise<readonly Figure[]> {
  const started = await startFleet(baseDir, count)
  const [founder, ...others] = started
  const victim = others.at(-1)
  if (founder === undefined || victim === undefined) throw new Error('a fleet has at least two nodes')
  const { node } = victim.control.status()
  const rest = started.filter((one) => one !== victim).map(({ control }) => control)
  const isConnected = (control: NodeControl): boolean =>
    control.status().peers.some((peer) => peer.node === node && peer.path !== null)
  console.error(`${rest.filter(isConnected).length} of ${rest.length} are connected to the one that is put out`)
  const from = performance.now()
  const { charterHead } = await founder.control.revoke(node)
  const knows = (control: NodeControl): boolean => control.charterLog().head === charterHead
  const knownMs = await since(from, () => rest.every(knows))
  const cutMs = await since(from, () => !rest.some(isConnected))
  await Promise.all(started.map((one) => one.stop()))
  return [
    { what: `revocation known to all of ${count} nodes`, value: knownMs, target: REVOKE_MS_MAX, unit: 'ms' },
    { what: 'revoked node connected to nobody', value: cutMs, target: REVOKE_MS_MAX, unit: 'ms' },
  ]
}

async function startFleet(baseDir: string, count: number): Promise<readonly RunningNode[]> {
  const founder = await createNode({ ...optionsOf(baseDir, 'node-0'), domain: '/bench' as never })
  const started = [founder]
  const invite = await founder.control.invite({ domain: null, uses: count, ttlMs: 3_600_000 })
  while (started.length < count) {
    const wave = Math.min(WAVE_NODES, count - started.length)
    const joining = Array.from({ length: wave }, (_, index) =>
      joinNode({ ...optionsOf(baseDir, `node-${started.length + index}`), invite }),
    )
    started.push(...(await Promise.all(joining)))
    console.error(`${started.length} nodes run; ${loadNow()}`)
  }
  await Promise.all(started.map((one) => one.ready(AbortSignal.timeout(PATIENCE_MS))))
  const knowsAll = ({ control }: RunningNode): boolean => control.nodes().length >= count
  await since(performance.now(), () => started.every(knowsAll))
  return started
}

const optionsOf = (baseDir: string, name: string) => ({
  dataDir: join(baseDir, name),
  name,
  listen: ['/ip4/127.0.0.1/tcp/0'],
  mdns: false,
  pressure: null,
  virtualListeners: false,
  runtimes: ['process'],
})

/** Milliseconds until it is so; NaN when it never was. */
async function since(from: number, isSo: () => boolean): Promise<number> {
  const deadline = performance.now() + PATIENCE_MS
  while (!isSo()) {
    if (performance.now() > deadline) return Number.NaN
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
  return performance.now() - from
}

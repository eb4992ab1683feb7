// What belonging costs: checking a long charter, joining, and being put out of a cluster of fifty. The nodes of the
// last parts live in this one process, each with its own sockets and keys; those of the last are doors without rooms
// behind them, for fifty whole nodes are more than two processors carry.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Charter, entriesOf, extend, foundWith, openEntries } from '../../bootstrap/charter.ts'
import { type CharterEntry, draftEntry, signEntry } from '../../bootstrap/charter-entry.ts'
import { packEntries, unpackEntries } from '../../bootstrap/charter-file.ts'
import { nodeCrypto } from '../../bootstrap/io/crypto.ts'
import { createOperatorKey } from '../../bootstrap/io/key-file.ts'
import { createNode, joinNode } from '../../node/index.ts'
import { nodeId } from '../../overlay/kernel/ids.ts'
import { type Door, federationOf, openDoor, TOPIC } from './doors.ts'
import { type Figure, loadNow, median, worstOf } from './figures.ts'

export const FEDERATION_PARTS = ['charter', 'join', 'revoke'] as const

const CHARTER_ENTRIES = 1_000
const CHARTER_MS_MAX = 300
const JOIN_MS_MAX = 2_000
const REVOKE_MS_MAX = 2_000
/** How often it is looked whether something has come about; looking at fifty nodes costs this process time, too. */
const LOOK_MS = 10
const PATIENCE_MS = 120_000
const GRAFTED_MS = 3_000

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
      ...(parts.includes('revoke') ? await benchRevocation(nodes) : []),
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
async function benchRevocation(count: number): Promise<readonly Figure[]> {
  const doors = await openDoors(count)
  const [first] = doors
  const victim = doors.at(-1)
  if (first === undefined || victim === undefined) throw new Error('a fleet has at least two nodes')
  const node = victim.network.self
  const rest = doors.filter((door) => door !== victim)
  const isConnected = ({ network }: Door): boolean => network.connectedPeers().includes(node)
  console.error(
    `${rest.filter(isConnected).length} of ${rest.length} are connected to the one that is put out; ${loadNow()}`,
  )
  const from = performance.now()
  await first.gate.operators.revoke(node, 'bench')
  const { head } = first.gate.charter()
  const knownMs = await since(from, () => rest.every(({ gate }) => gate.charter().head === head))
  const cutMs = await since(from, () => !rest.some(isConnected))
  await Promise.all(doors.map((door) => door.stop()))
  return [
    { what: `revocation known to all of ${count} connected nodes`, value: knownMs, target: REVOKE_MS_MAX, unit: 'ms' },
    { what: 'revoked node connected to nobody', value: cutMs, target: REVOKE_MS_MAX, unit: 'ms' },
  ]
}

/** Starts them, each connected to the first, to the last and to its neighbours. */
async function openDoors(count: number): Promise<readonly Door[]> {
  const members = await federationOf(count)
  const doors: Door[] = []
  for (const member of members) doors.push(await openDoor(member))
  const [first, last] = [doors[0] as Door, doors.at(-1) as Door]
  for (const [index, door] of doors.entries()) {
    const around = [1, 2].map((step) => doors[(index + step) % count] as Door)
    const wanted = new Set([first, last, ...around].filter((other) => other !== door))
    door.network.want([...wanted].map(({ network }) => ({ peer: network.self, addresses: network.addresses() })))
    door.network.follow([TOPIC])
  }
  const isMeshed = ({ network }: Door): boolean => network.connectedPeers().length >= Math.min(4, count - 1)
  await since(performance.now(), () => doors.every(isMeshed) && last.network.connectedPeers().length === count - 1)
  // gossipsub grafts its mesh once a second.
  await new Promise((resolve) => setTimeout(resolve, GRAFTED_MS))
  return doors
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

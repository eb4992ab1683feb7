// The lab proper, run by main.ts inside namespaces of its own: builds the network, starts the nodes, does what one part
// of the lab asks for, and prints what came of it as one JSON value or as a table.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from '../local/fleet.ts'
import { readMatrix, renderMatrix } from './matrix.ts'
import { createLabNetwork, type Device } from './network.ts'
import { createLabFleet, lastWords } from './nodes.ts'
import { STORY_DEVICES, STORY_PLACES, tellStories } from './stories.ts'

/** The devices of the matrix; the first founds the federation. */
const DEVICES: readonly Device[] = [
  { name: 'public', place: { kind: 'public' } },
  { name: 'public-2', place: { kind: 'public' } },
  { name: 'full-cone', place: { kind: 'behind', nat: 'full-cone', site: 'a' } },
  { name: 'address', place: { kind: 'behind', nat: 'address-restricted', site: 'b' } },
  { name: 'port', place: { kind: 'behind', nat: 'port-restricted', site: 'c' } },
  { name: 'symmetric', place: { kind: 'behind', nat: 'symmetric', site: 'd' } },
  { name: 'symmetric-2', place: { kind: 'behind', nat: 'symmetric', site: 'e' } },
  { name: 'nat-pmp', place: { kind: 'behind', nat: 'symmetric', site: 'h', gateway: 'nat-pmp' } },
  { name: 'upnp', place: { kind: 'behind', nat: 'symmetric', site: 'i', gateway: 'upnp' } },
  { name: 'double', place: { kind: 'behind-two', nat: 'port-restricted' } },
  { name: 'no-udp', place: { kind: 'behind', nat: 'port-restricted-no-udp', site: 'f' } },
  { name: 'twin-1', place: { kind: 'behind', nat: 'port-restricted', site: 'g' } },
  { name: 'twin-2', place: { kind: 'behind', nat: 'port-restricted', site: 'g' } },
  { name: 'ipv6', place: { kind: 'ipv6-only' } },
]
/** The time after the last device came in which the pairs may still become direct, as the issue allows. */
const SETTLE_MS = 12_000

const [baseDir = '', json = '', only = '', part = ''] = process.argv.slice(2)
const names = only.split(',')
const all = part === 'stories' ? STORY_DEVICES : DEVICES
const devices = only === '' ? all : all.filter(({ name }) => names.includes(name))
const say = (text: string): void => void process.stderr.write(`${text}\n`)

async function showMatrix(): Promise<void> {
  const settledAtMs = Date.now() + SETTLE_MS
  await until('the paths have settled', async () => Date.now() >= settledAtMs, SETTLE_MS * 2)
  const pairs = await readMatrix(fleet)
  process.stdout.write(json === 'json' ? `${JSON.stringify({ pairs })}\n` : `${renderMatrix(pairs)}\n`)
  process.exitCode = pairs.every(({ path }) => path !== null) ? 0 : 1
}

const network = await createLabNetwork(part === 'stories' ? STORY_PLACES : devices)
const fleet = createLabFleet(baseDir)
try {
  await fleet.start(devices, network, say)
  if (part === 'stories') process.stdout.write(`${JSON.stringify(await tellStories(fleet, network, say))}\n`)
  else await showMatrix()
} catch (problem) {
  say(await lastWords(fleet))
  throw problem
} finally {
  await writeFile(join(baseDir, 'events.json'), JSON.stringify(fleet.watch.since(0)))
  await fleet.stop()
}

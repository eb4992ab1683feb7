// Devices die and return, leaders change, clusters are cut off and messages are lost, all by one seed; then it all
// stops, and what runs must become exactly what is wanted.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, instanceKey, type NodeId, ROOT } from '../overlay/kernel/ids.ts'
import { pick, type Random, randomInt, seededRandom } from '../overlay/kernel/random.ts'
import { Fleet } from './fleet-harness.ts'
import { migrate, previousPlaces, setIntake } from './move-harness.ts'
import { specOf } from './placement-fixtures.ts'
import { type ServiceSpec, SPEC_DEFAULTS, serviceIdOf } from './spec.ts'

const SEEDS = 20
const STEPS = 30
/** With two of nine devices closed the services of /b have one left at least. */
const CLOSED_MAX = 2
const CLUSTERS = ['/a', '/b', '/c'] as DomainPath[]

interface Story {
  readonly fleet: Fleet
  readonly random: Random
  /** Devices that take nothing new, or give away what they have. */
  readonly closed: Map<NodeId, 'cordoned' | 'draining'>
  /** What was submitted last, by domain and name; null once removed. */
  readonly wanted: Map<string, { readonly domain: DomainPath; readonly spec: ServiceSpec | null }>
}

/** The leaders of the clusters that have lost theirs, and of the root, are elected anew among those that are up. */
function electWhereNeeded({ fleet, random }: Story): void {
  for (const domain of [...CLUSTERS, ROOT]) {
    const leader = fleet.devices.get(fleet.leaderOf(domain))
    const isLed = leader?.isUp === true && fleet.hasLed(domain)
    if (isLed) continue
    const voters = [...fleet.devices.values()].filter(
      (device) => device.isUp && (domain === ROOT || device.domain === domain),
    )
    const next = pick(random, voters)
    if (next !== undefined) fleet.elect(domain, next.id)
  }
}

function disturb(story: Story): void {
  const { fleet, random } = story
  const device = pick(random, [...fleet.devices.values()])
  const cluster = pick(random, CLUSTERS) as DomainPath
  switch (randomInt(random, 0, 11)) {
    case 0:
    case 1:
      if (device?.isUp) fleet.kill(device.id)
      return
    case 2:
    case 3:
      if (device?.isUp === false) fleet.boot(device.id)
      return
    case 4:
      fleet.cut(cluster)
      return
    case 5:
      fleet.heal(cluster)
      return
    case 6:
      moveSomething(story)
      return
    case 7:
      if (device !== undefined) close(story, device.id)
      return
    default:
      submitSomething(story)
  }
}

function moveSomething({ fleet, random }: Story): void {
  const name = pick(random, ['web', 'api']) as string
  const domain = name === 'web' ? ROOT : ('/b' as DomainPath)
  const to = pick(random, [null, '/a', '/c', 'device-b2', 'device-c3']) as string | null
  if (fleet.devices.get(fleet.leaderOf(domain))?.isUp !== true) return
  migrate(fleet, serviceIdOf(specOf({ name })), randomInt(random, 0, 6), to, { domain })
}

/** Closes or opens a device; enough of them stay open for all that is wanted. */
function close({ fleet, random, closed }: Story, id: NodeId): void {
  const intake = pick(random, ['open', 'cordoned', 'draining'] as const) ?? 'open'
  const isClosing = intake !== 'open'
  if (isClosing && !closed.has(id) && closed.size >= CLOSED_MAX) return
  if (isClosing) closed.set(id, intake)
  else closed.delete(id)
  setIntake(fleet, id, intake)
}

function submitSomething({ fleet, random, wanted }: Story): void {
  const name = pick(random, ['web', 'api']) as string
  const domain = name === 'web' ? ROOT : ('/b' as DomainPath)
  if (fleet.devices.get(fleet.leaderOf(domain))?.isUp !== true) return
  const spec = specOf({
    name,
    replicas: randomInt(random, 0, 6),
    environment: { VERSION: `${randomInt(random, 0, 3)}` },
    update: { ...SPEC_DEFAULTS.update, parallel: randomInt(random, 1, 4), monitorMs: 1_000 },
  })
  const isRemoval = random.next() < 0.2
  if (isRemoval) fleet.remove(spec, domain)
  else fleet.submit(spec, domain)
  wanted.set(name, { domain, spec: isRemoval ? null : spec })
}

const wantedKeys = ({ wanted }: Story): string[] =>
  [...wanted.values()]
    .flatMap(({ spec }) =>
      spec === null ? [] : Array.from({ length: spec.replicas }, (_, number) => instanceKey(serviceIdOf(spec), number)),
    )
    .sort()

function tell(seed: number): void {
  const random = seededRandom(seed)
  const story: Story = { fleet: new Fleet({ seed, loss: 0.1 }), random, wanted: new Map(), closed: new Map() }
  const { fleet } = story
  for (let count = 0; count < STEPS; count++) {
    disturb(story)
    electWhereNeeded(story)
    fleet.run(randomInt(random, 0, 4_000))
  }
  for (const domain of CLUSTERS) fleet.heal(domain)
  for (const device of fleet.devices.values()) if (!device.isUp) fleet.boot(device.id)
  electWhereNeeded(story)
  fleet.loss = 0
  const expected = wantedKeys(story).join(' ')
  const keys = (): string =>
    fleet
      .running()
      .map((one) => one.split('@')[0])
      .sort()
      .join(' ')
  fleet.until(`what runs is what is wanted (seed ${seed}): ${expected}`, () => keys() === expected, 180_000)
  const onDrained = (): string[] =>
    fleet.running().filter((one) => story.closed.get(one.split('@')[1] as NodeId) === 'draining')
  fleet.until(`nothing stays on a drained device (seed ${seed})`, () => onDrained().length === 0, 180_000)
  fleet.run(30_000)
  assert.deepEqual(previousPlaces(fleet), [], `no move is left unfinished (seed ${seed})`)
  assert.equal(keys(), expected, `and stays so (seed ${seed})`)
  for (const [name, { spec }] of story.wanted) {
    if (spec === null) continue
    const version = spec.environment.VERSION
    assert.deepEqual(
      fleet.versionsOf(name).filter((one) => one !== version),
      [],
      `and is the latest version (seed ${seed})`,
    )
  }
}

test('after any trouble, what runs becomes what is wanted', () => {
  const first = Number(process.env.CHAOS_FROM ?? 1)
  const count = Number(process.env.CHAOS_SEEDS ?? SEEDS)
  for (let seed = first; seed < first + count; seed++) tell(seed)
})

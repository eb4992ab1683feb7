// Devices die and return, leaders change, clusters are cut off and messages are lost, all by one seed; then it all
// stops, and what runs must become exactly what is wanted.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, instanceKey, ROOT } from '../overlay/kernel/ids.ts'
import { pick, type Random, randomInt, seededRandom } from '../overlay/kernel/random.ts'
import { Fleet } from './fleet-harness.ts'
import { specOf } from './placement-fixtures.ts'
import { type ServiceSpec, SPEC_DEFAULTS, serviceIdOf } from './spec.ts'

const SEEDS = 20
const STEPS = 30
const CLUSTERS = ['/a', '/b', '/c'] as DomainPath[]

interface Story {
  readonly fleet: Fleet
  readonly random: Random
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
  switch (randomInt(random, 0, 8)) {
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
    default:
      submitSomething(story)
  }
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
  const story: Story = { fleet: new Fleet({ seed, loss: 0.1 }), random, wanted: new Map() }
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
  fleet.run(30_000)
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

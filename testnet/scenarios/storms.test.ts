// Everything is switched on at once, on machines that have too little for all of it: processes stand still for seconds
// with their connections open, and whoever says nothing is there all the same.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chainOf, type DomainPath, ROOT } from '../../overlay/kernel/ids.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { Load } from '../sim/desk.ts'
import { type Stage, setStage } from './stage.ts'

/** As a hundred processes on two cores fare for the first seconds. A guess. */
const CROWDED: Load = { startMs: { min: 300, max: 3_000 }, stepMs: { min: 1, max: 10 }, until: 15_000 }
const LOOK_MS = 250
const WAIT_MS_MAX = 60_000

interface Storm {
  readonly stage: Stage
  /** Lines that were begun, by domain. */
  readonly founded: ReadonlyMap<string, number>
  /** When everybody knew, and agreed on, who leads each of its domains. */
  readonly agreedAt: Millis
  /** For how long the root was led by nobody after it had a leader. */
  readonly leaderlessMs: Millis
}

function brew(nodes: number, clusters: number, seed: number, load?: Load): Storm {
  const founded = new Map<string, number>()
  const stage = setStage({
    nodes,
    clusters,
    seed,
    watch: {
      switchedOnWithinMs: 2_000,
      ...(load && { load }),
      onEvent: (_device, { name, domain = ROOT }) => {
        if (name === 'domain-founded') founded.set(domain, (founded.get(domain) ?? 0) + 1)
      },
    },
  })
  let [wasLed, leaderlessMs] = [false, 0]
  for (let now = 0; now < WAIT_MS_MAX; now += LOOK_MS) {
    stage.run(LOOK_MS)
    const isLed = stage.devices.some(({ core }) => core?.view.seats().some((seat) => leads(seat, ROOT)))
    if (wasLed && !isLed) leaderlessMs += LOOK_MS
    wasLed ||= isLed
    if (isLed && isAgreed(stage)) return { stage, founded, agreedAt: stage.world.agenda.now(), leaderlessMs }
  }
  return assert.fail(`no agreement within ${WAIT_MS_MAX} ms`)
}

const leads = (seat: { readonly domain: DomainPath; readonly fence: object | null }, domain: DomainPath): boolean =>
  seat.domain === domain && seat.fence !== null

function isAgreed({ devices, leaderSeenBy }: Stage): boolean {
  const seen = new Map<DomainPath, string>()
  return devices.every(({ node, facts }) =>
    chainOf(facts.facts.domain).every((domain) => {
      const leader = leaderSeenBy(node, domain)
      if (leader === null) return false
      if (!seen.has(domain)) seen.set(domain, leader)
      return seen.get(domain) === leader
    }),
  )
}

const foundedTwice = ({ founded }: Storm): readonly string[] =>
  [...founded].filter(([, lines]) => lines > 1).map(([domain]) => domain)

test('joiners of a cluster whose founder stands still wait for it, and its root never goes without a leader', () => {
  for (const seed of [1, 3]) {
    const storm = brew(60, 1, seed, CROWDED)
    assert.deepEqual(foundedTwice(storm), [])
    assert.equal(storm.leaderlessMs, 0)
    assert.ok(storm.agreedAt <= 8_000, `agreed after ${storm.agreedAt} ms`)
  }
})

test('twenty clusters that are switched on at once are each founded once, and soon under one root', () => {
  const storm = brew(60, 20, 2)
  assert.deepEqual(foundedTwice(storm), [])
  assert.equal(storm.leaderlessMs, 0)
  assert.ok(storm.agreedAt <= 9_000, `agreed after ${storm.agreedAt} ms`)
})

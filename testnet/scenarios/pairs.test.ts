// A cluster of two devices whose leader stops for good: its parent is the witness that lets the other one go on.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ELECTION_TIMINGS } from '../../election/index.ts'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import { type Stage, setStage } from './stage.ts'

/** For so long the other side has to be silent before the parent grants a line (DESIGN section 6); longest timeouts. */
const LED_AGAIN_MS_MAX = 3 * ELECTION_TIMINGS.lan.electionTimeoutMsMax
/** A quarter of the time after which a cluster recovers without a parent. */
const WATCHED_MS = 15_000
const LOOK_MS = 10

const leaderOf = (stage: Stage, domain: DomainPath): string | null =>
  stage.devices.find(({ core }) => core?.view.seats().some((seat) => seat.domain === domain && seat.fence))?.node ??
  null

/** Stops the leader of a domain as its process would, and returns the longest time for which the domain has none. */
function stopLeader(stage: Stage, domain: DomainPath): Millis {
  const leaving = stage.device(leaderOf(stage, domain) ?? '')
  leaving.input({ kind: 'hand-over' })
  for (let ms = 0; leaving.core?.view.isHandedOver() === false && ms < 3_000; ms++) stage.run(1)
  leaving.killProcess()
  let longest: Millis = 0
  let current: Millis = 0
  for (let watched = 0; watched < WATCHED_MS; watched += LOOK_MS) {
    stage.run(LOOK_MS)
    current = leaderOf(stage, domain) === null ? current + LOOK_MS : 0
    longest = Math.max(longest, current)
  }
  assert.equal(current, 0, `${domain} is led in the end`)
  return longest
}

test('a pair whose leader stops goes on within three election timeouts, whether or not it led the root', () => {
  for (const seed of [1, 2]) {
    for (const domain of ['/a' as DomainPath, '/b' as DomainPath, '/c' as DomainPath]) {
      const stage = setStage({ nodes: 6, clusters: 3, seed })
      stage.run(30_000)
      stage.settle()
      const ms = stopLeader(stage, domain)
      assert.ok(ms <= LED_AGAIN_MS_MAX, `${domain} had no leader for ${ms} ms (seed ${seed})`)
    }
  }
})

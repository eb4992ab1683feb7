// A node that is asked to stop (SIGTERM) gives away what it leads before it goes, so that nobody is without a leader
// for longer than a commit takes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isElector } from '../../election/index.ts'
import { type DomainPath, ROOT } from '../../overlay/kernel/ids.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { Device } from '../sim/device.ts'
import { type Stage, setStage } from './stage.ts'

/** How long a domain may be without a leader when its leader stops: the figure for real processes. */
const GAP_MS_MAX = 50
/** Longer than any of this takes; a node whose stop hangs would be killed. */
const WATCHED_MS = 3_000

const isLed = (stage: Stage, domain: DomainPath): boolean =>
  stage.devices.some(({ core }) => (core?.view.seats() ?? []).some((seat) => seat.domain === domain && seat.fence))

/** Stops a node as its process would (node.ts), and returns the longest time each domain that it led had no leader. */
function stopGracefully(stage: Stage, leaving: Device): ReadonlyMap<DomainPath, Millis> {
  const led = leaving.core?.view.seats().filter(({ fence }) => fence !== null) ?? []
  const longest = new Map(led.map(({ domain }): [DomainPath, Millis] => [domain, 0]))
  const current = new Map<DomainPath, Millis>()
  leaving.input({ kind: 'hand-over' })
  for (let ms = 1; ms <= WATCHED_MS; ms++) {
    stage.run(1)
    for (const [domain, worst] of longest) {
      current.set(domain, isLed(stage, domain) ? 0 : (current.get(domain) ?? 0) + 1)
      longest.set(domain, Math.max(worst, current.get(domain) ?? 0))
    }
    if (leaving.core?.view.isHandedOver()) leaving.killProcess()
  }
  assert.ok(!leaving.isUp, 'it comes to an end')
  return longest
}

test('when the node that leads its cluster and the root stops, neither is without a leader for 50 ms', () => {
  for (const [nodes, clusters] of [
    [5, 1],
    [6, 2],
    [9, 3],
  ] as const) {
    for (const seed of [1, 2]) {
      const stage = setStage({ nodes, clusters, seed })
      stage.run(30_000)
      stage.settle()
      const leaving = stage.device(stage.leaderSeenBy('a1', ROOT) ?? '')
      const gaps = stopGracefully(stage, leaving)
      assert.equal(gaps.size, 2, 'it led both')
      for (const [domain, ms] of gaps) {
        assert.ok(ms <= GAP_MS_MAX, `${domain} had no leader for ${ms} ms (${nodes} nodes, seed ${seed})`)
      }
      for (const { core } of stage.devices) {
        const known = core?.view.leaders().leaderOf(ROOT)?.announcement.node
        assert.ok(core === null || (known !== undefined && known !== leaving.node), 'all know who leads now')
      }
    }
  }
})

test('a root of two clusters keeps its leader when the leader of the other cluster stops', () => {
  const stage = setStage({ nodes: 6, clusters: 2, seed: 3 })
  stage.run(30_000)
  stage.settle()
  const rootLeader = stage.leaderSeenBy('a1', ROOT) ?? ''
  const other = stage.devices.find(
    ({ core, node }) => node !== rootLeader && core?.view.seats().some(({ domain }) => domain === ROOT),
  )
  assert.ok(other !== undefined)
  const fence = stage.device(rootLeader).core?.view.seats().at(-1)?.fence
  assert.ok(fence)
  stopGracefully(stage, other)
  assert.deepEqual(stage.device(rootLeader).core?.view.seats().at(-1)?.fence, fence)
})

test('a node that leads nothing, or that nobody could take over from, stops at once', () => {
  const stage = setStage({ nodes: 3, clusters: 1 })
  stage.run(30_000)
  const leader = stage.leaderSeenBy('a1', ROOT) ?? ''
  const follower = stage.devices.find(({ node }) => node !== leader)
  assert.ok(follower !== undefined)
  follower.input({ kind: 'hand-over' })
  assert.ok(follower.core?.view.isHandedOver())
  const alone = setStage({ nodes: 1, clusters: 1 })
  alone.run(5_000)
  alone.device('a1').input({ kind: 'hand-over' })
  assert.ok(alone.device('a1').core?.view.isHandedOver())
})

test('drained devices do not hand their cluster to each other while the only open one has no vote', () => {
  const stage = setStage({ nodes: 3, clusters: 1 })
  stage.run(30_000)
  const leader = stage.leaderSeenBy('a1', ROOT) ?? assert.fail('the root is led')
  const [open, other] = stage.devices.filter(({ node }) => node !== leader)
  assert.ok(open !== undefined && other !== undefined)
  open.wipe()
  open.start()
  for (const { node } of [stage.device(leader), other]) {
    stage.device(node).input({ kind: 'ask', question: { node, set: 'draining', requestId: `drain ${node}` } })
  }
  stage.run(3_000)
  const termOf = (): number => {
    const seats = [stage.device(leader), other].flatMap(({ core }) => core?.view.seats()[0] ?? [])
    assert.ok(!open.core?.view.seats().some(({ state }) => isElector(state)))
    return Math.max(...seats.map(({ state }) => state.term))
  }
  const term = termOf()
  // A device is measured every five seconds, and made an elector when it was steady for ten.
  stage.run(5_500)
  assert.equal(termOf(), term)
  stage.run(30_000)
  assert.equal(stage.leaderSeenBy('a1', ROOT), open.node)
})

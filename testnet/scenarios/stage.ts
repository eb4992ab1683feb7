// A simulated federation without chance faults, for stories that are told on purpose.

import assert from 'node:assert/strict'
import { type DomainPath, type InstanceKey, ROOT } from '../../overlay/kernel/ids.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import { type ServiceSpec, serviceIdOf } from '../../placement/spec.ts'
import { settledMsMax, unsettled } from '../sim/checkers/liveness.ts'
import type { Device } from '../sim/device.ts'
import { simpleSpec } from '../sim/workload.ts'
import { createWorld, NO_DEFECTS, type World, type WorldOptions } from '../sim/world.ts'

export interface Stage {
  readonly world: World
  readonly devices: readonly Device[]
  device(name: string): Device
  run(ms: Millis): void
  /** Until nothing is missing of what a healthy federation has; fails when that takes too long. */
  settle(): void
  /** Cuts all connections between the named devices and the others, silently. */
  cutOff(...names: readonly string[]): void
  heal(): void
  deploy(at: string, spec: ServiceSpec, domain?: DomainPath): void
  /** Who runs an instance. */
  whoRuns(key: InstanceKey): readonly string[]
  /** The node that a device takes for the leader of a domain. */
  leaderSeenBy(name: string, domain: DomainPath): string | null
}

export function setStage(options: {
  readonly nodes: number
  readonly clusters: number
  readonly seed?: number
  readonly watch?: Pick<
    WorldOptions,
    'setting' | 'onDropped' | 'onEvent' | 'onFrame' | 'isChecked' | 'switchedOnWithinMs' | 'load'
  >
}): Stage {
  const { nodes, clusters, seed = 1, watch = {} } = options
  const plain = { seed, nodes, clusters, defects: NO_DEFECTS, onLine: null, onVote: () => undefined }
  const world = createWorld({ ...plain, ...watch })
  const { agenda, network, devices } = world
  const device = (name: string): Device => {
    const found = devices.find(({ node }) => node === name)
    assert.ok(found !== undefined, `there is no ${name}`)
    return found
  }
  return {
    world,
    devices,
    device,
    run: (ms) => world.run(agenda.now() + ms),
    settle: () => {
      const began = agenda.now()
      for (;;) {
        world.run(agenda.now() + 500)
        const missing = unsettled(devices)
        if (missing === null) return world.end()
        assert.ok(agenda.now() - began < settledMsMax('lan'), missing)
      }
    },
    cutOff: (...names) => {
      const inside = new Set(names)
      const pairs = devices.flatMap((a) =>
        devices
          .filter((b) => inside.has(a.node) !== inside.has(b.node))
          .map((b) => [a.facts.index, b.facts.index] as const),
      )
      network.part(pairs)
    },
    heal: () => network.heal(),
    deploy: (at, spec, domain = ROOT) => device(at).input({ kind: 'submit', domain, service: serviceIdOf(spec), spec }),
    whoRuns: (key) => devices.filter(({ instances }) => instances.get(key)?.isRunning).map(({ node }) => node),
    leaderSeenBy: (name, domain) => device(name).core?.view.leaders().leaderOf(domain)?.announcement.node ?? null,
  }
}

export const serviceOf = (name: string, replicas: number): ServiceSpec => ({ ...simpleSpec(name), replicas })

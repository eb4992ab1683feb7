// For the tests of this folder only: a runtime that starts and stops in virtual time, as a script says.

import type { NodeId } from '../overlay/kernel/ids.ts'
import type { Script } from './placement-fixtures.ts'
import type { EventQueue } from './queue-harness.ts'
import type { RuntimeEvent } from './runtime.ts'
import type { RuntimeOperation } from './worker-state.ts'

const START_MS = 30
const STOP_MS = 20

export interface TestDriver {
  /** What runs, by instance: which start it was, and its VERSION. */
  readonly running: Map<string, { readonly run: number; readonly version: string }>
  perform(operation: RuntimeOperation): void
  /** Everything is gone, and what was under way is not heard of any more. */
  powerOff(): void
}

export function createDriver(
  node: NodeId,
  queue: EventQueue,
  script: Script,
  log: string[],
  onEvent: (event: RuntimeEvent) => void,
): TestDriver {
  const running: TestDriver['running'] = new Map()
  let run = 0
  let life = 0
  const tell = (ms: number, event: RuntimeEvent, isStill: () => boolean = () => true): void => {
    const before = life
    queue.after(ms, () => {
      if (life !== before || !isStill()) return
      if (event.kind === 'exited' || event.kind === 'failed') running.delete(event.key)
      onEvent(event)
    })
  }
  const start = ({ launch }: RuntimeOperation & { readonly kind: 'start' }): void => {
    const { key, specId, spec, restarts } = launch
    const outcome = script(node, spec, restarts)
    if (outcome.kind === 'fails') {
      tell(START_MS, { kind: 'failed', key, detail: outcome.detail })
      return
    }
    run += 1
    const mine = run
    const isStill = (): boolean => running.get(key)?.run === mine
    running.set(key, { run, version: spec.environment.VERSION ?? '' })
    const ports = spec.ports.map(({ declared, protocol }) => ({ declared, actual: declared, protocol }))
    tell(START_MS, { kind: 'running', key, specId, endpoint: { host: '127.0.0.1', ports }, adopted: false }, isStill)
    if (outcome.kind !== 'exits') return
    tell(START_MS + outcome.afterMs, { kind: 'exited', key, code: outcome.code, detail: '' }, isStill)
  }
  return {
    running,
    perform: (operation) => {
      const key = operation.kind === 'start' ? operation.launch.key : operation.key
      log.push(`${operation.kind} ${key}@${node}`)
      if (operation.kind === 'start') start(operation)
      else if (operation.kind === 'stop') tell(STOP_MS, { kind: 'exited', key, code: null, detail: 'stopped' })
    },
    powerOff: () => {
      life += 1
      running.clear()
    },
  }
}

// A simulated runtime: instances that start after a while, run until they are stopped, and belong to the device: they
// survive the node's process, and end with the device's power.

import type { CoreInput } from '../../node/core/effects.ts'
import type { HostPorts } from '../../node/host.ts'
import type { InstanceKey } from '../../overlay/kernel/ids.ts'
import type { Random } from '../../overlay/kernel/random.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import { needOf, type Resources } from '../../placement/need.ts'
import type { FoundInstance, Launch, RuntimeEvent, RuntimeLimits } from '../../placement/runtime.ts'
import type { Endpoint } from '../../services-registry/record.ts'
import type { Agenda } from './agenda.ts'
import { between } from './streams.ts'

export const RUNTIME = 'process'

export interface Instance {
  readonly key: InstanceKey
  readonly specId: string
  readonly need: Resources
  readonly endpoint: Endpoint
  /** Its VERSION, as far as it has one. */
  readonly version: string
  readonly isRunning: boolean
  /** What it may use since the node restricted it; null as long as that is what it declared. */
  readonly limits: RuntimeLimits | null
}

export interface RuntimeDefects {
  /** Reports the end of an instance that goes on running. */
  readonly forgetsToStop: boolean
}

export interface SimRuntime {
  readonly port: HostPorts['runtimes']
  readonly instances: ReadonlyMap<InstanceKey, Instance>
  found(): readonly FoundInstance[]
  /** An instance ends by itself. */
  crash(key: InstanceKey): void
  onPowerCut(): void
}

/** A process is up within some tenths of a second, and gone a little sooner. Guesses. */
const START_MS = { min: 20, max: 400 }
const STOP_MS = { min: 5, max: 200 }

export function createRuntime(
  agenda: Agenda,
  random: Random,
  defects: RuntimeDefects,
  onStarted: (key: InstanceKey) => void,
  tell: (input: CoreInput) => void,
): SimRuntime {
  const instances = new Map<InstanceKey, Instance>()
  const freeAt = new Map<InstanceKey, Millis>()
  let power = 0

  const say = (event: RuntimeEvent): void => tell({ kind: 'runtime', event })

  /** What is done to one instance is done in order, as the drivers do it. */
  const inTurn = (key: InstanceKey, tookMs: number, act: () => void): void => {
    const poweredIn = power
    const moment = Math.max(freeAt.get(key) ?? 0, agenda.now()) + tookMs
    freeAt.set(key, moment)
    agenda.at(moment, () => {
      if (power === poweredIn) act()
    })
  }

  const start = (launch: Launch): void => {
    const { key, specId, spec } = launch
    inTurn(key, 0, () => {
      const known = instances.get(key)
      if (known !== undefined) return known.isRunning ? sayRunning(key, specId, true) : undefined
      const ports = spec.ports.map(({ declared, protocol }) => ({ declared, actual: declared, protocol }))
      const endpoint: Endpoint = { host: '127.0.0.1', ports }
      const version = spec.environment.VERSION ?? ''
      instances.set(key, { key, specId, need: needOf(spec), endpoint, version, isRunning: false, limits: null })
      onStarted(key)
    })
    inTurn(key, between(random, START_MS.min, START_MS.max), () => {
      const instance = instances.get(key)
      if (instance === undefined || instance.isRunning) return
      const running = { ...instance, isRunning: true }
      instances.set(key, running)
      sayRunning(key, specId, false)
      endInTime(running, spec)
    })
  }

  /** `run MS CODE` ends by itself; any other command runs until it is stopped. */
  const endInTime = ({ key, specId }: Instance, { command }: Launch['spec']): void => {
    const [name, ms, code] = command
    if (name !== 'run') return
    const poweredIn = power
    agenda.at(agenda.now() + Number(ms), () => {
      if (power !== poweredIn || instances.get(key)?.specId !== specId) return
      instances.delete(key)
      say({ kind: 'exited', key, code: Number(code), detail: 'came to its end' })
    })
  }

  const sayRunning = (key: InstanceKey, specId: string, adopted: boolean): void => {
    const instance = instances.get(key)
    if (instance?.specId !== specId) return
    say({ kind: 'running', key, specId, endpoint: instance.endpoint, adopted })
  }

  const stop = (key: InstanceKey): void => {
    inTurn(key, between(random, STOP_MS.min, STOP_MS.max), () => {
      if (!defects.forgetsToStop) instances.delete(key)
      say({ kind: 'exited', key, code: 0, detail: 'was stopped' })
    })
  }

  const limit = (key: InstanceKey, limits: RuntimeLimits): void => {
    inTurn(key, 0, () => {
      const instance = instances.get(key)
      if (instance === undefined) return
      const { vcpus, memoryMb } = instance.need
      const isDeclared = limits.vcpus === vcpus && limits.memoryMb === memoryMb && !limits.holdMemory
      instances.set(key, { ...instance, limits: isDeclared ? null : limits })
    })
  }

  return {
    port: {
      run: (_runtime, operation) => {
        if (operation.kind === 'start') start(operation.launch)
        else if (operation.kind === 'stop') stop(operation.key)
        else limit(operation.key, operation.limits)
      },
    },
    instances,
    found: () => [...instances.values()].map(({ key, specId, isRunning }) => ({ key, specId, running: isRunning })),
    crash: (key) => {
      if (!instances.delete(key)) return
      say({ kind: 'exited', key, code: 1, detail: 'ended by itself' })
    },
    onPowerCut: () => {
      power += 1
      freeAt.clear()
      instances.clear()
    },
  }
}

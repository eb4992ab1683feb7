// Pressure by itself: when it rises and falls, who has to go first, and that exactly what was changed is put back, also
// by a node that was killed in between.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { instanceKey, serviceId } from '../overlay/kernel/ids.ts'
import type { HostReading } from './host-reading.ts'
import {
  createPressure,
  PRESSURE_DEFAULTS,
  type PressedInstance,
  type PressureEffect,
  type PressureState,
  step,
} from './pressure.ts'

const CALM: HostReading = {
  cores: 4,
  architecture: 'arm64',
  os: 'linux',
  gpus: [],
  cpuUsed: 0.2,
  load: 0.2,
  memoryMb: { total: 1_000, free: 800 },
  diskMb: { total: 1_000, free: 800 },
}

const instance = (name: string, changes: Partial<PressedInstance> = {}): PressedInstance => ({
  key: instanceKey(serviceId(`shop.prod.${name}.prod`), 0),
  runtime: 'docker',
  specId: 'abcd',
  restarts: 0,
  priority: 100,
  vcpus: 2,
  memoryMb: 200,
  since: 1,
  ...changes,
})

/** One node: its readings, its disk, and what it does. */
class Device {
  state: PressureState
  instances: readonly PressedInstance[]
  disk: Uint8Array | null = null
  /** What a disk that hangs has yet to do; null while it does not. */
  waiting: PressureEffect[] | null = null

  constructor(instances: readonly PressedInstance[] = [], disk: Uint8Array | null = null) {
    this.instances = instances
    this.disk = disk
    this.state = createPressure(PRESSURE_DEFAULTS, disk)
  }

  /** Reads so many times; returns in words what followed. */
  read(times: number, changes: Partial<HostReading> = {}): string[] {
    const words: string[] = []
    for (let reading = 0; reading < times; reading++) {
      const stepped = step(this.state, {
        kind: 'reading',
        reading: { ...CALM, ...changes },
        instances: this.instances,
      })
      this.state = stepped.state
      for (const effect of stepped.effects) words.push(...this.#carryOut(effect))
    }
    return words
  }

  /** The disk goes on. */
  goesOn(): string[] {
    const waited = this.waiting ?? []
    this.waiting = null
    return waited.flatMap((effect) => this.#carryOut(effect))
  }

  #carryOut(effect: PressureEffect): string[] {
    const name = (key: string): string => key.split('.')[2] ?? ''
    switch (effect.kind) {
      case 'persist':
        if (this.waiting !== null) {
          this.waiting.push(effect)
          return []
        }
        this.disk = effect.value
        return effect.then.flatMap((then) => this.#carryOut(then))
      case 'limit': {
        const { vcpus, holdMemory } = effect.limits
        return [`${name(effect.key)} ${vcpus} cores${holdMemory ? ', held' : ''}`]
      }
      case 'evict':
        this.instances = this.instances.filter(({ key }) => key !== effect.key)
        return [`evict ${name(effect.key)}`]
      case 'emit':
        return [effect.event.name]
    }
  }
}

const SHORT: readonly (readonly [string, Partial<HostReading>])[] = [
  ['cpu', { cpuUsed: 0.81 }],
  ['load per core', { load: 0.9 }],
  ['memory', { memoryMb: { total: 1_000, free: 190 } }],
  ['disk', { diskMb: { total: 1_000, free: 100 } }],
]

for (const [what, reading] of SHORT) {
  test(`three readings short of ${what} restrict, three more taint, three calm ones relieve`, () => {
    const device = new Device()
    assert.deepEqual(device.read(2, reading), [])
    assert.deepEqual(device.read(1, reading), ['pressure-restricted'])
    assert.equal(device.state.level, 1)
    assert.deepEqual(device.read(3, reading), ['pressure-tainted'])
    assert.equal(device.state.level, 2)
    assert.deepEqual(device.read(3), ['pressure-relieved'])
    assert.equal(device.state.level, 0)
  })
}

test('limits that a hanging disk held up do not outlive the relief', () => {
  const device = new Device([instance('web')])
  device.waiting = []
  device.read(3, { cpuUsed: 0.95 })
  device.read(3)
  assert.equal(device.state.level, 0)
  assert.deepEqual(device.goesOn(), ['web 1 cores, held', 'web 2 cores'])
})

test('one calm reading starts the count again, and one between the marks too', () => {
  const device = new Device()
  const high = { cpuUsed: 0.95 }
  assert.deepEqual([...device.read(2, high), ...device.read(1, { cpuUsed: 0.75 }), ...device.read(2, high)], [])
  device.read(1, high)
  assert.equal(device.state.level, 1)
  assert.deepEqual([...device.read(2), ...device.read(1, { cpuUsed: 0.75 }), ...device.read(2)], [])
  assert.deepEqual(device.read(1), ['pressure-relieved'])
})

test('a sensor that is missing says nothing', () => {
  const { cpuUsed: _cpu, load: _load, diskMb: _disk, ...blind } = CALM
  const stepped = step(createPressure({ ...PRESSURE_DEFAULTS, readings: 1 }, null), {
    kind: 'reading',
    reading: blind,
    instances: [],
  })
  assert.deepEqual([stepped.state.level, stepped.effects], [0, []])
})

test('each instance is limited once, also one that comes later or starts again; relief puts back just those', () => {
  const device = new Device([instance('web')])
  assert.deepEqual(device.read(3, { cpuUsed: 0.9 }), ['pressure-restricted', 'web 1 cores, held'])
  device.instances = [instance('web'), instance('late', { vcpus: 1 })]
  assert.deepEqual(device.read(1, { cpuUsed: 0.75 }), ['late 0.5 cores, held'])
  device.instances = [instance('web', { restarts: 1 }), instance('late', { vcpus: 1 })]
  assert.deepEqual(device.read(2, { cpuUsed: 0.75 }), ['web 1 cores, held'])
  device.instances = [...device.instances, instance('new')]
  assert.deepEqual(device.read(2), ['new 1 cores, held'])
  assert.deepEqual(device.read(1), ['web 2 cores', 'late 1 cores', 'new 2 cores', 'pressure-relieved'])
})

test('one at a time has to go, the lowest priority first and of equals the youngest', () => {
  const device = new Device([
    instance('dear', { priority: 900 }),
    instance('old', { priority: 10, since: 5 }),
    instance('young', { priority: 10, since: 50 }),
  ])
  const short = { memoryMb: { total: 1_000, free: 10 } }
  const evictions = device.read(15, short).filter((word) => word.startsWith('evict'))
  assert.deepEqual(evictions, ['evict young', 'evict old', 'evict dear'])
  assert.equal(device.read(9, short).filter((word) => word.startsWith('evict')).length, 0)
})

test('between two evictions the device has as many readings to recover as a level takes', () => {
  const device = new Device(['a', 'b', 'c'].map((name) => instance(name)))
  const short = { cpuUsed: 0.99 }
  device.read(6, short)
  assert.equal(device.instances.length, 2)
  device.read(2, short)
  assert.equal(device.instances.length, 2)
  device.read(1, short)
  assert.equal(device.instances.length, 1)
})

test('a node that was killed while it was restricted still puts back what it changed', () => {
  const before = new Device([instance('web')])
  before.read(3, { cpuUsed: 0.9 })
  const after = new Device([instance('web')], before.disk)
  assert.equal(after.state.level, 1)
  assert.deepEqual(after.read(3), ['web 2 cores', 'pressure-relieved'])
  assert.deepEqual(new Device([instance('web')], after.disk).read(3), [])
})

test('whatever the readings were, after enough calm ones nothing is left changed', () => {
  const readings = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 60 })
  fc.assert(
    fc.property(readings, fc.integer({ min: 0, max: 60 }), (shares, killedAt) => {
      const limited = new Map<string, boolean>()
      let device = new Device([instance('a'), instance('b', { priority: 5 }), instance('c')])
      const note = (words: readonly string[]): void => {
        for (const word of words) {
          const limit = /^(\w) .* cores(, held)?$/.exec(word)
          if (limit !== null) limited.set(limit[1] ?? '', limit[2] !== undefined)
        }
      }
      for (const [index, share] of [...shares, 0, 0, 0].entries()) {
        if (index === killedAt) device = new Device(device.instances, device.disk)
        note(device.read(1, { cpuUsed: share }))
      }
      note(device.read(3))
      for (const { key } of device.instances) assert.notEqual(limited.get(key.split('.')[2] ?? ''), true)
      assert.equal(device.state.level, 0)
    }),
  )
})

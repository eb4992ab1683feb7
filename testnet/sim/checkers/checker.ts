// What a checker sees of a world. It looks and never touches; the first rule that is broken ends the run.

import type { Core } from '../../../node/core/core.ts'
import type { CoreMessage } from '../../../node/core/effects.ts'
import type { DomainEvent } from '../../../overlay/kernel/effect.ts'
import type { InstanceKey, NodeId } from '../../../overlay/kernel/ids.ts'
import type { Millis } from '../../../overlay/kernel/time.ts'
import type { Opened } from '../../../overlay/wire/envelope.ts'
import type { Instance } from '../runtime.ts'
import type { DeviceFacts } from '../topology.ts'

export interface DeviceView {
  readonly facts: DeviceFacts
  readonly node: NodeId
  /** How often it was started. */
  readonly boot: number
  /** Null while its process does not run. */
  readonly core: Core | null
  /** Gone for good, its disk included. */
  readonly isLost: boolean
  /** How often it lost its disk's contents and came back. */
  readonly wipes: number
  /** Whether its process runs and is not paused. */
  readonly isAwake: boolean
  /** What it runs, whether or not its process does. */
  readonly instances: ReadonlyMap<string, Instance>
}

/** A rule that must hold at every step; each `on` throws BrokenRule when it does not. */
export interface SafetyChecker {
  /** The device signed a message, for whomever. */
  onSealed?(device: DeviceView, opened: Opened<CoreMessage>): void
  /** The device carried out an input with all that follows from it, and what its seats hold is not what it was. */
  onSeats?(device: DeviceView, now: Millis): void
  /** The device carried out an input with all that follows from it. */
  onSettled?(device: DeviceView, now: Millis): void
  /** The device's runtime started an instance. */
  onStarted?(device: DeviceView, key: InstanceKey): void
  /** The device told its people something. */
  onEvent?(device: DeviceView, event: DomainEvent): void
  /** A write reached the device's disk and survives whatever comes. */
  onDurable?(device: DeviceView, key: string, value: Uint8Array | null): void
  /** Its process ended or stands still. */
  onGone?(device: DeviceView, now: Millis): void
  /** What was on its disk is no longer there, or no longer readable. */
  onForgot?(device: DeviceView, what: 'everything' | 'votes'): void
  /** Nothing happens any more and everybody had time to agree. */
  onEnd?(devices: readonly DeviceView[]): void
}

export class BrokenRule extends Error {
  override readonly name = 'BrokenRule'
  readonly rule: string
  constructor(rule: string, what: string) {
    super(`${rule}: ${what}`)
    this.rule = rule
  }
}

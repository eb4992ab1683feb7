// The port to whatever runs an instance. A driver starts, stops, finds again and listens to; it decides nothing.

import type { InstanceKey } from '../overlay/kernel/ids.ts'
import type { Result } from '../overlay/kernel/result.ts'
import type { Endpoint } from '../services-registry/record.ts'
import type { RegistryLogins } from './registry-login.ts'
import type { ServiceSpec } from './spec.ts'

/**
 * What a driver is told to run. `specId` (hex hash of the canonical spec) tells whether a found instance is the wanted
 * one.
 */
export interface Launch {
  readonly key: InstanceKey
  readonly spec: ServiceSpec
  readonly specId: string
  /** How often this instance was started on this node before. */
  readonly restarts: number
}

/** What an instance that runs may use from now on, until its next start. */
export interface RuntimeLimits {
  /** Cores and MB; 0 for no limit. */
  readonly vcpus: number
  readonly memoryMb: number
  /** Of its memory it keeps what it uses and a little to breathe, `memoryMb` at most. */
  readonly holdMemory: boolean
}

/** What `holdMemory` leaves, in MB: a quarter more than is used, and room for a program's next few buffers. Guesses. */
export const heldMemoryMb = (usedMb: number, memoryMb: number): number => Math.min(memoryMb, usedMb * 1.25 + 16)

/** What a driver says happened. Each start ends in `exited` or `failed` some time; nothing is said after that. */
export type RuntimeEvent =
  | { readonly kind: 'pulling'; readonly key: InstanceKey; readonly detail: string }
  | {
      readonly kind: 'running'
      readonly key: InstanceKey
      readonly specId: string
      readonly endpoint: Endpoint
      readonly adopted: boolean
    }
  | { readonly kind: 'health'; readonly key: InstanceKey; readonly healthy: boolean; readonly detail: string }
  /**
   * `code` is null when it is not known (the process was not our child) or when a signal ended it. `cpuSeconds` is what
   * the whole run took of the processor, as in InstanceStats, where the runtime still knows.
   */
  | {
      readonly kind: 'exited'
      readonly key: InstanceKey
      readonly code: number | null
      readonly detail: string
      readonly cpuSeconds?: number
    }
  /** It could not be started at all: no such image, no such program, no port. */
  | { readonly kind: 'failed'; readonly key: InstanceKey; readonly detail: string }

export interface FoundInstance {
  readonly key: InstanceKey
  readonly specId: string
  readonly running: boolean
}

export interface LogOptions {
  readonly follow: boolean
  /** Lines from the end; all that is kept when null. */
  readonly tail: number | null
  /** Only what was written in the last so many ms, by the clock of the device; null for no such limit. */
  readonly sinceMs: number | null
  readonly signal: AbortSignal
}

/** Characters of a terminal. */
export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

export interface ExecRequest {
  /** The program and its arguments. */
  readonly command: readonly string[]
  /** The terminal that the program gets; null for none. */
  readonly terminal: TerminalSize | null
  /** Whether it reads what is written to the session; else its input is empty. */
  readonly input: boolean
}

export interface ExecOutput {
  /** With a terminal everything is `out`. */
  readonly stream: 'out' | 'err'
  readonly bytes: Uint8Array
}

/** A program that was started inside an instance, next to what the instance runs. */
export interface ExecSession {
  /** What it writes, until it has ended; read by one reader. */
  readonly output: AsyncIterable<ExecOutput>
  /** Hands it input; resolves when more may follow. */
  write(bytes: Uint8Array): Promise<void>
  /** Its input ends. */
  end(): void
  resize(size: TerminalSize): void
  /** Its exit code, 0 to 255 (128 + n for signal n), once the output has ended; null when nobody can tell. */
  readonly exit: Promise<number | null>
  /** Ends it, where it has not ended: whoever wanted it is gone. */
  close(): void
}

/** An image that another device has: a line with its id, then an archive of it. */
export interface ImageOffer {
  /** Who offers it, for people. */
  readonly from: string
  readonly stream: AsyncIterable<Uint8Array>
}

/** What an instance uses. */
export interface InstanceStats {
  /** Processor time since its last start, in seconds of one core. */
  readonly cpuSeconds: number
  /** MB (10^6 bytes) that it holds now. */
  readonly memoryMb: number
}

/** What brings the secrets of a service to the device that runs it. */
export interface SecretSource {
  /** Those of the names that could be had, for this instance. */
  of(key: InstanceKey, names: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, Uint8Array>>
}

export interface RuntimeDriver {
  /** The name that specs use: `process`, `docker`. */
  readonly name: string
  /** Whether work can be run now; `detail` is the engine's version or why not. */
  probe(signal: AbortSignal): Promise<{ readonly available: boolean; readonly detail: string }>
  /** Starts an instance, or adopts it when it already runs with the same specId. Outcomes arrive through `onEvent`. */
  start(launch: Launch): void
  /**
   * Ends an instance and forgets it: SIGTERM, then SIGKILL after the grace. Ends in an `exited` event, also when it was
   * not running.
   */
  stop(key: InstanceKey, graceMs: number): void
  /**
   * Changes what an instance that runs may use; one that does not run is left alone. What cannot be done is a warning.
   */
  limit(key: InstanceKey, limits: RuntimeLimits): void
  /** All instances of this node that are there, also from before a restart. */
  list(): Promise<readonly FoundInstance[]>
  /** What is kept of its output; followed, it goes on over restarts in place, and ends when the instance is gone. */
  logs(key: InstanceKey, options: LogOptions): AsyncIterable<Uint8Array>
  /** What a running instance uses; null where it does not run here. */
  stats(key: InstanceKey): Promise<InstanceStats | null>
  /** Starts a program inside a running instance; the error is a sentence for whoever asked. */
  exec(key: InstanceKey, request: ExecRequest): Promise<Result<ExecSession, string>>
  /**
   * An image for another device, as ImageOffer has it, without what that device says it has; null when it is not here.
   * Only of drivers that have images.
   */
  image?(reference: string, have: Uint8Array): Promise<AsyncIterable<Uint8Array> | null>
  /** The instance that has this address of its own; null where none of this node's has. */
  instanceAt?(address: string): Promise<InstanceKey | null>
  /** Stops listening and closes handles; instances go on running. */
  close(): Promise<void>
}

export interface RuntimeDriverOptions {
  /** The node's folder; a driver keeps what it must remember in `<dataDir>/instances`. */
  readonly dataDir: string
  /** Tells the instances of several nodes on one machine apart. */
  readonly nodeId: string
  /** The address of the DNS server that instances with a network of their own ask; the engine's own where absent. */
  readonly resolver?: string | null
  readonly onEvent: (event: RuntimeEvent) => void
  /**
   * Other devices that have an image, nearest first; asked when its registry cannot be reached, and told what parts of
   * it may be left out. Default: none.
   */
  readonly imageOffers?: (reference: string, have: Uint8Array, signal: AbortSignal) => AsyncIterable<ImageOffer>
  /** What opens registries that want a login. Default: nothing. */
  readonly registryLogins?: RegistryLogins
  /** What brings secrets. Default: nobody has any. */
  readonly secrets?: SecretSource
  /** For what a person should see in the log. */
  readonly onWarning: (text: string) => void
}

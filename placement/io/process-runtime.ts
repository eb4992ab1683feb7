// Runs instances as ordinary processes, each with a small shell as its watcher and a folder of its own. Both outlive
// the node: a node that comes back finds its instances in the folders and goes on from there.

import { access } from 'node:fs/promises'
import { platform, release } from 'node:os'
import type { InstanceKey } from '../../overlay/kernel/ids.ts'
import { err, type Result } from '../../overlay/kernel/result.ts'
import type { CgroupLayout } from '../cgroup-limits.ts'
import { LOG_LIMITS, type LogLimits } from '../log-rotation.ts'
import { identityOf } from '../process-launch.ts'
import type {
  ExecRequest,
  ExecSession,
  FoundInstance,
  InstanceStats,
  Launch,
  LogOptions,
  RuntimeDriver,
  RuntimeDriverOptions,
  RuntimeEvent,
  RuntimeLimits,
} from '../runtime.ts'
import type { ServiceSpec } from '../spec.ts'
import { forgetAddedFiles } from './added-files.ts'
import { dissolve, findCgroups } from './cgroups.ts'
import { messageOf } from './deadline.ts'
import {
  instanceFolder,
  type KeptInstance,
  outputFile,
  readInstance,
  readInstances,
  removeFolder,
} from './instance-folder.ts'
import { createKeyQueue } from './key-queue.ts'
import { createOutputLogs } from './output-log.ts'
import { changeProcessLimits } from './process-limits.ts'
import { groupsOf, SHELL, type StartContext, startProcess } from './process-start.ts'
import { findMarked, killAll, readBootId } from './process-table.ts'
import { readGroupUsage } from './process-usage.ts'
import { attend, createWatched, execIn, greet, terminate, type WatchContext, type Watched } from './process-watch.ts'
import { forgetSecrets } from './secret-files.ts'

export interface ProcessRuntimeOptions extends RuntimeDriverOptions {
  /** How long a started instance may take until its first TCP port answers, in ms. Default 30 s. */
  readonly startDeadlineMs?: number
  readonly logLimits?: LogLimits
}

/** A guess: room for a slow interpreter on a small board. */
const START_DEADLINE_MS = 30_000

/** What of the device a driver needs to know once. */
interface Surroundings {
  readonly bootId: string
  readonly cgroups: CgroupLayout
}

interface Attended {
  readonly watched: Watched
  readonly over: Promise<void>
}

/** A driver whose instances are processes of this device; it needs Linux. */
export const createProcessRuntime = (options: ProcessRuntimeOptions): RuntimeDriver => new ProcessRuntime(options)

class ProcessRuntime implements RuntimeDriver {
  readonly name = 'process'
  readonly #options: ProcessRuntimeOptions
  readonly #watching: WatchContext
  readonly #queue = createKeyQueue()
  readonly #attended = new Map<InstanceKey, Attended>()
  readonly #warned = new Set<string>()
  #surroundings: Promise<Surroundings> | null = null
  readonly #closing = new AbortController()
  #closed = false

  constructor(options: ProcessRuntimeOptions) {
    this.#options = options
    this.#watching = {
      startDeadlineMs: options.startDeadlineMs ?? START_DEADLINE_MS,
      logs: createOutputLogs(options.logLimits ?? LOG_LIMITS),
      onEvent: (event) => this.#tell(event),
      onWarning: options.onWarning,
    }
  }

  async probe(): Promise<{ readonly available: boolean; readonly detail: string }> {
    if (platform() !== 'linux')
      return { available: false, detail: `processes are run on Linux only, this is ${platform()}` }
    try {
      await access(SHELL)
      const { cgroups } = await this.#look()
      const limits = cgroups.kind === 'none' ? 'limits not enforced' : `limits by control groups ${cgroups.kind}`
      return { available: true, detail: `linux ${release()}, ${limits}` }
    } catch (error) {
      return { available: false, detail: messageOf(error) }
    }
  }

  start(launch: Launch): void {
    this.#queue.run(launch.key, async () => {
      if (this.#closed) return
      try {
        await this.#begin(launch)
      } catch (error) {
        this.#tell({ kind: 'failed', key: launch.key, detail: `it could not be started: ${messageOf(error)}` })
      }
    })
  }

  stop(key: InstanceKey, graceMs: number): void {
    this.#queue.run(key, async () => {
      if (this.#closed) return
      try {
        await this.#end(key, graceMs)
      } catch (error) {
        this.#options.onWarning(`${key} could not be removed: ${messageOf(error)}`)
        this.#tell({ kind: 'exited', key, code: null, detail: 'stopped' })
      }
    })
  }

  limit(key: InstanceKey, limits: RuntimeLimits): void {
    this.#queue.run(key, async () => {
      if (this.#closed || !this.#attended.has(key)) return
      try {
        await changeProcessLimits(key, limits, await this.#startContext())
      } catch (error) {
        this.#options.onWarning(`the limits of ${key} were not changed: ${messageOf(error)}`)
      }
    })
  }

  async list(): Promise<readonly FoundInstance[]> {
    const { bootId } = await this.#look()
    const kept = await readInstances(this.#options.dataDir, bootId, (folder) =>
      this.#warnOnce(`${folder} holds no readable launch note and is left alone`),
    )
    return kept.map(({ note, watcher }) => ({ key: note.key, specId: note.specId, running: watcher !== null }))
  }

  logs(key: InstanceKey, options: LogOptions): AsyncIterable<Uint8Array> {
    return this.#watching.logs.read(outputFile(instanceFolder(this.#options.dataDir, key)), options)
  }

  async stats(key: InstanceKey): Promise<InstanceStats | null> {
    const known = this.#attended.get(key)
    if (known === undefined || known.watched.life.signal.aborted) return null
    return await readGroupUsage(known.watched.pid)
  }

  async exec(key: InstanceKey, request: ExecRequest): Promise<Result<ExecSession, string>> {
    const known = this.#attended.get(key)
    if (known === undefined || known.watched.life.signal.aborted) return err(`${key} does not run on this device`)
    return await execIn(known.watched, request)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#closing.abort()
    const attended = [...this.#attended.values()]
    for (const { watched } of attended) {
      watched.released = true
      watched.life.abort()
    }
    await Promise.all(attended.map(({ over }) => over))
    await this.#queue.idle()
  }

  async #begin(launch: Launch): Promise<void> {
    const { key, spec, specId } = launch
    this.#warnOfUnusedFields(launch)
    const known = await this.#known(key)
    if (known !== undefined && known.watched.specId === specId && known.watched.ending === null) {
      // One that has not answered yet will say `running` itself.
      if (known.watched.answered) {
        this.#tell({ kind: 'running', key, specId, endpoint: known.watched.endpoint, adopted: true })
      }
      return
    }
    if (known !== undefined) await this.#replace(known, spec.stopGraceMs)
    const context = await this.#startContext()
    const kept = await readInstance(instanceFolder(context.dataDir, key), context.bootId)
    if (kept !== null && kept.watcher !== null) {
      const found = this.#adopt(kept, kept.watcher, context)
      if (kept.note.specId === specId) return this.#greet(found, spec, true)
      await this.#replace(found, spec.stopGraceMs)
    }
    const started = await startProcess(launch, context)
    if (!started.ok) return this.#tell({ kind: 'failed', key, detail: started.error })
    const watched = createWatched(started.value, { key, specId, memoryMb: spec.memoryMb })
    this.#greet(this.#attend(watched), spec, false)
  }

  async #end(key: InstanceKey, graceMs: number): Promise<void> {
    const known = await this.#known(key)
    const context = await this.#startContext()
    await forgetAddedFiles(context.dataDir, key)
    await forgetSecrets(context.dataDir, key)
    const folder = instanceFolder(context.dataDir, key)
    const kept = await readInstance(folder, context.bootId)
    const found = known ?? (kept !== null && kept.watcher !== null ? this.#adopt(kept, kept.watcher, context) : null)
    if (found !== null) {
      found.watched.forgotten = true
      await terminate(found.watched, graceMs, this.#watching)
      return await found.over
    }
    killAll(await findMarked(identityOf(key, context.nodeId)))
    if (kept !== null) await dissolve(groupsOf(key, kept.note.limits, context))
    await removeFolder(folder)
    this.#tell({ kind: 'exited', key, code: null, detail: 'it was not running' })
  }

  /** Takes over an instance from before a restart. */
  #adopt(
    { folder, note }: KeptInstance,
    watcher: { readonly pid: number; readonly startTicks: number },
    context: StartContext,
  ): Attended {
    const { key, specId, endpoint, limits } = note
    const groups = groupsOf(key, limits, context)
    const { pid, startTicks } = watcher
    const { memoryMb } = limits
    return this.#attend(
      createWatched({ folder, endpoint, pid, startTicks, groups, child: null }, { key, specId, memoryMb }),
    )
  }

  #attend(watched: Watched): Attended {
    const over = attend(watched, this.#watching)
      .catch((error: unknown) => {
        this.#tell({ kind: 'exited', key: watched.key, code: null, detail: `nobody can watch it: ${messageOf(error)}` })
      })
      .finally(() => {
        if (this.#attended.get(watched.key)?.watched === watched) this.#attended.delete(watched.key)
      })
    const attended = { watched, over }
    this.#attended.set(watched.key, attended)
    return attended
  }

  #greet({ watched }: Attended, spec: ServiceSpec, adopted: boolean): void {
    greet(watched, spec, adopted, this.#watching).catch((error: unknown) =>
      this.#options.onWarning(`${watched.key} is not looked at any more: ${messageOf(error)}`),
    )
  }

  /** The instance that is attended to; one whose end is just being told is waited for and is none. */
  async #known(key: InstanceKey): Promise<Attended | undefined> {
    const known = this.#attended.get(key)
    if (known === undefined || !known.watched.life.signal.aborted) return known
    await known.over
    return undefined
  }

  /** Ends a copy whose place another one takes, without telling. */
  async #replace({ watched, over }: Attended, graceMs: number): Promise<void> {
    watched.silent = true
    await terminate(watched, graceMs, this.#watching)
    await over
  }

  async #startContext(): Promise<StartContext> {
    const { dataDir, nodeId } = this.#options
    return {
      dataDir,
      nodeId,
      ...(await this.#look()),
      secrets: this.#options.secrets,
      onWarning: (text) => this.#warnOnce(text),
      closing: this.#closing.signal,
    }
  }

  #look(): Promise<Surroundings> {
    this.#surroundings ??= Promise.all([readBootId(), findCgroups()]).then(([bootId, cgroups]) => ({ bootId, cgroups }))
    return this.#surroundings
  }

  #tell(event: RuntimeEvent): void {
    if (!this.#closed) this.#options.onEvent(event)
  }

  #warnOnce(text: string): void {
    if (this.#warned.has(text)) return
    this.#warned.add(text)
    this.#options.onWarning(text)
  }

  #warnOfUnusedFields({ key, spec }: Launch): void {
    if (spec.volumes.length > 0) this.#warnOnce(`${key}: a process has no volumes of its own; they are not mounted`)
    if (spec.devices.length > 0)
      this.#warnOnce(`${key}: a process may open whatever devices its user may; "devices" changes nothing`)
  }
}

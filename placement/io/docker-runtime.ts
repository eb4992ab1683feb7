// Runs instances as containers of a Docker engine. The containers carry labels, so a node that comes back finds its
// own again; it never touches one without them.

import type { Readable } from 'node:stream'
import type Docker from 'dockerode'
import type { InstanceKey } from '../../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import {
  containerOptions,
  imageReference,
  KEY_LABEL,
  launchProblem,
  NODE_LABEL,
  SPEC_LABEL,
} from '../docker-options.ts'
import { containerName } from '../instance-name.ts'
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
import { type FetchedFile, fetchAddedFiles, forgetAddedFiles, packFiles } from './added-files.ts'
import { messageOf } from './deadline.ts'
import {
  answerWithin,
  createDockerEngine,
  type DockerEngine,
  engineProblem,
  orNull,
  statusOf,
} from './docker-engine.ts'
import { execInContainer } from './docker-exec.ts'
import { offerImage } from './docker-images.ts'
import { changeContainerLimits, containerStats, hasOtherLimits } from './docker-limits.ts'
import { readContainerLog } from './docker-logs.ts'
import { provideNetwork } from './docker-network.ts'
import {
  attendContainer,
  createWatchedContainer,
  type DockerWatchContext,
  endContainer,
  greetContainer,
  persistently,
  removeContainer,
  type WatchedContainer,
} from './docker-watch.ts'
import { createImageKeeper, type ImageKeeperOptions } from './image-keeper.ts'
import { createImageSource, type ImageSource } from './image-source.ts'
import { createKeyQueue } from './key-queue.ts'
import { forgetSecrets, provideSecrets, withSecrets } from './secret-files.ts'

export interface DockerRuntimeOptions extends RuntimeDriverOptions {
  /** The engine's socket; default what DOCKER_HOST says, else the usual place. */
  readonly socketPath?: string
  /** How long a started container may take until its first TCP port answers, in ms. Default 2 min. */
  readonly startDeadlineMs?: number
  /** Room on the disk of the images; default: asked of the engine and the system. */
  readonly imageRoom?: ImageKeeperOptions['room']
}

/** A guess: a JVM on a single-board computer. */
const START_DEADLINE_MS = 120_000
/** For the question whether an engine is there, in ms. A guess. */
const PROBE_TIMEOUT_MS = 5_000
/** How the engine refuses to create a container (Engine API, `POST /containers/create`). */
const NO_IMAGE = 404
const NAME_TAKEN = 409

interface Attended {
  readonly watched: WatchedContainer
  readonly over: Promise<void>
}

/** A driver whose instances are containers; the client is loaded when an engine is there. */
export const createDockerRuntime = (options: DockerRuntimeOptions): RuntimeDriver => new DockerRuntime(options)

class DockerRuntime implements RuntimeDriver {
  readonly name = 'docker'
  readonly #options: DockerRuntimeOptions
  readonly #engine: DockerEngine
  readonly #watching: DockerWatchContext
  readonly #queue = createKeyQueue()
  readonly #attended = new Map<InstanceKey, Attended>()
  readonly #closing = new AbortController()
  readonly #images: ImageSource
  #engineProblem: string | null = null
  #network: Promise<void> | null = null

  constructor(options: DockerRuntimeOptions) {
    this.#options = options
    this.#engine = createDockerEngine(options.socketPath)
    const keeper = createImageKeeper({
      dataDir: options.dataDir,
      onWarning: options.onWarning,
      ...(options.imageRoom === undefined ? {} : { room: options.imageRoom }),
    })
    this.#images = createImageSource({ ...options, keeper, address: this.#engine.address })
    this.#watching = {
      engine: this.#engine,
      startDeadlineMs: options.startDeadlineMs ?? START_DEADLINE_MS,
      onEvent: (event) => this.#tell(event),
      onWarning: options.onWarning,
      onEngine: (problem) => this.#noteEngine(problem),
    }
  }

  async probe(): Promise<{ readonly available: boolean; readonly detail: string }> {
    try {
      const docker = await this.#engine.client()
      const version = await answerWithin(docker.version(), PROBE_TIMEOUT_MS)
      return { available: true, detail: `Docker ${version.Version} (API ${version.ApiVersion})` }
    } catch (error) {
      return { available: false, detail: engineProblem(error, this.#engine.address) }
    }
  }

  start(launch: Launch): void {
    this.#queue.run(launch.key, async () => {
      if (this.#closing.signal.aborted) return
      try {
        await this.#begin(launch)
      } catch (error) {
        this.#tell({ kind: 'failed', key: launch.key, detail: engineProblem(error, this.#engine.address) })
      }
    })
  }

  stop(key: InstanceKey, graceMs: number): void {
    this.#queue.run(key, async () => {
      if (this.#closing.signal.aborted) return
      try {
        await this.#end(key, graceMs)
      } catch (error) {
        this.#tell({ kind: 'exited', key, code: null, detail: engineProblem(error, this.#engine.address) })
      }
    })
  }

  limit(key: InstanceKey, limits: RuntimeLimits): void {
    this.#queue.run(key, async () => {
      const id = this.#attended.get(key)?.watched.id
      if (this.#closing.signal.aborted || id === undefined) return
      try {
        await changeContainerLimits((await this.#engine.client()).getContainer(id), limits)
      } catch (error) {
        this.#options.onWarning(`the limits of ${key} were not changed: ${engineProblem(error, this.#engine.address)}`)
      }
    })
  }

  async list(): Promise<readonly FoundInstance[]> {
    const docker = await this.#engine.client()
    const filters = { label: [`${NODE_LABEL}=${this.#options.nodeId}`] }
    const containers = await answerWithin(docker.listContainers({ all: true, filters }))
    return containers.flatMap(({ Labels, State }) => {
      const key = Labels[KEY_LABEL]
      const specId = Labels[SPEC_LABEL]
      if (key === undefined || specId === undefined) return []
      return [{ key: key as InstanceKey, specId, running: State === 'running' || State === 'paused' }]
    })
  }

  async instanceAt(address: string): Promise<InstanceKey | null> {
    const docker = await this.#engine.client()
    const filters = { label: [`${NODE_LABEL}=${this.#options.nodeId}`] }
    for (const { Labels, NetworkSettings } of await answerWithin(docker.listContainers({ filters }))) {
      const networks = Object.values(NetworkSettings.Networks)
      if (networks.some(({ IPAddress }) => IPAddress === address)) return (Labels[KEY_LABEL] as InstanceKey) ?? null
    }
    return null
  }

  async *logs(key: InstanceKey, options: LogOptions): AsyncGenerator<Uint8Array> {
    const docker = await this.#engine.client()
    const found = await this.#inspect(docker, key)
    if (found !== null && this.#isOurs(found, key)) yield* readContainerLog(docker.getContainer(found.Id), options)
  }

  async stats(key: InstanceKey): Promise<InstanceStats | null> {
    return await containerStats(await this.#engine.client(), this.#attended.get(key)?.watched.id)
  }

  async exec(key: InstanceKey, request: ExecRequest): Promise<Result<ExecSession, string>> {
    try {
      const docker = await this.#engine.client()
      const found = await this.#inspect(docker, key)
      if (found === null || !this.#isOurs(found, key) || !found.State.Running)
        return err(`${key} does not run on this device`)
      return ok(await execInContainer(docker.getContainer(found.Id), request))
    } catch (error) {
      return err(engineProblem(error, this.#engine.address))
    }
  }

  async image(reference: string, have: Uint8Array): Promise<Readable | null> {
    return await offerImage(await this.#engine.client(), reference, have)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    for (const { watched } of this.#attended.values()) watched.life.abort()
    await Promise.all([...this.#attended.values()].map(({ over }) => over))
    await this.#queue.idle()
  }

  async #begin(launch: Launch): Promise<void> {
    const { key, spec, specId } = launch
    const wrong = launchProblem(launch)
    if (wrong !== null) return this.#tell({ kind: 'failed', key, detail: wrong })
    const known = await this.#known(key)
    if (known !== undefined && known.watched.specId === specId && known.watched.asked.kind === 'no') {
      // One that has not answered yet will say `running` itself.
      if (known.watched.running !== null) this.#tell({ ...known.watched.running, adopted: true })
      return
    }
    if (known !== undefined) await this.#replace(known, spec.stopGraceMs)
    const docker = await this.#engine.client()
    // Asked together, because each question waits its turn at a busy engine. What fails is told where it is needed.
    const hasNetwork = this.#provideNetwork(docker)
    hasNetwork.catch(() => undefined)
    const fresh = await this.#startAtOnce(docker, launch, hasNetwork)
    if (fresh !== null) return this.#attend(launch, fresh.id, 'started')
    const image = imageReference(spec.code)
    const isHere = this.#images.isHere(docker, image)
    isHere.catch(() => undefined)
    const found = await this.#inspect(docker, key)
    if (found !== null && !this.#isOurs(found, key)) {
      const name = containerName(this.#options.nodeId, key)
      const detail = `a container ${name} exists that is not ours: rename or remove it`
      return this.#tell({ kind: 'failed', key, detail })
    }
    if (found !== null && found.Config.Labels[SPEC_LABEL] === specId) {
      if (found.State.Running) return this.#attend(launch, found.Id, 'adopted')
      // One with secrets is made anew: they may be others by now, and a container keeps its variables.
      const mayGoOn = !hasOtherLimits(found, spec) && (spec.secrets ?? []).length === 0
      const goesOn = mayGoOn && (await this.#restart(docker.getContainer(found.Id)))
      if (goesOn) return this.#attend(launch, found.Id, 'started')
    }
    if (found !== null) await removeContainer(docker.getContainer(found.Id), key, this.#watching)
    const provided = (await isHere) ? ok(image) : await this.#bring(docker, image, key)
    if (!provided.ok) return this.#tell({ kind: 'failed', key, detail: provided.error })
    const { dataDir, onWarning } = this.#options
    const files = await fetchAddedFiles(dataDir, launch, onWarning, this.#closing.signal)
    const secrets = await provideSecrets(dataDir, launch, this.#options.secrets, this.#closing.signal)
    const container = await this.#create(docker, { ...launch, spec: withSecrets(spec, secrets) }, provided.value)
    await this.#startNew(container, launch, hasNetwork, files)
    this.#attend(launch, container.id, 'started')
  }

  /**
   * A first start finds its image here and its name free, nearly always, so it asks for neither. Null where there is
   * something to look at: the engine has refused, or the instance was here before.
   */
  async #startAtOnce(docker: Docker, launch: Launch, hasNetwork: Promise<void>): Promise<Docker.Container | null> {
    const { spec } = launch
    if (launch.restarts > 0 || spec.addedFiles.length > 0 || (spec.secrets ?? []).length > 0) return null
    const image = imageReference(spec.code)
    let container: Docker.Container
    try {
      container = await this.#create(docker, launch, image)
    } catch (error) {
      if ([NO_IMAGE, NAME_TAKEN].includes(statusOf(error) ?? 0)) return null
      throw error
    }
    const noted = this.#images
      .used(image)
      .catch((error: unknown) => this.#options.onWarning(`the use of ${image} is not noted: ${messageOf(error)}`))
    await Promise.all([this.#startNew(container, launch, hasNetwork), noted])
    return container
  }

  #bring(docker: Docker, image: string, key: InstanceKey): Promise<Result<string, string>> {
    const onProgress = (detail: string): void => this.#tell({ kind: 'pulling', key, detail })
    return this.#images.bring(docker, { image, key, onProgress, signal: this.#closing.signal })
  }

  async #end(key: InstanceKey, graceMs: number): Promise<void> {
    await forgetAddedFiles(this.#options.dataDir, key)
    await forgetSecrets(this.#options.dataDir, key)
    let known = await this.#known(key)
    if (known === undefined) {
      const { signal } = this.#closing
      const found = await persistently(signal, this.#watching, (docker) => this.#inspect(docker, key))
      if (found === undefined) return
      if (found === null || !this.#isOurs(found, key)) {
        return this.#tell({ kind: 'exited', key, code: null, detail: 'it was not running' })
      }
      known = this.#watch(key, found.Config.Labels[SPEC_LABEL] ?? '', found.Id, 0, false)
    }
    known.watched.forgotten = true
    await endContainer(known.watched, graceMs, this.#watching)
    await known.over
  }

  /** The container with the name of an instance, whosever it is; null when there is none. */
  #inspect(docker: Docker, key: InstanceKey): Promise<Docker.ContainerInspectInfo | null> {
    return orNull(docker.getContainer(containerName(this.#options.nodeId, key)).inspect())
  }

  #isOurs({ Config: { Labels } }: Docker.ContainerInspectInfo, key: InstanceKey): boolean {
    return Labels[NODE_LABEL] === this.#options.nodeId && Labels[KEY_LABEL] === key
  }

  /** Starts a container that has ended, which keeps its log and its files; false when it cannot be started again. */
  async #restart(container: Docker.Container): Promise<boolean> {
    try {
      await answerWithin(container.start())
      return true
    } catch {
      return false
    }
  }

  #create(docker: Docker, launch: Launch, image: string): Promise<Docker.Container> {
    const options = containerOptions(launch, this.#options.nodeId, this.#options.resolver)
    return answerWithin(docker.createContainer({ ...options, Image: image }))
  }

  async #startNew(
    container: Docker.Container,
    launch: Launch,
    hasNetwork: Promise<void>,
    files: readonly FetchedFile[] = [],
  ): Promise<void> {
    try {
      await hasNetwork
      await packFiles(files, container)
      await answerWithin(container.start())
    } catch (error) {
      await removeContainer(container, launch.key, this.#watching)
      // Perhaps somebody removed the network: the next start looks again.
      this.#network = null
      throw error
    }
  }

  #provideNetwork(docker: Docker): Promise<void> {
    this.#network ??= provideNetwork(docker, this.#options.nodeId).catch((error: unknown) => {
      this.#network = null
      throw error
    })
    return this.#network
  }

  /** Stays with a container, and says when it answers. */
  #attend({ key, specId, spec }: Launch, id: string, how: 'adopted' | 'started'): void {
    const { watched } = this.#watch(key, specId, id, spec.memoryMb, how === 'started')
    greetContainer(watched, spec, how, this.#watching).catch((error: unknown) =>
      this.#options.onWarning(`${watched.key} is not looked at any more: ${messageOf(error)}`),
    )
  }

  #watch(key: InstanceKey, specId: string, id: string, memoryMb: number, isJustStarted: boolean): Attended {
    const watched = createWatchedContainer({ key, specId, id, memoryMb })
    const over = attendContainer(watched, this.#watching, isJustStarted)
      .catch((error: unknown) =>
        this.#tell({ kind: 'exited', key, code: null, detail: engineProblem(error, this.#engine.address) }),
      )
      .finally(() => {
        if (this.#attended.get(key)?.watched === watched) this.#attended.delete(key)
      })
    const attended = { watched, over }
    this.#attended.set(key, attended)
    return attended
  }

  /** The instance that is attended to; one whose end is just being told is waited for and is none. */
  async #known(key: InstanceKey): Promise<Attended | undefined> {
    const known = this.#attended.get(key)
    if (known?.watched.life.signal.aborted !== true) return known
    return void (await known.over)
  }

  /** Ends and removes a container whose place another one takes, without telling. */
  async #replace({ watched, over }: Attended, graceMs: number): Promise<void> {
    watched.silent = true
    watched.forgotten = true
    await endContainer(watched, graceMs, this.#watching)
    await over
  }

  #tell(event: RuntimeEvent): void {
    if (!this.#closing.signal.aborted) this.#options.onEvent(event)
  }

  /** Warns when the engine goes away and when it is back, not at each try in between. */
  #noteEngine(problem: string | null): void {
    const before = this.#engineProblem
    this.#engineProblem = problem
    if (problem !== null && before === null) this.#options.onWarning(`${problem} (asking again until it answers)`)
    if (problem === null && before !== null) this.#options.onWarning('the Docker engine answers again')
  }
}

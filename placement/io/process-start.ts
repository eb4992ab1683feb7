// Starts one process instance: checks what can be known before, makes its folder, gives it ports and limits, lets it
// go.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import type { Endpoint } from '../../services-registry/record.ts'
import { type CgroupLayout, type CgroupPlan, cgroupPlan, NO_GROUPS, type ProcessLimits } from '../cgroup-limits.ts'
import { nameProblem, plainName } from '../instance-name.ts'
import { identityOf, processEnvironment, watcherArguments } from '../process-launch.ts'
import type { Launch, SecretSource } from '../runtime.ts'
import { fetchAddedFiles, placeFiles } from './added-files.ts'
import { dissolve, enforce } from './cgroups.ts'
import { messageOf } from './deadline.ts'
import { instanceFolder, isNoted, outputFile, prepareFolder, workFolder } from './instance-folder.ts'
import { openOutput } from './output-log.ts'
import { allocateEndpoint } from './ports.ts'
import { findMarked, findProgram, killAll, readProcess } from './process-table.ts'
import { provideSecrets, SECRETS_VARIABLE } from './secret-files.ts'

/** The shell that watches over each instance; every Linux system has one there. */
export const SHELL = '/bin/sh'

/**
 * How long the watcher may take to note who it is, and how often it is looked for. Guesses: an idle device takes a few
 * ms.
 */
const NOTE_MS_MAX = 2_000
const NOTE_LOOK_MS = 2

export interface StartContext {
  readonly dataDir: string
  readonly nodeId: string
  readonly bootId: string
  readonly cgroups: CgroupLayout
  readonly onWarning: (text: string) => void
  readonly secrets?: SecretSource | undefined
  /** Aborts when the driver closes. */
  readonly closing: AbortSignal
}

export interface StartedProcess {
  readonly folder: string
  readonly endpoint: Endpoint
  readonly pid: number
  readonly startTicks: number
  readonly groups: CgroupPlan
  /** Null when it was found and not started by this process. */
  readonly child: ChildProcess | null
}

/** A start tick that no process has, for one that ended before it could be looked at. */
const NEVER_TICKS = -1

/** Starts the process in a group of its own; the error is a sentence for whoever deployed it. */
export async function startProcess(launch: Launch, context: StartContext): Promise<Result<StartedProcess, string>> {
  const { key, spec, specId } = launch
  const tooLong = nameProblem(key)
  if (tooLong !== null) return err(tooLong)
  const command = [...(spec.entrypoint ?? []), ...spec.command]
  const program = command[0]
  if (program === undefined) return err('a process needs a command (cmd): the program and its arguments')
  if (spec.user !== '' && !isOwnUser(spec.user)) {
    return err(
      `a process runs as the user of the node (${userInfo().username}) and not as "${spec.user}": leave it out`,
    )
  }
  const folder = instanceFolder(context.dataDir, key)
  const base = spec.code === '' ? workFolder(folder) : resolve(spec.code)
  if (spec.code !== '' && !(await isFolder(base))) {
    return err(`there is no folder ${base} on this device to work in (code)`)
  }
  const cwd = resolve(base, spec.workingFolder)
  // Inside the instance's own folder it is made; anywhere else it has to be there.
  const isOwn = cwd === base || cwd.startsWith(`${workFolder(folder)}/`)
  if (!isOwn && !(await isFolder(cwd))) return err(`there is no folder ${cwd} on this device to work in`)
  // Whatever was started has its folder from before; looking into all processes takes tens of ms.
  if (await isFolder(folder)) killAll(await findMarked(identityOf(key, context.nodeId)))
  const files = await fetchAddedFiles(context.dataDir, launch, context.onWarning, context.closing)
  const secrets = await provideSecrets(context.dataDir, launch, context.secrets, context.closing)
  const endpoint = await allocateEndpoint(spec.ports)
  const environment: Readonly<Record<string, string>> = {
    ...processEnvironment(launch, endpoint, context.nodeId, process.env),
    ...secrets.environment,
    ...(secrets.folder !== null && { [SECRETS_VARIABLE]: secrets.folder }),
  }
  if ((await findProgram(program, cwd, environment.PATH ?? '')) === null) {
    return err(`there is no program "${program}" on this device (looked in ${environment.PATH ?? 'no PATH'})`)
  }
  const { groups, groupFiles } = await limit(launch, context)
  const limits = { memoryMb: spec.memoryMb, vcpus: spec.vcpus, pidsMax: spec.pidsMax }
  await prepareFolder(folder, { key, specId, endpoint, bootId: context.bootId, limits })
  if (isOwn) await mkdir(cwd, { recursive: true })
  await placeFiles(files, cwd)
  const child = await spawnWatched(folder, cwd, environment, [...watcherArguments(folder, groupFiles, command)])
  await untilNoted(folder, child)
  const pid = child.pid ?? 0
  const startTicks = (await readProcess(pid))?.startTicks ?? NEVER_TICKS
  return ok({ folder, endpoint, pid, startTicks, groups, child })
}

/** Sets the limits; where that fails the instance runs without, and a person is told. */
async function limit(
  { key, spec }: Launch,
  context: StartContext,
): Promise<{ groups: CgroupPlan; groupFiles: readonly string[] }> {
  const { cgroups } = context
  if (cgroups.kind === 'none' && (spec.memoryMb > 0 || spec.vcpus > 0 || spec.pidsMax !== null)) {
    context.onWarning(`limits of processes are not enforced on this device: ${cgroups.reason}`)
  }
  const groups = groupsOf(key, spec, context)
  try {
    // Groups of an earlier run still count its out-of-memory kills.
    await dissolve(groups)
    return { groups, groupFiles: await enforce(groups) }
  } catch (error) {
    context.onWarning(`the limits of ${key} are not enforced: ${messageOf(error)}`)
    return { groups: NO_GROUPS, groupFiles: [] }
  }
}

/** The control groups of an instance; the end of the node's id tells apart the nodes of one machine. */
export const groupsOf = (
  key: Launch['key'],
  limits: ProcessLimits,
  context: Pick<StartContext, 'cgroups' | 'nodeId'>,
): CgroupPlan => cgroupPlan(context.cgroups, `${context.nodeId.slice(-8)}-${plainName(key)}`, limits)

/** Standard output and error go straight to the file, so nothing depends on the node being there. */
async function spawnWatched(
  folder: string,
  cwd: string,
  environment: Readonly<Record<string, string>>,
  watcher: string[],
): Promise<ChildProcess> {
  const output = await openOutput(outputFile(folder))
  try {
    const stdio = ['ignore' as const, output.fd, output.fd]
    const child = spawn(SHELL, watcher, { cwd, env: environment, detached: true, stdio })
    await once(child, 'spawn')
    child.unref()
    return child
  } finally {
    await output.close()
  }
}

/** Waits for the watcher's first deed; one that ended before has nothing more to say. */
async function untilNoted(folder: string, child: ChildProcess): Promise<void> {
  const deadlineMs = performance.now() + NOTE_MS_MAX
  while (performance.now() < deadlineMs && child.exitCode === null && !(await isNoted(folder)))
    await delay(NOTE_LOOK_MS)
}

/** By name or number; a group after a colon is not looked at. */
function isOwnUser(user: string): boolean {
  const { username, uid } = userInfo()
  const name = user.split(':')[0]
  return name === username || name === String(uid)
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )

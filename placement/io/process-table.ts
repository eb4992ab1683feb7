// What the kernel says about processes. Linux only: everything here is read from `/proc`.

import { access, constants, readdir, readFile } from 'node:fs/promises'
import { delimiter, resolve } from 'node:path'
import { isRunning, type ProcessStat, parseProcessStat } from '../process-launch.ts'

/** Changes at each boot; process numbers are comparable only within one. */
export const readBootId = async (): Promise<string> =>
  (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()

/** A process by its number, null when there is none; a zombie counts as gone. */
export async function readProcess(pid: number): Promise<ProcessStat | null> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const stat = parseProcessStat(line)
  return stat !== null && isRunning(stat) ? stat : null
}

/** Whether this very process still runs, not another one that got its number. */
export async function isSameProcess(pid: number, startTicks: number): Promise<boolean> {
  const stat = await readProcess(pid)
  return stat !== null && stat.startTicks === startTicks
}

/**
 * Whether anything of a process group still runs; each process is looked at only where the first two answers leave it
 * open (zombies).
 */
export async function isGroupRunning(group: number): Promise<boolean> {
  if (!signalGroup(group, 0)) return false
  if ((await readProcess(group)) !== null) return true
  for (const pid of await allPids()) {
    const stat = await readProcess(pid)
    if (stat !== null && stat.group === group) return true
  }
  return false
}

/** Signals a whole process group; false when there is none (any more). */
export const signalGroup = (group: number, signal: NodeJS.Signals | 0): boolean => signalProcess(-group, signal)

function signalProcess(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    // ESRCH: gone. EPERM: it has become another user's, which we cannot end either.
    return false
  }
}

/**
 * Processes that were started with all of these variables: what is left of an instance when nothing else is known of
 * it. Only processes of our own user can be seen into; that is what we started.
 */
export async function findMarked(marks: Readonly<Record<string, string>>): Promise<readonly number[]> {
  const wanted = Object.entries(marks).map(([name, value]) => `${name}=${value}`)
  const found: number[] = []
  for (const pid of await allPids()) {
    if (pid === process.pid) continue
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
    if (environment === '') continue
    const variables = new Set(environment.split('\0'))
    if (wanted.every((variable) => variables.has(variable))) found.push(pid)
  }
  return found
}

/** Kills processes by number, at once. */
export function killAll(pids: readonly number[]): void {
  for (const pid of pids) signalProcess(pid, 'SIGKILL')
}

async function allPids(): Promise<readonly number[]> {
  const names = await readdir('/proc')
  return names.filter((name) => /^\d+$/.test(name)).map(Number)
}

/** The program's file as a shell would find it, or null. */
export async function findProgram(name: string, folder: string, path: string): Promise<string | null> {
  const candidates = name.includes('/')
    ? [resolve(folder, name)]
    : path.split(delimiter).map((directory) => resolve(folder, directory, name))
  // All at once: an instance that starts waits for this, and on a busy device each look takes its time.
  const found = await Promise.all(candidates.map(isExecutable))
  return candidates.find((_, index) => found[index]) ?? null
}

const isExecutable = (file: string): Promise<boolean> =>
  access(file, constants.X_OK).then(
    () => true,
    () => false,
  )

// The folder in which a process instance lives: the note about its launch, what its watcher wrote, its output, its
// work.

import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { InstanceKey } from '../../overlay/kernel/ids.ts'
import { plainName } from '../instance-name.ts'
import {
  EXIT_FILE,
  LAUNCH_FILE,
  type LaunchNote,
  OUTPUT_FILE,
  PROCESS_FILE,
  type ProcessStat,
  parseExitStatus,
  parseLaunchNote,
  parseProcessStat,
  parseTimes,
  TIMES_FILE,
  WORK_FOLDER,
} from '../process-launch.ts'
import { isSameProcess } from './process-table.ts'

/** Output and work may hold secrets of the service: nobody else on the device reads them. */
const FOLDER_MODE = 0o700

export interface KeptInstance {
  readonly folder: string
  readonly note: LaunchNote
  /** Its watcher, when that still runs. */
  readonly watcher: ProcessStat | null
}

export const instancesFolder = (dataDir: string): string => join(dataDir, 'instances')
export const instanceFolder = (dataDir: string, key: InstanceKey): string =>
  join(instancesFolder(dataDir), plainName(key))
export const outputFile = (folder: string): string => join(folder, OUTPUT_FILE)
export const workFolder = (folder: string): string => join(folder, WORK_FOLDER)

/** Makes the folder ready for a start: what an earlier run left about itself goes, its output and work stay. */
export async function prepareFolder(folder: string, note: LaunchNote): Promise<void> {
  await mkdir(workFolder(folder), { recursive: true, mode: FOLDER_MODE })
  await Promise.all([PROCESS_FILE, TIMES_FILE, EXIT_FILE].map((name) => rm(join(folder, name), { force: true })))
  const draft = join(folder, `${LAUNCH_FILE}.new`)
  await writeFile(draft, JSON.stringify(note))
  await rename(draft, join(folder, LAUNCH_FILE))
}

/** What a folder tells; null when it holds no readable note. */
export async function readInstance(folder: string, bootId: string): Promise<KeptInstance | null> {
  const note = parseLaunchNote(await readText(join(folder, LAUNCH_FILE)))
  if (note === null) return null
  const noted = parseProcessStat(await readText(join(folder, PROCESS_FILE)))
  const runs = noted !== null && note.bootId === bootId && (await isSameProcess(noted.pid, noted.startTicks))
  return { folder, note, watcher: runs ? noted : null }
}

/** Whether the watcher has noted who it is: only then a node that starts again finds the instance. */
export const isNoted = async (folder: string): Promise<boolean> =>
  parseProcessStat(await readText(join(folder, PROCESS_FILE))) !== null

/** All instances with a readable note; `onOdd` is told of folders without one. */
export async function readInstances(
  dataDir: string,
  bootId: string,
  onOdd: (folder: string) => void,
): Promise<readonly KeptInstance[]> {
  const root = instancesFolder(dataDir)
  const entries = await readdir(root, { withFileTypes: true }).catch(() => [])
  const kept: KeptInstance[] = []
  for (const entry of entries) {
    if (!entry.isDirectory()) continue
    const instance = await readInstance(join(root, entry.name), bootId)
    if (instance === null) onOdd(join(root, entry.name))
    else kept.push(instance)
  }
  return kept
}

/** The exit status that the watcher noted; null when it could not. */
export const readExitStatus = async (folder: string): Promise<number | null> =>
  parseExitStatus(await readText(join(folder, EXIT_FILE)))

/** The processor time of a run that is over, in seconds; null when the watcher could not note it. */
export const readTimes = async (folder: string): Promise<number | null> =>
  parseTimes(await readText(join(folder, TIMES_FILE)))

export const removeFolder = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true })

const readText = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '')

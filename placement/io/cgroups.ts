// Puts limits on processes through the kernel's control groups, version 2 or 1, where this user may write them.

import { constants } from 'node:fs'
import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { type CgroupLayout, type CgroupPlan, outOfMemoryKills } from '../cgroup-limits.ts'
import { codeOf, messageOf, NEVER, pause } from './deadline.ts'
import { killAll } from './process-table.ts'

const ROOT = '/sys/fs/cgroup'
/** Tries to remove a group, and the time between two, in ms. A guess: together many times what the kernel needs. */
const REMOVE_ATTEMPTS_MAX = 20
const REMOVE_INTERVAL_MS = 10

/** What this device offers. On version 2 the controllers are switched on for our groups. */
export async function findCgroups(): Promise<CgroupLayout> {
  const controllers = await readFile(`${ROOT}/cgroup.controllers`, 'utf8').catch(() => null)
  if (controllers !== null) return await prepareV2()
  const rootOf = async (controller: string): Promise<string | null> =>
    (await isWritable(`${ROOT}/${controller}`)) ? `${ROOT}/${controller}` : null
  const [memoryRoot, cpuRoot, pidsRoot] = await Promise.all([rootOf('memory'), rootOf('cpu'), rootOf('pids')])
  if (memoryRoot === null && cpuRoot === null && pidsRoot === null)
    return { kind: 'none', reason: `no control groups under ${ROOT} that this user may write` }
  return { kind: 'v1', memoryRoot, cpuRoot, pidsRoot }
}

async function prepareV2(): Promise<CgroupLayout> {
  const enable = '+memory +cpu +pids'
  try {
    await writeFile(`${ROOT}/cgroup.subtree_control`, enable)
    await mkdir(`${ROOT}/coppice`, { recursive: true })
    await writeFile(`${ROOT}/coppice/cgroup.subtree_control`, enable)
    return { kind: 'v2', root: ROOT }
  } catch (error) {
    return { kind: 'none', reason: messageOf(error) }
  }
}

const isWritable = (folder: string): Promise<boolean> =>
  access(folder, constants.W_OK).then(
    () => true,
    () => false,
  )

/** Where the kernel lists, and takes, the numbers of a group's processes. */
export const membersFile = (folder: string): string => `${folder}/cgroup.procs`

/** Makes the groups and sets the limits; resolves to the files that take the process's number. */
export async function enforce(plan: CgroupPlan): Promise<readonly string[]> {
  for (const folder of plan.folders) await mkdir(folder, { recursive: true })
  for (const { file, text } of plan.writes) await writeFile(file, text)
  return plan.folders.map(membersFile)
}

/** How often the kernel ended something in the group for want of memory. */
export async function readOutOfMemoryKills(plan: CgroupPlan): Promise<number> {
  if (plan.memoryEvents === null) return 0
  return outOfMemoryKills(await readFile(plan.memoryEvents, 'utf8').catch(() => ''))
}

/** Kills what is still in the groups (a process may have left its process group, never these) and removes them. */
export async function dissolve(plan: CgroupPlan): Promise<void> {
  for (const folder of plan.folders) {
    const members = await readFile(membersFile(folder), 'utf8').catch(() => '')
    killAll(members.split('\n').filter(Boolean).map(Number))
    await removeGroup(folder)
  }
}

/**
 * A killed process leaves its group a moment later; until then the kernel says EBUSY. An empty group left behind does
 * no harm.
 */
async function removeGroup(folder: string): Promise<void> {
  for (let attempt = 0; attempt < REMOVE_ATTEMPTS_MAX; attempt++) {
    try {
      return await rmdir(folder)
    } catch (error) {
      if (codeOf(error) !== 'EBUSY') return
      await pause(REMOVE_INTERVAL_MS, NEVER)
    }
  }
}

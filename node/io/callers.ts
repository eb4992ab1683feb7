// Which instance of this device a connection comes from. The kernel knows whose socket it is; the process runtime noted
// which process leads each instance. A process that left its instance's tree (a daemon of its own) counts as a person,
// and so does everything on systems without /proc: the node's user may open the control socket anyway.

import { readdirSync } from 'node:fs'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Call, Origin } from '../../overlay/io/way-in.ts'
import type { InstanceKey } from '../../overlay/kernel/ids.ts'
import { LAUNCH_FILE, PROCESS_FILE, parseLaunchNote } from '../../placement/process-launch.ts'
import { inodeAt } from '../socket-table.ts'

/** Processes of one instance that are looked at; a guess far above what an instance has. */
const PROCESSES_MAX = 1_024

/** Whether a call comes from a program in the device's own network; anything else has an address of its own. */
export const isLoopback = ({ address }: Origin): boolean => /^(?:::ffff:)?127\.|^::1$/.test(address)

/** Resolves to the instance, or to null for anybody else. Never rejects. */
export async function callerAt(dataDir: string, from: Origin, protocol: Call['protocol']): Promise<InstanceKey | null> {
  const instances = join(dataDir, 'instances')
  // Most devices run nothing, or containers: they pay for one look into a folder. It is a small one that the system has
  // in memory: asking for it in another thread costs each call ten times as long as the look.
  const folders = foldersIn(instances)
  if (folders.length === 0) return null
  const inode = (await inodeIn(protocol, from)) ?? (await inodeIn(`${protocol}6`, from))
  if (inode === null) return null
  const socket = `socket:[${inode}]`
  for (const folder of folders) {
    const leader = Number.parseInt(await readOr(join(instances, folder, PROCESS_FILE)), 10)
    if (!(leader > 1) || !(await holdsSocket(leader, socket))) continue
    return parseLaunchNote(await readOr(join(instances, folder, LAUNCH_FILE)))?.key ?? null
  }
  return null
}

function foldersIn(path: string): readonly string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

const readOr = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')

const inodeIn = async (table: string, from: Origin): Promise<string | null> =>
  inodeAt(await readOr(`/proc/self/net/${table}`), from)

/** Whether a process or one that it started has the socket. */
async function holdsSocket(leader: number, socket: string): Promise<boolean> {
  const processes = [leader]
  for (let index = 0; index < processes.length && index < PROCESSES_MAX; index++) {
    const process = `/proc/${processes[index]}`
    const descriptors = await readdir(`${process}/fd`).catch(() => [])
    const links = await Promise.all(descriptors.map((fd) => readlink(`${process}/fd/${fd}`).catch(() => '')))
    if (links.includes(socket)) return true
    for (const thread of await readdir(`${process}/task`).catch(() => [])) {
      const children = await readOr(`${process}/task/${thread}/children`)
      processes.push(...children.split(' ').filter(Boolean).map(Number))
    }
  }
  return false
}

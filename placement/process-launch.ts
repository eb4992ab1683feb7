// A process instance on paper: its environment, the small shell that watches over it, and what the node notes down
// about it. The shell and the notes outlive the node, so an exit code is not lost with the node that asked for the
// start.

import { type InstanceKey, splitInstanceKey } from '../overlay/kernel/ids.ts'
import type { Endpoint } from '../services-registry/record.ts'
import type { Launch } from './runtime.ts'

/** What is written before a process is started; enough to know it again. */
export interface LaunchNote {
  readonly key: InstanceKey
  readonly specId: string
  readonly endpoint: Endpoint
  /** The kernel's boot id: process numbers and start times mean nothing after a reboot. */
  readonly bootId: string
  /** What it was limited to; its control groups are found by this. */
  readonly limits: { readonly memoryMb: number; readonly vcpus: number; readonly pidsMax: number | null }
}

/** A process as `/proc/<pid>/stat` tells it (proc(5)). */
export interface ProcessStat {
  readonly pid: number
  readonly state: string
  readonly group: number
  /** Clock ticks since boot; with the pid it names one process for as long as the machine is up. */
  readonly startTicks: number
}

/** Variables that an instance inherits from the node; everything else is the node's own business. */
const INHERITED = ['PATH', 'HOME', 'LANG'] as const

/** The files of an instance's folder. */
export const LAUNCH_FILE = 'launch.json'
export const PROCESS_FILE = 'process'
export const TIMES_FILE = 'times'
export const EXIT_FILE = 'exit'
export const OUTPUT_FILE = 'output.log'
export const WORK_FOLDER = 'work'

/**
 * Joins the control groups, notes its own identity, runs the command, and notes how much processor time that took and
 * its exit status. SIGTERM goes to the whole group: the trap lets the shell live until the command has ended, and a
 * trapped signal is back to normal in the command. What the shell itself has to say (`Terminated`) stays out of the
 * instance's output; dash needs the subshell for that.
 */
const WATCHER = `folder=$1
shift
while [ "$1" != -- ]; do echo $$ > "$1" || :; shift; done 2>/dev/null
shift
trap : TERM INT HUP
read -r line < /proc/$$/stat && printf '%s\\n' "$line" > "$folder/${PROCESS_FILE}"
exec 3>&2 2>/dev/null
( exec "$@" 2>&3 3>&- )
status=$?
times > "$folder/${TIMES_FILE}"
echo $status > "$folder/${EXIT_FILE}"`

/** The arguments of `/bin/sh` that run a command under the watcher. */
export const watcherArguments = (
  folder: string,
  groupFiles: readonly string[],
  command: readonly string[],
): readonly string[] => ['-c', WATCHER, 'coppice-watcher', folder, ...groupFiles, '--', ...command]

/** The environment of a process: a minimum of the node's, what the spec sets, and where it has to listen. */
export function processEnvironment(
  launch: Launch,
  endpoint: Endpoint,
  nodeId: string,
  own: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const environment: Record<string, string> = {}
  for (const name of INHERITED) {
    const value = own[name]
    if (value !== undefined) environment[name] = value
  }
  const first = endpoint.ports[0]
  Object.assign(environment, launch.spec.environment, identityOf(launch.key, nodeId))
  if (first !== undefined) environment.PORT = String(first.actual)
  for (const port of endpoint.ports) environment[`PORT_${port.declared}`] = String(port.actual)
  return environment
}

/** The variables that tell a process who it is; they also mark it as ours. */
export function identityOf(key: InstanceKey, nodeId: string): Record<string, string> {
  const { service, number } = splitInstanceKey(key)
  return { COPPICE_SERVICE: service, COPPICE_INSTANCE: String(number), COPPICE_NODE: nodeId }
}

/**
 * Reads a line of `/proc/<pid>/stat`; the program's name in it may hold spaces and brackets. Null when it is no such
 * line.
 */
export function parseProcessStat(line: string): ProcessStat | null {
  const nameEnd = line.lastIndexOf(')')
  const pid = Number.parseInt(line, 10)
  // Fields 3 (state), 5 (process group) and 22 (start time), counted from 1; field 2 is the name.
  const fields = line.slice(nameEnd + 2).split(' ')
  const state = fields[0]
  const group = Number(fields[2])
  const startTicks = Number(fields[19])
  if (nameEnd < 0 || state === undefined || state === '') return null
  if (![pid, group, startTicks].every((field) => Number.isInteger(field) && field >= 0)) return null
  return { pid, state, group, startTicks }
}

/** Whether a process still runs: a zombie (Z) or dead one (X) only waits to be forgotten. */
export const isRunning = (stat: ProcessStat): boolean => !'ZXx'.includes(stat.state)

/** Reads a launch note; null when it is cut off or none at all. */
export function parseLaunchNote(text: string): LaunchNote | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null) return null
  const { key, specId, endpoint, bootId, limits } = value as Partial<LaunchNote>
  if (typeof key !== 'string' || typeof specId !== 'string' || typeof bootId !== 'string') return null
  if (typeof limits?.memoryMb !== 'number' || typeof limits.vcpus !== 'number') return null
  // Notes of the first version have none.
  const pidsMax = typeof limits.pidsMax === 'number' ? limits.pidsMax : null
  if (typeof endpoint?.host !== 'string' || !Array.isArray(endpoint.ports)) return null
  const whole = endpoint.ports.every(
    (port) => Number.isInteger(port?.declared) && Number.isInteger(port?.actual) && typeof port?.protocol === 'string',
  )
  return whole ? { key, specId, endpoint, bootId, limits: { ...limits, pidsMax } } : null
}

/**
 * Seconds of processor time that the command took, with all that it waited for: the second line of what `times` says,
 * in user and kernel mode (POSIX, shell command language, 2.14: `0m0.00s 0m0.00s`; with a comma
 * where the language has one). Null when there is nothing.
 */
export function parseTimes(text: string): number | null {
  const [, ...times] = /^.*\n(\d+)m([\d.]+)s (\d+)m([\d.]+)s\s*$/.exec(text.replaceAll(',', '.')) ?? []
  const [userMinutes = Number.NaN, user = 0, kernelMinutes = 0, kernel = 0] = times.map(Number)
  const seconds = (userMinutes + kernelMinutes) * 60 + user + kernel
  return Number.isFinite(seconds) ? seconds : null
}

/** Reads what the watcher noted at the end: 0 to 255; null when there is nothing. */
export const parseExitStatus = (text: string): number | null => (/^\d{1,3}$/.test(text.trim()) ? Number(text) : null)

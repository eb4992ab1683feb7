// What a process costs, as Linux counts it.

import { readFile } from 'node:fs/promises'
import type { FleetNode } from '../local/fleet.ts'

/** Clock ticks per second of /proc/PID/stat; 100 on every Linux that Node runs on (sysconf(3)). */
const TICKS_PER_S = 100

/** Processor time of all threads so far, in seconds (proc(5): utime and stime). */
export async function cpuSeconds({ process }: FleetNode): Promise<number> {
  const stat = await readFile(`/proc/${process.pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S
}

/** In MiB, with the pages that it shares with other processes. */
export async function residentMb({ process }: FleetNode): Promise<number> {
  const status = await readFile(`/proc/${process.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1_024
}

/**
 * The process's share of the memory that is taken, in MiB: a page that several hold counts for each by its part
 * (proc(5), Pss). So what nodes take together is the sum of their shares, while the program's own pages are in the
 * resident memory of each.
 */
export async function shareMb({ process }: FleetNode): Promise<number> {
  const rollup = await readFile(`/proc/${process.pid}/smaps_rollup`, 'utf8')
  return Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? Number.NaN) / 1_024
}

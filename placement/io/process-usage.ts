// What a process instance uses, as the kernel counts it for the processes of its group and those that they waited for.

import { readdir, readFile } from 'node:fs/promises'
import type { InstanceStats } from '../runtime.ts'

/** Ticks of processor time in a second: 100 on every Linux (USER_HZ; proc(5), clock ticks). */
const TICKS_PER_S = 100
/** Of the architectures that Node runs on. One with larger pages shows too little memory. */
const PAGE_BYTES = 4_096
const BYTES_PER_MB = 1_000_000

/** Sums up what runs of a process group; nothing where none of it runs. */
export async function readGroupUsage(group: number): Promise<InstanceStats> {
  let [ticks, pages] = [0, 0]
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const usage = usageIn(await readFile(`/proc/${name}/stat`, 'utf8').catch(() => ''))
    if (usage === null || usage.group !== group) continue
    ticks += usage.ticks
    pages += usage.pages
  }
  return { cpuSeconds: ticks / TICKS_PER_S, memoryMb: (pages * PAGE_BYTES) / BYTES_PER_MB }
}

/**
 * Fields 5 (group), 14 to 17 (time of its own, and of children that it waited for, in user and kernel mode) and 24
 * (resident pages) of a line of `/proc/<pid>/stat`, counted from 1; field 2, the name, may hold spaces and brackets.
 */
export function usageIn(
  line: string,
): { readonly group: number; readonly ticks: number; readonly pages: number } | null {
  const nameEnd = line.lastIndexOf(')')
  const fields = line
    .slice(nameEnd + 2)
    .split(' ')
    .map(Number)
  const [group, ...times] = [2, 11, 12, 13, 14].map((index) => fields[index] ?? Number.NaN)
  const pages = fields[21] ?? Number.NaN
  const ticks = times.reduce((sum, one) => sum + one, 0)
  const isLine = nameEnd >= 0 && group !== undefined && [group, ticks, pages].every(Number.isInteger)
  return isLine ? { group, ticks, pages } : null
}

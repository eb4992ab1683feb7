// Changes the limits of a process that runs: the files of its control groups are written again.

import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { CgroupLayout } from '../cgroup-limits.ts'
import type { Launch } from '../runtime.ts'
import { heldMemoryMb, type RuntimeLimits } from '../runtime.ts'
import { groupsOf } from './process-start.ts'

const BYTES_PER_MB = 1_000_000
/** What the kernel calls the memory in use, in version 2 and 1 of control groups. */
const MEMORY_USE_FILES = ['memory.current', 'memory.usage_in_bytes'] as const

/** Rejects where the kernel takes the limits not; without control groups nothing is changed. */
export async function changeProcessLimits(
  key: Launch['key'],
  limits: RuntimeLimits,
  context: { readonly cgroups: CgroupLayout; readonly nodeId: string },
): Promise<void> {
  // How many processes it may have stays as it is.
  const kept = { ...limits, pidsMax: null }
  const declared = groupsOf(key, kept, context)
  const usedMb = declared.memoryEvents === null ? null : await memoryUseMb(dirname(declared.memoryEvents))
  const isHeld = limits.holdMemory && usedMb !== null
  const memoryMb = isHeld ? heldMemoryMb(usedMb, limits.memoryMb) : limits.memoryMb
  const { writes } = groupsOf(key, { ...kept, memoryMb }, context)
  for (const { file, text } of writes) await writeFile(file, text)
}

async function memoryUseMb(folder: string): Promise<number | null> {
  for (const file of MEMORY_USE_FILES) {
    const text = await readFile(join(folder, file), 'utf8').catch(() => null)
    if (text !== null) return Number(text) / BYTES_PER_MB
  }
  return null
}

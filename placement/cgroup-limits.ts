// Limits of memory, cpu and processes in the words of the kernel: which file of a control group gets which text, for
// both of its versions.

import type { ServiceSpec } from './spec.ts'

/** How this machine lays out its control groups; `none` when there are none that we may write. */
export type CgroupLayout =
  | { readonly kind: 'none'; readonly reason: string }
  | { readonly kind: 'v2'; readonly root: string }
  | {
      readonly kind: 'v1'
      readonly memoryRoot: string | null
      readonly cpuRoot: string | null
      readonly pidsRoot: string | null
    }

export interface CgroupPlan {
  /** Folders to make, and to remove when the instance is gone. */
  readonly folders: readonly string[]
  readonly writes: readonly { readonly file: string; readonly text: string }[]
  /** Where the number of an out-of-memory kill stands; null when there is no memory limit. */
  readonly memoryEvents: string | null
}

/** The kernel's default period of cpu bandwidth control (Documentation/scheduler/sched-bwc), in µs. */
const CPU_PERIOD_US = 100_000
/** The smallest quota that the kernel takes, in µs. */
const CPU_QUOTA_US_MIN = 1_000
const BYTES_PER_MB = 1_000_000

/** For an instance that runs without limits. */
export const NO_GROUPS: CgroupPlan = { folders: [], writes: [], memoryEvents: null }

export type ProcessLimits = Pick<ServiceSpec, 'memoryMb' | 'vcpus' | 'pidsMax'>

/** The watcher is in the group too and is not the spec's affair. */
const WATCHER_PIDS = 1

/**
 * What to make and write so that whatever joins `name` stays within the limits; 0, and null for processes, means no
 * limit.
 */
export function cgroupPlan(layout: CgroupLayout, name: string, limits: ProcessLimits): CgroupPlan {
  const memoryBytes = String(Math.round(limits.memoryMb * BYTES_PER_MB))
  const quotaUs = String(Math.max(CPU_QUOTA_US_MIN, Math.round(limits.vcpus * CPU_PERIOD_US)))
  const memory = limits.memoryMb > 0
  const cpu = limits.vcpus > 0
  const pids = limits.pidsMax === null ? null : String(limits.pidsMax + WATCHER_PIDS)
  if (layout.kind === 'none' || !(memory || cpu || pids !== null)) return NO_GROUPS
  if (layout.kind === 'v2') {
    const folder = `${layout.root}/coppice/${name}`
    return {
      folders: [folder],
      writes: [
        ...(memory ? [{ file: `${folder}/memory.max`, text: memoryBytes }] : []),
        ...(cpu ? [{ file: `${folder}/cpu.max`, text: `${quotaUs} ${CPU_PERIOD_US}` }] : []),
        ...(pids === null ? [] : [{ file: `${folder}/pids.max`, text: pids }]),
      ],
      memoryEvents: memory ? `${folder}/memory.events` : null,
    }
  }
  const memoryFolder = memory && layout.memoryRoot !== null ? `${layout.memoryRoot}/coppice/${name}` : null
  const cpuFolder = cpu && layout.cpuRoot !== null ? `${layout.cpuRoot}/coppice/${name}` : null
  const pidsFolder = pids !== null && layout.pidsRoot !== null ? `${layout.pidsRoot}/coppice/${name}` : null
  return {
    folders: [memoryFolder, cpuFolder, pidsFolder].filter((folder) => folder !== null),
    writes: [
      ...(memoryFolder === null ? [] : [{ file: `${memoryFolder}/memory.limit_in_bytes`, text: memoryBytes }]),
      ...(cpuFolder === null
        ? []
        : [
            { file: `${cpuFolder}/cpu.cfs_period_us`, text: String(CPU_PERIOD_US) },
            { file: `${cpuFolder}/cpu.cfs_quota_us`, text: quotaUs },
          ]),
      ...(pids === null || pidsFolder === null ? [] : [{ file: `${pidsFolder}/pids.max`, text: pids }]),
    ],
    memoryEvents: memoryFolder === null ? null : `${memoryFolder}/memory.oom_control`,
  }
}

/** How often the kernel ended something in the group for want of memory; 0 where the text does not say. */
export const outOfMemoryKills = (events: string): number => Number(/^oom_kill (\d+)$/m.exec(events)?.[1] ?? 0)

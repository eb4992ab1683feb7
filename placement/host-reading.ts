// What a device says about itself, and the arithmetic between raw counters and that. What no sensor tells is absent,
// never a guess or a zero.

export interface HostFacts {
  /** Cores that the node may use. */
  readonly cores: number
  /** As Node names it: `x64`, `arm64`, `arm`, `riscv64`. */
  readonly architecture: string
  /** Operating system and release, e.g. `linux 6.12.8`. */
  readonly os: string
  /** Names of graphics processors with memory of their own. */
  readonly gpus: readonly string[]
  /** How many processors for tensors the kernel shows. */
  readonly tpus?: number
}

export interface HostReading extends HostFacts {
  /** Load average of one minute divided by the cores; 1 means that all are busy. Absent where the system keeps none. */
  readonly load?: number
  /** Share of cpu time in use since the last reading, 0 to 1. Absent in the first reading. */
  readonly cpuUsed?: number
  /** MB (10^6 bytes); `free` is what could be had without swapping. */
  readonly memoryMb: { readonly total: number; readonly free: number }
  /** MB on the file system of the node's folder; `free` is what an ordinary user may take. */
  readonly diskMb?: DiskReading
  /** Bytes per second over all network devices but loopback and virtual ones. Absent in the first reading. */
  readonly network?: NetworkRates
  /** Mbit/s of the fastest network device that has a carrier and says so. */
  readonly linkMbit?: number
  /** Where power comes from, where a battery tells; and how full it is, 0 to 1. */
  readonly power?: 'mains' | 'battery'
  readonly batteryCharge?: number
  /** Of the processor, in degrees Celsius. */
  readonly temperatureC?: number
}

export interface DiskReading {
  readonly total: number
  readonly free: number
}

/** Since the last reading. */
export interface NetworkRates {
  readonly inBytesPerS: number
  readonly outBytesPerS: number
}

/** Ticks that all processors spent so far. */
export interface CpuTicks {
  readonly busy: number
  readonly total: number
}

export interface NetworkCounters {
  readonly inBytes: number
  readonly outBytes: number
  readonly atMs: number
}

const BYTES_PER_MB = 1_000_000

export const toMb = (bytes: number): number => Math.round(bytes / BYTES_PER_MB)

/** The sum over processors of what `os.cpus()` counts. */
export function cpuTicks(cpus: readonly { readonly times: Readonly<Record<string, number>> }[]): CpuTicks {
  let busy = 0
  let total = 0
  for (const { times } of cpus) {
    for (const [name, ticks] of Object.entries(times)) {
      total += ticks
      if (name !== 'idle') busy += ticks
    }
  }
  return { busy, total }
}

/**
 * Share in use between two readings, 0 to 1; null when no time passed between them or a counter fell (a processor
 * went offline).
 */
export function cpuShare(before: CpuTicks, after: CpuTicks): number | null {
  const total = after.total - before.total
  const busy = after.busy - before.busy
  if (total <= 0 || busy < 0) return null
  return Math.min(1, busy / total)
}

/** Devices that only pass on what another one already counted: bridges, tunnels, container ends. */
const VIRTUAL_DEVICE = /^(lo|veth|docker|br-|virbr|cni|flannel|tun|tap|wg|dummy|ifb|bond|vlan)/

/** Reads `/proc/net/dev` (proc(5)): after the device's name the 1st number is bytes received, the 9th bytes sent. */
export function parseNetworkDevices(text: string, atMs: number): NetworkCounters | null {
  let inBytes = 0
  let outBytes = 0
  let devices = 0
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).trim()
    if (colon < 0 || VIRTUAL_DEVICE.test(name)) continue
    const numbers = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/)
      .map(Number)
    const received = numbers[0]
    const sent = numbers[8]
    if (received === undefined || sent === undefined || Number.isNaN(received) || Number.isNaN(sent)) continue
    inBytes += received
    outBytes += sent
    devices += 1
  }
  return devices === 0 ? null : { inBytes, outBytes, atMs }
}

/** Mbit/s of the fastest device that is no virtual one, as each says; a kernel says -1 where it does not know. */
export function fastestLink(speeds: Readonly<Record<string, string>>): number | null {
  const known = Object.entries(speeds).flatMap(([device, text]) => {
    const mbit = Number(text)
    return VIRTUAL_DEVICE.test(device) || !(mbit > 0) ? [] : [mbit]
  })
  return known.length === 0 ? null : Math.max(...known)
}

/** Coral's edge processors show up as `/dev/apex_0` (gasket driver). */
export const countTpus = (devices: readonly string[]): number =>
  devices.filter((name) => /^apex_\d+$/.test(name)).length

/**
 * Whether a driver of Linux made a device file for a graphics processor: DRM, AMD, WSL, Mali or NVIDIA. Without one
 * there is none that could compute.
 */
export const hasGraphics = (devices: readonly string[]): boolean =>
  devices.some((name) => /^(dri$|kfd$|dxg$|mali\d|nvidia|nvhost|nvgpu|nvmap)/.test(name))

const MS_PER_S = 1_000

/** Rates between two readings; null when no time passed or a counter fell (a device was unplugged). */
export function networkRates(before: NetworkCounters, after: NetworkCounters): NetworkRates | null {
  const seconds = (after.atMs - before.atMs) / MS_PER_S
  const received = after.inBytes - before.inBytes
  const sent = after.outBytes - before.outBytes
  if (seconds <= 0 || received < 0 || sent < 0) return null
  return { inBytesPerS: Math.round(received / seconds), outBytesPerS: Math.round(sent / seconds) }
}

/** The battery's word on where power comes from; a device without one does not know. */
export function powerOf(battery: {
  readonly hasBattery: boolean
  readonly acConnected: boolean
  readonly percent: number
}): Pick<HostReading, 'power' | 'batteryCharge'> {
  if (!battery.hasBattery) return {}
  const batteryCharge = Math.min(1, Math.max(0, battery.percent / 100))
  return { power: battery.acConnected ? 'mains' : 'battery', batteryCharge }
}

/** At most so many graphics processors are named, by so many characters. */
const GPUS_MAX = 16
const GPU_NAME_LENGTH_MAX = 128

/**
 * Graphics processors that can compute: those with memory of their own, which leaves out frame buffers and emulated
 * ones.
 */
export const gpuNames = (
  controllers: readonly { readonly model: string; readonly vram: number | null }[],
): readonly string[] =>
  controllers
    .filter(({ model, vram }) => model !== '' && (vram ?? 0) > 0)
    .map(({ model }) => model.slice(0, GPU_NAME_LENGTH_MAX))
    .slice(0, GPUS_MAX)

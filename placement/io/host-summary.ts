// Asks the device how it is. What never changes is asked once, what changes slowly once a minute; what a reading asks
// each time forks nothing, and on Linux waits for nothing but the disk: the kernel's own files are read on the spot,
// since each step of a file that is read on another thread wakes an idle process anew. Measured on a 2-core VM: 1.5 ms
// a reading (65 ms the first), 10 ms once a minute where there is a temperature sensor (four small processes).

import { readFileSync } from 'node:fs'
import { readdir, readFile, statfs } from 'node:fs/promises'
import { arch, availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os'
import { constrainedMemory } from 'node:process'
import systeminformation from 'systeminformation'
import {
  type CpuTicks,
  countTpus,
  cpuShare,
  cpuTicks,
  type DiskReading,
  fastestLink,
  gpuNames,
  type HostFacts,
  type HostReading,
  hasGraphics,
  type NetworkCounters,
  networkRates,
  parseNetworkDevices,
  powerOf,
  toMb,
} from '../host-reading.ts'
import { within } from './deadline.ts'

export interface HostProbeOptions {
  /** The disk that counts is the one with this folder. */
  readonly dataDir: string
}

export interface HostProbe {
  /**
   * Never rejects: what cannot be read in time is absent. The first reading takes longer. Not to be called again
   * before it resolves.
   */
  read(): Promise<HostReading>
}

/** For each thing that is read; a hung disk or sensor must not hold up the summary. A guess. */
const READ_TIMEOUT_MS = 2_000
/** The one-time look for graphics processors may have to wait for vendor tools. A guess. */
const FACTS_TIMEOUT_MS = 10_000
/** Temperature changes slowly and asking forks processes. A guess. */
const TEMPERATURE_INTERVAL_MS = 60_000
/** A cable is plugged in, or a radio link finds its pace, seldom; there is a file for each device. A guess. */
const LINK_INTERVAL_MS = 60_000
/** Where Linux tells of its network devices; elsewhere there is no such folder. */
const NET_FOLDER = '/sys/class/net'
/** Characters of a kernel's own version string that are passed on. */
const OS_LENGTH_MAX = 64

/** A probe of this device. */
export function createHostProbe({ dataDir }: HostProbeOptions): HostProbe {
  const temperature = createTemperatureSensor()
  const link = createLinkSensor()
  let facts: Promise<HostFacts> | null = null
  let ticksBefore: CpuTicks | null = null
  let countersBefore: NetworkCounters | null = null

  async function read(): Promise<HostReading> {
    facts ??= readFacts()
    const [known, memoryMb, diskMb, counters, power, temperatureC, linkMbit] = await Promise.all([
      facts,
      readMemory(),
      readDisk(dataDir),
      readNetwork(),
      readPower(),
      temperature(),
      link(),
    ])
    const ticks = cpuTicks(cpus())
    const cpuUsed = ticksBefore === null ? null : cpuShare(ticksBefore, ticks)
    const network = countersBefore === null || counters === null ? null : networkRates(countersBefore, counters)
    ticksBefore = ticks
    countersBefore = counters
    return {
      ...known,
      memoryMb,
      // Windows keeps no load average and Node says 0 there.
      ...(platform() === 'win32' ? {} : { load: (loadavg()[0] ?? 0) / known.cores }),
      ...(cpuUsed === null ? {} : { cpuUsed }),
      ...(diskMb === null ? {} : { diskMb }),
      ...(network === null ? {} : { network }),
      ...(linkMbit === null ? {} : { linkMbit }),
      ...power,
      ...(temperatureC === null ? {} : { temperatureC }),
    }
  }
  return { read }
}

async function readFacts(): Promise<HostFacts> {
  const devices = (await within(readdir('/dev'), READ_TIMEOUT_MS)) ?? []
  // The look starts half a dozen processes on Linux, which most devices spare themselves.
  const mayCompute = platform() !== 'linux' || hasGraphics(devices)
  const graphics = mayCompute ? await within(systeminformation.graphics(), FACTS_TIMEOUT_MS) : null
  return {
    cores: availableParallelism(),
    architecture: arch(),
    os: `${platform()} ${release()}`.slice(0, OS_LENGTH_MAX),
    gpus: gpuNames(graphics?.controllers ?? []),
    tpus: countTpus(devices),
  }
}

/**
 * In a container with a memory limit the limit is what there is; 0 or a huge number stands for none. On Linux what Node
 * says is the kernel's own count; elsewhere it takes no account of what caches would give back.
 */
async function readMemory(): Promise<HostReading['memoryMb']> {
  const memory = platform() === 'linux' ? null : await within(systeminformation.mem(), READ_TIMEOUT_MS)
  const deviceBytes = memory?.total ?? totalmem()
  const limitBytes = constrainedMemory()
  const totalBytes = limitBytes > 0 ? Math.min(deviceBytes, limitBytes) : deviceBytes
  return {
    total: toMb(totalBytes),
    free: toMb(Math.min(totalBytes, memory?.available ?? totalBytes, process.availableMemory())),
  }
}

/** `statfs` tells of one file system without the processes that `systeminformation.fsSize` forks (measured: 6 ms). */
async function readDisk(dataDir: string): Promise<DiskReading | null> {
  const disk = await within(statfs(dataDir), READ_TIMEOUT_MS)
  return disk === null ? null : { total: toMb(disk.blocks * disk.bsize), free: toMb(disk.bavail * disk.bsize) }
}

/** `/proc/net/dev` where there is one; elsewhere `systeminformation`, which forks. */
async function readNetwork(): Promise<NetworkCounters | null> {
  if (platform() === 'linux') return readNetworkDevices()
  const stats = await within(systeminformation.networkStats('*'), READ_TIMEOUT_MS)
  if (stats === null || stats.length === 0) return null
  return {
    inBytes: stats.reduce((sum, device) => sum + device.rx_bytes, 0),
    outBytes: stats.reduce((sum, device) => sum + device.tx_bytes, 0),
    atMs: performance.now(),
  }
}

function readNetworkDevices(): NetworkCounters | null {
  try {
    return parseNetworkDevices(readFileSync('/proc/net/dev', 'utf8'), performance.now())
  } catch {
    return null
  }
}

/** Asks once a minute. */
function createLinkSensor(): () => Promise<number | null> {
  let last: number | null = null
  let nextMs = 0
  return async () => {
    if (performance.now() < nextMs) return last
    nextMs = performance.now() + LINK_INTERVAL_MS
    last = await readLink()
    return last
  }
}

/** What the kernel says of its network devices; one without a carrier refuses to be read. */
async function readLink(): Promise<number | null> {
  const devices = (await within(readdir(NET_FOLDER), READ_TIMEOUT_MS)) ?? []
  const read = async (device: string): Promise<readonly [string, string]> => [
    device,
    (await within(readFile(`${NET_FOLDER}/${device}/speed`, 'utf8'), READ_TIMEOUT_MS)) ?? '',
  ]
  return fastestLink(Object.fromEntries(await Promise.all(devices.map(read))))
}

async function readPower(): Promise<Pick<HostReading, 'power' | 'batteryCharge'>> {
  const battery = await within(systeminformation.battery(), READ_TIMEOUT_MS)
  return battery === null ? {} : powerOf(battery)
}

/** Asks once a minute and, where there is no sensor, never again. */
function createTemperatureSensor(): () => Promise<number | null> {
  let last: number | null = null
  let nextMs = 0
  return async () => {
    if (performance.now() < nextMs) return last
    nextMs = performance.now() + TEMPERATURE_INTERVAL_MS
    const reading = await within(systeminformation.cpuTemperature(), READ_TIMEOUT_MS)
    // The library's types promise a number; without a sensor it is null.
    const main = reading?.main as number | null | undefined
    last = typeof main === 'number' && Number.isFinite(main) ? main : null
    if (reading !== null && last === null) nextMs = Number.POSITIVE_INFINITY
    return last
  }
}

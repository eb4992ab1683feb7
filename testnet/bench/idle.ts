// What a node costs that does nothing: resident memory and processor time, alone and as one of three.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createFleet, type FleetNode, until } from '../local/fleet.ts'

/** Clock ticks per second of /proc/PID/stat; 100 on every Linux that Node runs on (sysconf(3)). */
const TICKS_PER_S = 100

/** The bundle that ships, where `npm run build` has made one; run as its launcher would. */
const BUNDLE = new URL('../../dist/cli/main.js', import.meta.url).href
const BUNDLED = ['-e', `import('${BUNDLE}').then(({ main }) => main(process.argv.slice(1)))`, '--']

export async function benchIdle(seconds: number, isBundled: boolean): Promise<void> {
  const program = isBundled ? { program: BUNDLED } : {}
  for (const count of [1, 3]) {
    const baseDir = await mkdtemp(join(tmpdir(), 'coppice-bench-'))
    const names = Array.from({ length: count }, (_, index) => `home-${index + 1}`)
    const fleet = createFleet({
      baseDir,
      clusters: [{ path: '/home', names }],
      onProgress: console.error,
      ...program,
    })
    try {
      await fleet.start()
      const isReady = async (): Promise<boolean> =>
        (await Promise.all(fleet.nodes.map((node) => node.control.status()))).every((status) => status.ready)
      await until('all are ready', isReady, 60_000)
      const node = fleet.nodes[0] as FleetNode
      const before = await cpuSeconds(node)
      await delay(seconds * 1_000)
      const cpu = (((await cpuSeconds(node)) - before) / seconds) * 100
      const rss = await residentMb(node)
      console.log(
        `one of ${count}, idle for ${seconds} s: ${rss.toFixed(0)} MB resident, ${cpu.toFixed(1)} % of a core`,
      )
    } finally {
      await fleet.stop()
      await rm(baseDir, { recursive: true, force: true })
    }
  }
}

async function residentMb(node: FleetNode): Promise<number> {
  const status = await readFile(`/proc/${node.process.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1_024
}

async function cpuSeconds(node: FleetNode): Promise<number> {
  const stat = await readFile(`/proc/${node.process.pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S
}

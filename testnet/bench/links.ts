// What goes over the wire between each two nodes of a fleet, as the kernel counts it (`ss`, from tcp_info): payload
// bytes of TCP and segments, acknowledgements included. Nothing of the nodes is trusted for it.

import { spawnSync } from 'node:child_process'
import type { FleetNode } from '../local/fleet.ts'

/** Of what `ss` says about all connections of a machine on which other fleets may run. */
const SS_BYTES_MAX = 67_108_864

/** IPv4 and TCP headers of a segment with timestamps, as Linux sends them: 20 + 20 + 12 bytes. */
export const SEGMENT_HEADER_BYTES = 52

interface Socket {
  readonly owner: string
  /** Local and peer address. */
  readonly from: string
  readonly to: string
  readonly bytesSent: number
  readonly segmentsSent: number
}

export interface LinkTraffic {
  /** The names of the two nodes. */
  readonly between: readonly [string, string]
  /** Payload in both directions. */
  readonly bytes: number
  readonly segments: number
}

export interface LinkMeter {
  /** Reads the counters; as often as connections may come and go, since a closed one takes its counters with it. */
  read(): void
  /** What went over each link since the first reading. */
  links(): readonly LinkTraffic[]
}

export function meterLinks(nodes: readonly FleetNode[]): LinkMeter {
  const first = new Map<string, Socket>()
  const last = new Map<string, Socket>()
  const ownerOf = new Map<string, string>()
  let isFirst = true
  return {
    read: () => {
      for (const socket of socketsOf(nodes)) {
        const key = `${socket.from} ${socket.to}`
        ownerOf.set(socket.from, socket.owner)
        if (isFirst) first.set(key, socket)
        last.set(key, socket)
      }
      isFirst = false
    },
    links: () => {
      const links = new Map<string, LinkTraffic>()
      for (const [key, socket] of last) {
        const other = ownerOf.get(socket.to)
        if (other === undefined) continue
        const [one = '', two = ''] = [socket.owner, other].sort()
        const name = `${one} ${two}`
        const before = links.get(name) ?? { between: [one, two], bytes: 0, segments: 0 }
        const bytes = before.bytes + socket.bytesSent - (first.get(key)?.bytesSent ?? 0)
        const segments = before.segments + socket.segmentsSent - (first.get(key)?.segmentsSent ?? 0)
        links.set(name, { between: [one, two], bytes, segments })
      }
      return [...links.values()]
    },
  }
}

/** The open TCP connections of the fleet's processes; each between two of them is there twice, once per end. */
function socketsOf(nodes: readonly FleetNode[]): readonly Socket[] {
  const names = new Map(nodes.map((node) => [`${node.process.pid}`, node.name]))
  const { stdout, status, error } = spawnSync('ss', ['-tinpHO'], { encoding: 'utf8', maxBuffer: SS_BYTES_MAX })
  if (status !== 0)
    throw new Error('links are measured with `ss` (iproute2), which does not run here', { cause: error })
  return stdout.split('\n').flatMap((line) => {
    const [, , , from, to] = line.split(/\s+/)
    const owner = names.get(/pid=(\d+)/.exec(line)?.[1] ?? '')
    if (owner === undefined || from === undefined || to === undefined) return []
    const count = (what: string): number => Number(new RegExp(`\\b${what}:(\\d+)`).exec(line)?.[1] ?? 0)
    return [{ owner, from, to, bytesSent: count('bytes_sent'), segmentsSent: count('segs_out') }]
  })
}

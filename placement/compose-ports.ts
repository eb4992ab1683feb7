// Ports of a Compose service. Others call it there by the port inside the container, and people by the published one:
// both are declared here, because a name has one set of ports for all callers.

import { itemsAt, warnUnsupported } from './compose-values.ts'
import { isObject, isOpen, type Place, refuse, show, textOf, warn } from './descriptor-report.ts'

interface Published {
  readonly outer: number
  readonly inner: number
  readonly protocol: 'tcp' | 'udp'
}

const RANGE_MAX = 64
const SHORT = /^(?:(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(\d*(?:-\d+)?):)?(\d+(?:-\d+)?)(?:\/(tcp|udp))?$/i
const EXPECTED = '"80", "8080:80", "127.0.0.1:8080:80/udp", "3000-3005", or {target: 80, published: 8080}'

/** In the SLA's notation, for `port` of a microservice. */
export function composePorts(place: Place): readonly string[] {
  const published = itemsAt(place, 'ports').flatMap(({ path, raw }) => portsOf(place, path, raw))
  const exposed = itemsAt(place, 'expose').flatMap(({ path, raw }) => portsOf(place, path, raw))
  const inner = [...published, ...exposed].map((port) => ({ ...port, outer: port.inner }))
  const found = new Map<string, string>()
  for (const { outer, inner: own, protocol } of [...published, ...inner]) {
    const declared = `${outer}/${protocol}`
    if (!found.has(declared)) found.set(declared, `${outer}:${own}/${protocol}`)
  }
  return [...found.values()]
}

function portsOf(place: Place, path: string, raw: unknown): readonly Published[] {
  const found = isObject(raw) ? longForm(place, path, raw) : shortForm(place, path, raw)
  if (found === null) refuse(place.report, path, `${show(raw)} is no port`, EXPECTED)
  return found ?? []
}

function shortForm(place: Place, path: string, raw: unknown): readonly Published[] | null {
  const match = SHORT.exec(textOf(raw).trim())
  if (match === null || (typeof raw !== 'string' && typeof raw !== 'number')) return null
  const [, host, outer = '', inner = '', protocol] = match
  if (host !== undefined) warnHost(place, path)
  return pairUp(outer === '' ? inner : outer, inner, protocol?.toLowerCase() === 'udp' ? 'udp' : 'tcp')
}

function longForm(place: Place, path: string, raw: Readonly<Record<string, unknown>>): readonly Published[] | null {
  const { target, published, protocol, host_ip: host } = raw
  if (!isOpen(host)) warnHost(place, path)
  warnUnsupported(
    { ...place, path, raw },
    ['target', 'published', 'protocol', 'host_ip', 'name'],
    ['mode', 'app_protocol'],
  )
  if (isOpen(target) || !(isOpen(protocol) || protocol === 'tcp' || protocol === 'udp')) return null
  const inner = textOf(target)
  return pairUp(isOpen(published) ? inner : textOf(published), inner, protocol === 'udp' ? 'udp' : 'tcp')
}

const warnHost = (place: Place, path: string): void =>
  warn(place.report, path, 'the host address has no effect: the service is called by its name on every device')

/** Ranges of the same length, port by port. */
function pairUp(outer: string, inner: string, protocol: Published['protocol']): readonly Published[] | null {
  const outers = rangeOf(outer)
  const inners = rangeOf(inner)
  if (outers === null || inners === null) return null
  // A range of published ports for one port inside means any of them.
  if (outers.length !== inners.length && inners.length !== 1) return null
  return inners.map((own, index) => ({ outer: outers[index] as number, inner: own, protocol }))
}

function rangeOf(text: string): readonly number[] | null {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text)
  if (match === null) return null
  const from = Number(match[1])
  const to = Number(match[2] ?? match[1])
  if (from < 1 || to > 65_535 || to < from || to - from >= RANGE_MAX) return null
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}

// Views as text for people: aligned tables, short ids, times as "3 s ago". Pure functions from a view to its lines.

import type {
  DomainView,
  EventView,
  InspectView,
  InstanceView,
  IntakeView,
  MoveView,
  NodeView,
  PeerView,
  PingView,
  ResolveView,
  ServiceView,
  StatusView,
} from '../control.ts'

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
/** All ids of Ed25519 keys begin alike (`12D3KooW`); their last eight characters tell the nodes of a fleet apart. */
const SHORT_ID_LENGTH = 8

/** A table with aligned columns; a column whose cells are all empty is left out. */
export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = rows.map((row) => row.map(clean))
  const shown = titles.map((_title, column) => lines.some((line) => (line[column] ?? '') !== ''))
  const widths = titles.map((title, column) =>
    Math.max(title.length, ...lines.map((line) => (line[column] ?? '').length)),
  )
  const print = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .filter((_cell, column) => shown[column])
      .join('  ')
      .trimEnd()
  return [print(titles), ...lines.map(print)].join('\n')
}

/** Text from other devices never moves the cursor or colours the terminal of who reads it. */
export function clean(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ')
}

/** A moment (ISO 8601) as the time since, e.g. `3 s ago`; a clock that runs ahead gives `just now`. */
export function ago(moment: string | null, nowMs: number): string {
  if (moment === null) return ''
  const ms = nowMs - Date.parse(moment)
  if (Number.isNaN(ms)) return clean(moment)
  if (ms < SECOND_MS) return 'just now'
  if (ms < MINUTE_MS) return `${Math.floor(ms / SECOND_MS)} s ago`
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)} min ago`
  if (ms < 2 * DAY_MS) return `${Math.floor(ms / HOUR_MS)} h ago`
  return `${Math.floor(ms / DAY_MS)} days ago`
}

/** `…` and the end of a node's id; domains and short ids stay as they are. */
export const shortId = (id: string): string =>
  id.startsWith('/') || id.length <= SHORT_ID_LENGTH ? id : `…${id.slice(-SHORT_ID_LENGTH)}`

const milliseconds = (ms: number | null): string =>
  ms === null ? '' : `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
const who = (name: string | null, node: string | null): string => name ?? (node === null ? '' : shortId(node))

export function renderStatus(status: StatusView): string {
  const facts = [
    ['node', `${status.name} (${status.node})`],
    ['state', status.ready ? 'ready' : `waiting for ${status.waitingFor.join(', ')}`],
    ['domain', status.domain],
    ['federation', status.federation],
    ['intake', status.intake],
    ['pressure', status.pressure === 0 ? 'none' : `level ${status.pressure}`],
    ['addresses', status.addresses.join(' ')],
    ['reached', reachText(status.reach)],
    ...Object.entries(status.proxies).map(([kind, address]) => [
      kind === 'dns' ? 'dns server' : `${kind} proxy`,
      address ?? 'off',
    ]),
  ].map(([title = '', value = '']) => `${title.padEnd(11)} ${clean(value)}`)
  const parts = [facts.join('\n'), domainTable(status.domains), ...meetings(status.domains)]
  if (status.peers.length > 0) parts.push(peerTable(status.peers))
  return parts.join('\n\n')
}

function reachText({ standing, isRelay, relays }: StatusView['reach']): string {
  const over = relays.length === 0 ? '' : `, over ${relays.map(shortId).join(' and ')}`
  const words = {
    unknown: 'nobody has tried to dial it from outside',
    open: 'directly, from wherever it was tried',
    closed: `not directly from outside${over === '' ? ', and no member carries its connections' : over}`,
  }
  return isRelay ? `${words[standing]}; carries connections for others` : words[standing]
}

const domainTable = (domains: readonly DomainView[]): string =>
  table(
    ['DOMAIN', 'ROLE', 'LEADER', 'EPOCH', 'TERM', 'QUORUM', 'ELECTORS'],
    domains.map((domain) => [
      domain.path,
      domain.role,
      leaderText(domain),
      String(domain.epoch),
      String(domain.term),
      domain.quorum ? 'yes' : 'no',
      domain.electors.map(shortId).join(' '),
    ]),
  )

/** What a person should know of how a domain came to its leader. */
function meetings(domains: readonly DomainView[]): readonly string[] {
  const lines = domains.flatMap(({ path, lineBegan, linesMet }) => [
    ...(lineBegan === null || lineBegan === 'founded' ? [] : [`${path} ${BEGAN[lineBegan]}`]),
    ...(linesMet === null ? [] : [`${path} was led twice, and became one again at ${linesMet.at}`]),
  ])
  return lines.length === 0 ? [] : [lines.join('\n')]
}
const BEGAN = {
  silence: 'went on without a majority that fell silent',
  grant: 'went on without a majority, as its parent granted',
  order: 'went on without a majority, by an operator’s order',
} as const

function leaderText(domain: DomainView): string {
  if (domain.leader === null) return 'none'
  const speaker = who(domain.leaderName, domain.leaderNode)
  return domain.leader.startsWith('/') ? `${domain.leader} (${speaker})` : who(domain.leaderName, domain.leader)
}

const peerTable = (peers: readonly PeerView[]): string =>
  table(
    ['PEER', 'NODE', 'DOMAIN', 'STATE', 'PATH', 'RTT', 'WHY'],
    peers.map((peer) => [
      peer.name,
      shortId(peer.node),
      peer.domain,
      peer.state,
      pathText(peer.path, peer.via) || 'none',
      milliseconds(peer.rttMs),
      peer.reason ?? '',
    ]),
  )

const pathText = (path: string | null, via: string | null): string =>
  path === 'relay' && via !== null ? `relay ${shortId(via)}` : (path ?? '')

export const renderNodes = (nodes: readonly NodeView[]): string =>
  table(
    ['NAME', 'DOMAIN', 'STATE', 'INCARNATION', 'NODE'],
    nodes.map((node) => [node.name, node.domain, stateOf(node), String(node.incarnation), node.node]),
  )

/** What a person has to know of a node besides that it is there. */
function stateOf({ state, summary }: NodeView): string {
  const intake = summary?.intake
  return intake === 'cordoned' || intake === 'draining' ? `${state}, ${intake}` : state
}

export const renderMove = ({ service, moves }: MoveView): string =>
  moves
    .map(({ number, outcome, name, reason }) =>
      outcome === 'moving'
        ? clean(`${service}#${number} moves to ${name ?? 'another device'}: ${reason}`)
        : clean(`${service}#${number} stays where it is: ${reason}`),
    )
    .join('\n')

export function renderIntake({ node, name, intake, instances, leads, elects, stuck }: IntakeView): string {
  const who = name ?? shortId(node)
  if (intake === 'open') return `${who} takes work`
  const runs = `${instances} ${instances === 1 ? 'instance' : 'instances'}`
  if (intake === 'cordoned') return `${who} is cordoned: it takes nothing new and keeps ${runs}`
  if (instances + leads.length + elects.length === 0) return `${who} is drained: it runs and leads nothing`
  const leading = leads.length === 0 ? '' : `, leads ${leads.join(' and ')}`
  const voting = elects.length === 0 ? '' : `, votes in ${elects.join(' and ')}`
  const held = stuck.map(({ instance, reason }) => clean(`  ${instance} cannot leave: ${reason}`))
  return [`${who} is draining: it runs ${runs}${leading}${voting}`, ...held].join('\n')
}

export function renderInstances(instances: readonly InstanceView[], nowMs: number): string {
  if (instances.length === 0) return 'no instances'
  return table(
    ['SERVICE', 'NUMBER', 'STATE', 'NODE', 'DOMAIN', 'ENDPOINT', 'SINCE', 'RESTARTS', 'REASON'],
    instances.map((instance) => [
      instance.service,
      String(instance.number),
      instance.state,
      who(instance.name, instance.node),
      instance.domain ?? '',
      instance.endpoint ?? '',
      ago(instance.since, nowMs),
      String(instance.restarts),
      instance.reason,
    ]),
  )
}

/** A service's address and, an instance a line, where it went and why. */
export function renderService(service: ServiceView): string {
  const kept = service.accepted ? '' : '  (kept; its leader is not reachable yet)'
  const head = `${clean(service.id)}  in ${service.domain}${kept}`
  return [head, `  address ${clean(service.address)}`, ...service.instances.map(renderPlace)].join('\n')
}

function renderPlace(instance: InstanceView): string {
  const place = instance.node === null ? '' : ` on ${placeOf(instance)}`
  return `  #${instance.number} ${instance.state}${place}${because(instance)}`
}

const placeOf = (instance: InstanceView): string =>
  clean(`${who(instance.name, instance.node)}${instance.domain === null ? '' : ` in ${instance.domain}`}`)

const because = (instance: InstanceView): string => (instance.reason === '' ? '' : `: ${clean(instance.reason)}`)

export function renderInspect(service: InspectView): string {
  const placements = service.placements.map((placement) => `  ${clean(JSON.stringify(placement))}`)
  return [
    renderService(service),
    versionText(service),
    'spec',
    ...JSON.stringify(service.spec, null, 2)
      .split('\n')
      .map((line) => `  ${clean(line)}`),
    ...(placements.length === 0 ? [] : ['placements', ...placements]),
  ].join('\n')
}

function versionText({ spec, versions, rollout, wanted, ready }: InspectView): string {
  const doing = spec.kind === 'job' ? 'are done with it' : 'run it'
  const about =
    rollout === null ? '' : `, ${rollout.state}${rollout.reason === '' ? '' : ` (${clean(rollout.reason)})`}`
  const before = versions.previous === null ? '' : `; the one before it of ${versions.previous}`
  return `version of ${versions.current}${about}: ${ready} of ${wanted} ${doing}${before}`
}

export function renderResolve(resolved: ResolveView): string {
  const head = [`service ${resolved.service}, policy ${resolved.policy}`]
  if (resolved.virtualAddress !== null) head.push(`on this device ${resolved.virtualAddress}`)
  if (resolved.reason !== null) head.push(`no endpoint: ${clean(resolved.reason)}`)
  if (resolved.endpoints.length === 0) return head.join('\n')
  const rows = resolved.endpoints.map((endpoint) => [
    String(endpoint.number),
    who(endpoint.name, endpoint.node),
    endpoint.path ?? 'none',
    milliseconds(endpoint.rttMs),
  ])
  return [...head, table(['NUMBER', 'NODE', 'PATH', 'RTT'], rows)].join('\n')
}

export const renderPing = (ping: PingView): string =>
  clean(`${who(ping.name, ping.node)}: ${milliseconds(ping.rttMs)}, ${pathText(ping.path, ping.via) || 'no path'}`)

export function renderEvent(event: EventView): string {
  const fields = Object.entries(event.fields).map(([name, value]) => `${name}=${value}`)
  const words = [
    event.at,
    event.level.padEnd(5),
    event.name,
    ...(event.domain === null ? [] : [event.domain]),
    ...fields,
  ]
  return clean(words.join(' '))
}

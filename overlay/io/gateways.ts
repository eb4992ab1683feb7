// Asking the router of this network to forward a port: PCP and NAT-PMP at the default gateway first, which take a round
// trip each, then UPnP. Only the gateway and who answers a search on this network are spoken to.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { request } from 'node:http'
import { isIPv4 } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { FORWARDING_S, type Forwarded } from '../forwarding.ts'
import {
  callBody,
  externalAddressRequest,
  type GatewayService,
  locationIn,
  mappingValues,
  mapRequest,
  NAT_PMP_PORT,
  ONLY_PERMANENT,
  readNatPmpAnswer,
  SSDP_GROUP,
  SSDP_PORT,
  SSDP_WAIT_S,
  searchMessage,
  servicesIn,
  UNSUPPORTED_VERSION,
  valueIn,
} from '../gateway-messages.ts'
import { pcpMapRequest, readPcpAnswer } from '../pcp-messages.ts'
import { defaultGateway } from './default-gateway.ts'

/** A question is sent again after this, then after twice as long: RFC 6886, section 3.1, which asks for nine times. */
const NAT_PMP_RESEND_MS = 250
const NAT_PMP_SENDS = 3
/** Room for an answer that comes at the end of the time that a search gives. */
const SEARCH_MS = SSDP_WAIT_S * 1_000 + 500
const HTTP_MS_MAX = 3_000
/** A router's description has some ten KiB. */
const HTTP_BYTES_MAX = 262_144
const GIVE_BACK_MS_MAX = 1_000

/** What a router does, and how to end it. */
export interface Forwarding extends Forwarded {
  readonly by: 'PCP' | 'NAT-PMP' | 'UPnP'
  /** Best effort, at most a second. */
  giveBack(): Promise<void>
}

/** Asks for `external`, or another port, to be forwarded to `port` of this device; null when no router does. */
export async function forwardPort(port: number, external: number, nonce: Uint8Array): Promise<Forwarding | null> {
  const gateway = await defaultGateway()
  if (gateway === null) return null
  const asked: Asked = { gateway, port, external, nonce }
  return (await byPortControl(asked)) ?? (await byUpnp(gateway, port, external))
}

interface Asked {
  readonly gateway: string
  readonly port: number
  readonly external: number
  /** Known to this node and the router: shows that it is the same who renews. */
  readonly nonce: Uint8Array
}

type Granted = Omit<Forwarding, 'giveBack'>

interface Mapped {
  readonly external: number
  readonly lifetimeS: number
}

/** What the router has said so far; NAT-PMP tells its address by itself. */
interface Heard {
  host: string | null
  mapped: Mapped | null
  granted: Granted | null
}

async function byPortControl(asked: Asked): Promise<Forwarding | null> {
  const forwarded = await askPortControl(asked, FORWARDING_S).catch(() => null)
  if (forwarded === null) return null
  return { ...forwarded, giveBack: () => atMost(askPortControl(asked, 0)) }
}

/**
 * PCP, then NAT-PMP, on one port: a router that speaks the older one only says so at once (RFC 6887, appendix A), or
 * nothing, and then both are asked.
 */
async function askPortControl({ gateway, port, external, nonce }: Asked, lifetimeS: number): Promise<Granted | null> {
  const socket = await socketTo(gateway, NAT_PMP_PORT)
  const { address: client } = socket.address()
  const heard: Heard = { host: null, mapped: null, granted: null }
  const done = new AbortController()
  const askOlder = (): void => {
    socket.send(externalAddressRequest())
    socket.send(mapRequest(port, lifetimeS === 0 ? 0 : external, lifetimeS))
  }
  // A gateway that does not speak it says so at once: an error of the connected socket.
  socket.on('error', () => done.abort())
  socket.on('message', (bytes) => {
    const answer = readPcpAnswer(bytes, nonce)
    const older = readNatPmpAnswer(bytes)
    if (answer?.kind === 'mapped' && answer.internal === port) heard.granted = grantedBy('PCP', answer)
    if (older?.kind === 'address') heard.host = older.host
    if (older?.kind === 'mapped' && older.internal === port) heard.mapped = older
    const { host, mapped } = heard
    if (host !== null && mapped !== null) heard.granted ??= grantedBy('NAT-PMP', { ...mapped, host })
    if (heard.granted !== null) return done.abort()
    const isUnknown = older?.kind === 'refused' && older.code === UNSUPPORTED_VERSION
    if (isUnknown || answer?.kind === 'refused') askOlder()
    else if (older?.kind === 'refused') done.abort()
  })
  try {
    for (let sent = 0; sent < NAT_PMP_SENDS && !done.signal.aborted; sent++) {
      socket.send(pcpMapRequest({ client, nonce, internal: port, external, lifetimeS }))
      if (sent > 0) askOlder()
      await delay(NAT_PMP_RESEND_MS * 2 ** sent, null, { signal: done.signal }).catch(() => {})
    }
  } finally {
    socket.close()
  }
  return heard.granted
}

const grantedBy = (by: Granted['by'], { host, external, lifetimeS }: Mapped & { readonly host: string }): Granted => ({
  host,
  port: external,
  lifetimeS,
  by,
})

async function byUpnp(gateway: string, port: number, external: number): Promise<Forwarding | null> {
  for (const location of await searchGateways(gateway)) {
    const description = await exchange(location, 'GET', {}, '').catch(() => null)
    for (const service of description === null ? [] : servicesIn(description.text, location)) {
      const forwarded = await askUpnp(service, port, external).catch(() => null)
      if (forwarded === null) continue
      const which = { NewRemoteHost: '', NewExternalPort: external, NewProtocol: 'TCP' }
      return { ...forwarded, by: 'UPnP', giveBack: () => atMost(call(service, 'DeletePortMapping', which)) }
    }
  }
  return null
}

async function askUpnp(service: GatewayService, port: number, external: number): Promise<Forwarded | null> {
  const about = await call(service, 'GetExternalIPAddress', {})
  const host = valueIn(about.text, 'NewExternalIPAddress')
  if (host === null || !isIPv4(host)) return null
  const client = await addressTowards(service.control.hostname)
  const ask = (lifetimeS: number) => call(service, 'AddPortMapping', mappingValues(client, port, external, lifetimeS))
  const first = await ask(FORWARDING_S)
  const isPermanent = !first.isOk && valueIn(first.text, 'errorCode') === ONLY_PERMANENT
  const answer = isPermanent ? await ask(0) : first
  return answer.isOk ? { host, port: external, lifetimeS: FORWARDING_S } : null
}

/** Where routers on this network describe themselves: whoever answers, the default gateway first. */
async function searchGateways(gateway: string): Promise<readonly URL[]> {
  const socket = createSocket('udp4')
  const found = new Map<string, URL>()
  const done = new AbortController()
  socket.on('error', () => {})
  socket.on('message', (bytes, sender) => {
    const location = locationIn(bytes.toString('latin1'), sender.address)
    if (location === null) return
    found.set(location.href, location)
    if (location.hostname === gateway) done.abort()
  })
  socket.bind(0)
  await once(socket, 'listening')
  for (const host of [SSDP_GROUP, gateway]) socket.send(searchMessage(host), SSDP_PORT, host, () => {})
  await delay(SEARCH_MS, null, { signal: done.signal }).catch(() => {})
  socket.close()
  const isFirst = ({ hostname }: URL): number => Number(hostname === gateway)
  return [...found.values()].sort((a, b) => isFirst(b) - isFirst(a))
}

interface Answer {
  readonly isOk: boolean
  readonly text: string
}

const call = ({ type, control }: GatewayService, action: string, values: Readonly<Record<string, string | number>>) =>
  exchange(
    control,
    'POST',
    { 'Content-Type': 'text/xml; charset="utf-8"', SOAPAction: `"${type}#${action}"` },
    callBody(type, action, values),
  )

async function exchange(url: URL, method: string, headers: Record<string, string>, body: string): Promise<Answer> {
  const signal = AbortSignal.timeout(HTTP_MS_MAX)
  const asked = request(url, { method, headers: { ...headers, 'Content-Length': body.length }, agent: false, signal })
  asked.end(body)
  const [response] = await once(asked, 'response', { signal })
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of response) {
    bytes += piece.length
    if (bytes > HTTP_BYTES_MAX) throw new Error(`an answer of more than ${HTTP_BYTES_MAX} bytes`)
    pieces.push(piece)
  }
  return { isOk: response.statusCode === 200, text: Buffer.concat(pieces).toString() }
}

/** A socket of UDP that hears nobody else. */
async function socketTo(host: string, port: number): Promise<Socket> {
  const socket = createSocket('udp4')
  try {
    const connected = once(socket, 'connect')
    socket.connect(port, host)
    await connected
    return socket
  } catch (problem) {
    socket.close()
    throw problem
  }
}

/** Under which of its addresses this device speaks to a host; no packet is sent. */
async function addressTowards(host: string): Promise<string> {
  const socket = await socketTo(host, SSDP_PORT)
  const { address } = socket.address()
  socket.close()
  return address
}

async function atMost(ending: Promise<unknown>): Promise<void> {
  const done = new AbortController()
  const late = delay(GIVE_BACK_MS_MAX, null, { signal: done.signal }).catch(() => {})
  await Promise.race([ending.catch(() => {}), late])
  done.abort()
}

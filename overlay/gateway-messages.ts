// What is said to a router that forwards ports: NAT-PMP (RFC 6886), which is a few bytes, and UPnP's Internet Gateway
// Device, which is a search by HTTP over UDP, a description and a call in XML. Text of strangers: what is not
// understood is null.

export const NAT_PMP_PORT = 5_351
const NAT_PMP_VERSION = 0
const EXTERNAL_ADDRESS = 0
const MAP_TCP = 2
/** What a router answers that was asked by PCP and does not speak it (section 3.5). */
export const UNSUPPORTED_VERSION = 1
/** An answer's operation is its question's and this (RFC 6886, section 3.2). */
const ANSWER = 128

export const externalAddressRequest = (): Uint8Array => new Uint8Array([NAT_PMP_VERSION, EXTERNAL_ADDRESS])

/** Asks for a TCP port; a lifetime of 0 s gives it back. */
export function mapRequest(internal: number, external: number, lifetimeS: number): Uint8Array {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  view.setUint8(1, MAP_TCP)
  view.setUint16(4, internal)
  view.setUint16(6, external)
  view.setUint32(8, lifetimeS)
  return bytes
}

export type NatPmpAnswer =
  | { readonly kind: 'address'; readonly host: string }
  | { readonly kind: 'mapped'; readonly internal: number; readonly external: number; readonly lifetimeS: number }
  /** It speaks NAT-PMP and will not (section 3.5). */
  | { readonly kind: 'refused'; readonly code: number }

export function readNatPmpAnswer(bytes: Uint8Array): NatPmpAnswer | null {
  if (bytes.length < 4 || bytes[0] !== NAT_PMP_VERSION) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const operation = view.getUint8(1)
  if (operation < ANSWER) return null
  const code = view.getUint16(2)
  if (code !== 0) return { kind: 'refused', code }
  if (operation === ANSWER + EXTERNAL_ADDRESS && bytes.length >= 12) {
    return { kind: 'address', host: bytes.subarray(8, 12).join('.') }
  }
  if (operation !== ANSWER + MAP_TCP || bytes.length < 16) return null
  const [internal, external, lifetimeS] = [view.getUint16(8), view.getUint16(10), view.getUint32(12)]
  return { kind: 'mapped', internal, external, lifetimeS }
}

export const SSDP_GROUP = '239.255.255.250'
export const SSDP_PORT = 1_900
/** Routers answer within this many seconds, spread out; UPnP Device Architecture 1.1, section 1.3.2. */
export const SSDP_WAIT_S = 1

/** Routers of the second version answer for the first one, too. */
export const searchMessage = (host: string): string =>
  [
    'M-SEARCH * HTTP/1.1',
    `HOST: ${host}:${SSDP_PORT}`,
    'MAN: "ssdp:discover"',
    `MX: ${SSDP_WAIT_S}`,
    'ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1',
    '',
    '',
  ].join('\r\n')

/** Where the router that answered describes itself; null unless that is at the address from which it answered. */
export function locationIn(answer: string, from: string): URL | null {
  const [status = '', ...headers] = answer.split('\r\n')
  if (!/^HTTP\/1\.[01] 200\b/.test(status)) return null
  const header = headers.find((line) => /^location:/i.test(line))
  return onHost(header?.slice(header.indexOf(':') + 1).trim() ?? '', null, from)
}

/** A service of a router that forwards ports, and where it is called. */
export interface GatewayService {
  readonly type: string
  readonly control: URL
}

const FORWARDING_SERVICE = /^urn:schemas-upnp-org:service:WAN(IP|PPP)Connection:[12]$/

/** The services in a description that forward ports; addresses elsewhere than on the router itself are passed over. */
export function servicesIn(description: string, location: URL): readonly GatewayService[] {
  const base = valueIn(description, 'URLBase')
  return [...description.matchAll(/<service>([\s\S]*?)<\/service>/g)].flatMap(([, block = '']) => {
    const type = valueIn(block, 'serviceType') ?? ''
    const from = base === null || base === '' ? location : base
    const control = onHost(valueIn(block, 'controlURL') ?? '', from, location.hostname)
    return FORWARDING_SERVICE.test(type) && control !== null ? [{ type, control }] : []
  })
}

function onHost(text: string, base: URL | string | null, host: string): URL | null {
  const url = URL.parse(text, base?.toString())
  return url !== null && url.protocol === 'http:' && url.hostname === host ? url : null
}

/** The body of a call; its header `SOAPAction` is `"TYPE#ACTION"`. */
export const callBody = (type: string, action: string, values: Readonly<Record<string, string | number>>): string =>
  '<?xml version="1.0"?>\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ' +
  's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>' +
  `<u:${action} xmlns:u="${type}">` +
  Object.entries(values)
    .map(([name, value]) => `<${name}>${value}</${name}>`)
    .join('') +
  `</u:${action}></s:Body></s:Envelope>`

/** What stands between the first tags of a name; such messages are flat, and have no markup in their values. */
export function valueIn(xml: string, name: string): string | null {
  const match = new RegExp(`<${name}(?:\\s[^>]*)?>([^<]*)</${name}>`).exec(xml)
  return match?.[1]?.trim() ?? null
}

/** AddPortMapping asks for the service's names (WANIPConnection:1, section 2.4.16). */
export const mappingValues = (client: string, internal: number, external: number, lifetimeS: number) => ({
  NewRemoteHost: '',
  NewExternalPort: external,
  NewProtocol: 'TCP',
  NewInternalPort: internal,
  NewInternalClient: client,
  NewEnabled: 1,
  NewPortMappingDescription: 'coppice',
  NewLeaseDuration: lifetimeS,
})

/** Routers that keep a port until they are told (section 2.4.16.4: OnlyPermanentLeasesSupported). */
export const ONLY_PERMANENT = '725'

// An internet in network namespaces: one public segment, routers with real Linux NAT, and the devices behind them. All
// of it lives in the namespaces of the process that made it (main.ts), so that nothing outlasts that process.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type GatewayKind, gatewayRules, startGateway } from './gateway.ts'
import { type NatKind, natRules } from './nat.ts'

/** Where a device stands: on the public segment, behind one router or two, or on the public segment without IPv4. */
export type Place =
  | { readonly kind: 'public' }
  /** `gateway`: the router forwards ports for who asks in one of these ways. */
  | { readonly kind: 'behind'; readonly nat: NatKind; readonly site: string; readonly gateway?: GatewayKind }
  | { readonly kind: 'behind-two'; readonly nat: NatKind }
  | { readonly kind: 'ipv6-only' }

export interface Device {
  readonly name: string
  readonly place: Place
}

export interface LabNetwork {
  /** What a command is put behind to run on a device. */
  on(device: string): readonly string[]
  /** Adds delay to all that a device sends, in ms. */
  delay(device: string, ms: number): Promise<void>
  /** Keeps two devices' sites from talking to each other directly, cutting what is open; returns how to end that. */
  part(a: string, b: string): Promise<() => Promise<void>>
  /** Takes a device off its network and puts it behind another router of the kind given. */
  move(device: string, nat: NatKind): Promise<void>
}

/** The segment has addresses that count as public; no packet leaves the namespaces. */
const PUBLIC_NET = '1.2.3'
const PUBLIC_NET6 = '2a00:1::'
const CARRIER_NET = '100.64'
const SEGMENT = 'segment'

const run = promisify(execFile)
const ip = async (...words: readonly string[]): Promise<void> => void (await run('ip', [...words]))
const within = (space: string, ...words: readonly string[]): Promise<void> => ip('-n', space, ...words)

/** Builds it all. Rejects with what `ip` or `nft` said; the namespaces go with the process. */
export async function createLabNetwork(devices: readonly Device[]): Promise<LabNetwork> {
  const state = { nextPublic: 10, nextSite: 1, sites: new Map<string, Site>(), siteOfDevice: new Map<string, Site>() }
  await addSpace(SEGMENT)
  await within(SEGMENT, 'link', 'add', 'br0', 'type', 'bridge')
  await within(SEGMENT, 'link', 'set', 'br0', 'up')
  for (const { name, place } of devices) {
    await addSpace(name)
    await connect(state, name, place)
  }
  return {
    on: (device) => ['ip', 'netns', 'exec', device],
    delay: async (device, ms) => {
      await run('ip', [
        'netns',
        'exec',
        device,
        'tc',
        'qdisc',
        'replace',
        'dev',
        'eth0',
        'root',
        'netem',
        'delay',
        `${ms}ms`,
      ])
    },
    part: async (a, b) => {
      const { router } = siteOfDevice(state, a)
      const { outside } = siteOfDevice(state, b)
      const rules = `table ip parted {
  chain forward {
    type filter hook forward priority -10;
    ip saddr ${outside} meta l4proto tcp reject with tcp reset;
    ip daddr ${outside} meta l4proto tcp reject with tcp reset;
  }
}
`
      await feed(['netns', 'exec', router, 'nft', '-f', '-'], rules)
      return () => ip('netns', 'exec', router, 'nft', 'delete', 'table', 'ip', 'parted')
    },
    move: async (device, nat) => {
      await within(device, 'link', 'del', 'eth0')
      await connect(state, device, { kind: 'behind', nat, site: `moved-${state.nextSite}` })
    },
  }
}

/** A router and the network behind it. */
interface Site {
  readonly router: string
  /** Its address on the segment; null for one behind another. */
  readonly outside: string | null
  readonly net: string
  nextHost: number
}

interface Plan {
  nextPublic: number
  nextSite: number
  readonly sites: Map<string, Site>
  readonly siteOfDevice: Map<string, Site>
}

function siteOfDevice({ siteOfDevice: sites }: Plan, device: string): Site {
  const site = sites.get(device)
  if (site === undefined) throw new Error(`${device} is behind no router`)
  return site
}

async function connect(plan: Plan, name: string, place: Place): Promise<void> {
  switch (place.kind) {
    case 'public':
      return joinSegment(name, 'eth0', plan.nextPublic++, ['4', '6'])
    case 'ipv6-only':
      return joinSegment(name, 'eth0', plan.nextPublic++, ['6'])
    case 'behind': {
      const site = await siteOf(plan, place.site, place.nat, null)
      plan.siteOfDevice.set(name, site)
      if (place.gateway !== undefined) {
        await feed(['netns', 'exec', site.router, 'nft', '-f', '-'], gatewayRules(place.gateway))
        await startGateway(site.router, `${site.net}.1/24`, place.gateway)
      }
      return joinSite(name, 'eth0', site)
    }
    case 'behind-two': {
      const carrier = await siteOf(plan, `${name}-carrier`, place.nat, null)
      return joinSite(name, 'eth0', await siteOf(plan, `${name}-home`, place.nat, carrier))
    }
  }
}

async function siteOf(plan: Plan, name: string, nat: NatKind, above: Site | null): Promise<Site> {
  const known = plan.sites.get(name)
  if (known !== undefined) return known
  const number = plan.nextSite++
  const router = `router-${number}`
  await addSpace(router)
  const outside = above === null ? `${PUBLIC_NET}.${plan.nextPublic}` : null
  if (above === null) await joinSegment(router, 'wan', plan.nextPublic++, ['4'])
  else await joinSite(router, 'wan', above)
  // Routers of a carrier hand out addresses of RFC 6598, those at home private ones.
  const net = name.endsWith('-carrier') ? `${CARRIER_NET}.${number}` : `192.168.${number}`
  await within(router, 'link', 'add', 'lan', 'type', 'bridge')
  await within(router, 'addr', 'add', `${net}.1/24`, 'dev', 'lan')
  await within(router, 'link', 'set', 'lan', 'up')
  await run('ip', ['netns', 'exec', router, 'sysctl', '-qw', 'net.ipv4.ip_forward=1'])
  await feed(['netns', 'exec', router, 'nft', '-f', '-'], natRules(nat))
  const site: Site = { router, outside, net, nextHost: 2 }
  plan.sites.set(name, site)
  return site
}

async function addSpace(name: string): Promise<void> {
  await ip('netns', 'add', name)
  await within(name, 'link', 'set', 'lo', 'up')
}

/** A cable from one namespace to a bridge in another. */
async function plug(space: string, link: string, into: string, bridge: string): Promise<void> {
  const far = `${space}-${link}`.slice(-15)
  await ip('link', 'add', link, 'netns', space, 'type', 'veth', 'peer', 'name', far, 'netns', into)
  await within(into, 'link', 'set', far, 'master', bridge, 'up')
  await within(space, 'link', 'set', link, 'up')
}

async function joinSegment(space: string, link: string, host: number, families: readonly ('4' | '6')[]): Promise<void> {
  await plug(space, link, SEGMENT, 'br0')
  if (families.includes('4')) await within(space, 'addr', 'add', `${PUBLIC_NET}.${host}/24`, 'dev', link)
  // Without the wait for duplicates, during which nothing may be bound to it.
  if (families.includes('6')) await within(space, 'addr', 'add', `${PUBLIC_NET6}${host}/64`, 'dev', link, 'nodad')
}

async function joinSite(space: string, link: string, site: Site): Promise<void> {
  await plug(space, link, site.router, 'lan')
  await within(space, 'addr', 'add', `${site.net}.${site.nextHost++}/24`, 'dev', link)
  await within(space, 'route', 'add', 'default', 'via', `${site.net}.1`)
}

async function feed(words: readonly string[], text: string): Promise<void> {
  const running = run('ip', [...words])
  running.child.stdin?.end(text)
  await running
}

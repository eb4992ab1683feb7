// The settings of one node, with the defaults that a device in the field needs.

import type { ElectorsMax } from '../election/index.ts'
import type { DomainPath } from '../overlay/kernel/ids.ts'

export type Preset = 'lan' | 'wan' | 'metered'

export interface NodeOptions {
  /** The node's folder: keys, store, instances, control.sock. */
  readonly dataDir: string
  /** Multiaddrs to listen on; default all addresses of the device (a free port, remembered in the folder). */
  readonly listen?: readonly string[]
  /**
   * The cluster of a node that founds a federation; one that joins gets its own from its credential. Default `/home`.
   */
  readonly domain?: DomainPath
  /** For people; default the host name. */
  readonly name?: string
  /** How far apart the nodes are, which sets the pace. Default `lan`. */
  readonly preset?: Preset
  /**
   * What a domain does, where this node speaks for it, when a majority is gone and no parent is its witness: go on
   * after a while, or wait for `coppice domain recover`. Default `automatic`.
   */
  readonly autonomy?: 'automatic' | 'manual'
  /**
   * How many children of a domain vote in it at most, where this node leads the domain: 3, 5 or 7. Give all nodes of a
   * domain the same, or the number follows whoever leads. Default 5.
   */
  readonly electors?: ElectorsMax
  /** Finds members on the local network by mDNS. Default true. */
  readonly mdns?: boolean
  /** Carries connections for its federation: always, never, or, when left out, while members can dial it. */
  readonly relay?: boolean
  /**
   * Asks the router of this network to forward a port, by NAT-PMP or UPnP, where members cannot dial this node. Default
   * true.
   */
  readonly portForwarding?: boolean
  /** Multiaddrs under which this node is reachable from outside (port forwarded, public address). */
  readonly announce?: readonly string[]
  /** Runtimes to offer; default `process`, and `docker` where an engine answers. */
  readonly runtimes?: readonly string[]
  /** Port of the HTTP proxy on loopback; 0 takes a free one, null turns it off. Default 0. */
  readonly httpProxyPort?: number | null
  /** Port of the SOCKS5 proxy on loopback; 0 takes a free one, null turns it off. Default 0. */
  readonly socksPort?: number | null
  /** Port of the DNS server on loopback, UDP and TCP; 0 takes a free one, null turns it off. Default 0. */
  readonly dnsPort?: number | null
  /** The resolver, `IP` or `IP:port`, that answers other systems' names; they are refused when it is left out. */
  readonly dnsForward?: string
  /** Addresses per name, on loopback (127.30.0.0/16) or in the virtual network. Default true. */
  readonly virtualListeners?: boolean
  /**
   * Addresses in 10.30.0.0/16 instead of loopback ones, and those of an SLA; adds one route, which needs CAP_NET_ADMIN.
   * Default false.
   */
  readonly virtualNetwork?: boolean
  /**
   * How places are ranked in the domains that this node leads: `best-fit`, `spread`, `ldp`, or the path of a module
   * with the functions `filter` and `score`. Default `best-fit`.
   */
  readonly scheduler?: string
  /** Where the device stands, in degrees; what `geo` constraints are held against. */
  readonly location?: { readonly latitude: number; readonly longitude: number }
  /**
   * When this device is short of cpu, load per core, memory or disk: the marks in percent, and how many readings (one
   * every 10 s) in a row count. Null: it never is. Default 80, 70 and 3.
   */
  readonly pressure?: { readonly high?: number; readonly low?: number; readonly readings?: number } | null
  /** Labels that selectors may name. */
  readonly labels?: Readonly<Record<string, string>>
}

/** What starting a node from an invite needs besides its options. */
export interface JoinOptions extends NodeOptions {
  /** The line that an invite is, or what `coppice prepare` wrote. */
  readonly invite: string
  /**
   * A folder that belongs to another federation of the same operator leaves it for that of the invite, as the same
   * device. Default: it is refused.
   */
  readonly leave?: boolean
  /** Told what the join waits for, a sentence at a time. */
  readonly onProgress?: (text: string) => void
}

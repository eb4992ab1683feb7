// A router that forwards ports for who asks: Debian's miniupnpd in the router's namespace, with nftables rules of its
// own beside those of the NAT.

import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { Socket } from 'node:net'
import { createInterface } from 'node:readline'

/** miniupnpd speaks PCP wherever it speaks NAT-PMP; a router of the kind `nat-pmp` drops the questions of PCP. */
export type GatewayKind = 'pcp' | 'nat-pmp' | 'upnp'

const PROGRAM = '/usr/sbin/miniupnpd'
const HTTP_PORT = 5_000
/** What it says once it can be asked. */
const READY = /Listening for NAT-PMP|HTTP listening/

/** The table and chains in which miniupnpd keeps its rules, as its own `nft_init.sh` makes them, but for the policy. */
export const gatewayRules = (kind: GatewayKind): string => `
table inet filter {
  chain forward { type filter hook forward priority 0; policy accept; jump miniupnpd; }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
  chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
${kind === 'nat-pmp' ? WITHOUT_PCP : ''}`

/** The first byte of a question is the protocol's version: 0 of NAT-PMP, 2 of PCP. */
const WITHOUT_PCP = `
table inet older {
  chain input { type filter hook input priority -10; udp dport 5351 @th,64,8 2 drop; }
}
`

const configOf = (lan: string, kind: GatewayKind): string => `
ext_ifname=wan
listening_ip=lan
http_port=${HTTP_PORT}
enable_natpmp=${kind === 'upnp' ? 'no' : 'yes'}
enable_upnp=${kind === 'upnp' ? 'yes' : 'no'}
secure_mode=yes
uuid=00000000-0000-4000-8000-000000000001
allow 1024-65535 ${lan} 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`

/**
 * `lan` is the router's network, as in 192.168.1.1/24. Resolves once it can be asked; the daemon ends with the
 * namespaces.
 */
export async function startGateway(router: string, lan: string, kind: GatewayKind): Promise<void> {
  const [config, pid] = ['conf', 'pid'].map((end) => `/run/netns/${router}.miniupnpd.${end}`) as [string, string]
  await writeFile(config, configOf(lan, kind))
  const daemon = spawn('ip', ['netns', 'exec', router, PROGRAM, '-d', '-f', config, '-P', pid], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const said: string[] = []
  await new Promise<void>((resolve, reject) => {
    createInterface(daemon.stderr).on('line', (line) => {
      said.push(line)
      if (READY.test(line)) resolve()
    })
    daemon.once('error', reject)
    daemon.once('exit', () => reject(new Error(`miniupnpd: ${said.join('; ')}`)))
  })
  // It runs for as long as the lab, which does not wait for it.
  daemon.unref()
  if (daemon.stderr instanceof Socket) daemon.stderr.unref()
}

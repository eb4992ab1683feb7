// Who answers this device's own questions: containers that ask the node keep the names that they would have had.

import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { Upstream } from '../../overlay/io/dns-forward.ts'

const DNS_PORT = 53

/** The first resolver of `/etc/resolv.conf` (resolv.conf(5)); null where there is none. */
export async function ownResolver(): Promise<Upstream | null> {
  const text = await readFile('/etc/resolv.conf', 'utf8').catch(() => '')
  const hosts = [...text.matchAll(/^nameserver\s+(\S+)/gm)].map(([, host = '']) => host)
  const host = hosts.find((one) => isIP(one) !== 0)
  return host === undefined ? null : { host, port: DNS_PORT }
}

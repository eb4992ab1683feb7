// A fleet of nine in three clusters, and a service in it that is called by its name from any device, as programs do.

import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import type { StatusView } from '../../node/control.ts'
import type { Fleet, FleetNode } from '../local/fleet.ts'
import { until } from '../local/fleet.ts'
import { serviceDescriptor } from '../local/service-fixture.ts'

export const CLUSTERS = ['berlin', 'paris', 'rome'].map((city) => ({
  path: `/${city}`,
  names: [1, 2, 3].map((number) => `${city}-${number}`),
}))
/** What is called answers on loopback within some ms; a call that takes longer goes to somebody who is not there. */
const CALL_MS_MAX = 300
/** Between two calls: the resolution of the times. Each is work for the node that is asked. */
const CALL_GAP_MS = 10
const ANSWER_MS_MAX = 60_000
const WHOLE_MS_MAX = 180_000
const PORT = 8080

/** Tells which process answers. */
export const SERVER = `require('http').createServer((_, response) => response.end(String(process.pid)))
  .listen(process.env.PORT, '127.0.0.1')`

export const idOf = (name: string): string => `shop.bench.${name}.web`

export const descriptorOf = (name: string): string =>
  serviceDescriptor(idOf(name), {
    cmd: ['node', '-e', SERVER],
    memory: 64,
    // No limit of cores: with a tenth of one the program alone takes a second to start.
    vcpus: 0,
    port: PORT,
  })

/** One call through a node's proxy; null where nobody answers, or somebody who cannot. */
function call(proxy: string, service: string): Promise<string | null> {
  const url = `http://${service}.any.rr.local:${PORT}/`
  const { hostname, port } = new URL(proxy)
  return new Promise((resolve) => {
    const options = { host: hostname, port, path: url, agent: false, headers: { host: new URL(url).host } }
    const asked = request({ ...options, signal: AbortSignal.timeout(CALL_MS_MAX) })
    asked.once('error', () => resolve(null))
    asked.once('response', (response) => {
      const isGood = response.statusCode === 200
      text(response).then(
        (body) => resolve(isGood ? body : null),
        () => resolve(null),
      )
    })
    asked.end()
  })
}

/** Calls until somebody answers who is not `except`; resolves to who did. */
export async function answered(proxy: string, service: string, except: string | null = null): Promise<string> {
  const deadline = performance.now() + ANSWER_MS_MAX
  for (;;) {
    const body = await call(proxy, service)
    if (body !== null && body !== except) return body
    if (performance.now() > deadline) throw new Error(`${service} does not answer after ${ANSWER_MS_MAX} ms`)
    await delay(CALL_GAP_MS)
  }
}

export async function proxyOf({ control, name }: FleetNode): Promise<string> {
  const { http } = (await control.status()).proxies
  if (http === null) throw new Error(`${name} has no proxy`)
  return http
}

export interface Member {
  readonly node: FleetNode
  readonly status: StatusView
}

/** Resolves once every node is ready and every domain has its three electors. */
export async function whole(fleet: Fleet): Promise<readonly Member[]> {
  const members = async (): Promise<readonly Member[] | null> => {
    const all = await Promise.all(fleet.living().map(async (node) => ({ node, status: await node.control.status() })))
    const isWhole = all.every(
      ({ status }) => status.ready && status.domains.every(({ electors }) => electors.length === 3),
    )
    return isWhole ? all : null
  }
  return await until('the fleet is whole', members, WHOLE_MS_MAX)
}

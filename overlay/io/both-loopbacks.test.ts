// The proxies answer on both loopback addresses of the device, as far as it has both.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect as connectTcp } from 'node:net'
import { networkInterfaces } from 'node:os'
import { after, test } from 'node:test'
import { err } from '../kernel/result.ts'
import { PATIENCE_MS } from './fixtures.ts'
import { openHttpProxy } from './http-proxy.ts'
import { openSocksServer } from './socks-server.ts'
import type { Connect, Listener } from './way-in.ts'

const HTTP_NOBODY = 502
const loopbacks = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .flatMap(({ internal, address }) => (internal && /^127\.0\.0\.1$|^::1$/.test(address) ? [address] : []))
const callers: string[] = []
const connect: Connect = async (_address, _signal, { from }) => {
  callers.push(from?.address ?? 'nobody')
  return err({ code: 'no-instance', sentence: 'nobody is there' })
}
const opened: Listener[] = []
after(() => Promise.all(opened.map((listener) => listener.close())))

async function isRefused(host: string, port: number): Promise<boolean> {
  const socket = connectTcp({ host, port })
  return await once(socket, 'connect').then(
    () => !socket.destroy(),
    () => true,
  )
}

test('the HTTP proxy answers on each loopback address, knows the caller, and is gone in the end', async () => {
  const proxy = await openHttpProxy({ port: 0, connect })
  for (const host of loopbacks) {
    const asked = request({ host, port: proxy.port, path: 'http://app.ns.web.ns.0.rr.local/', agent: false }).end()
    const [response] = await once(asked, 'response', { signal: AbortSignal.timeout(PATIENCE_MS) })
    assert.equal(response.statusCode, HTTP_NOBODY, host)
    response.resume()
  }
  assert.deepEqual(callers, loopbacks)
  await proxy.close()
  for (const host of loopbacks) assert.ok(await isRefused(host, proxy.port), host)
})

test('the SOCKS proxy greets on each loopback address', async () => {
  const proxy = await openSocksServer({ port: 0, connect, nameAt: () => null, onProblem: () => {} })
  opened.push(proxy)
  for (const host of loopbacks) {
    const socket = connectTcp({ port: proxy.port, host })
    socket.write(Uint8Array.of(5, 1, 0))
    const [greeting] = await once(socket, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })
    assert.deepEqual([...greeting], [5, 0], host)
    socket.destroy()
  }
})

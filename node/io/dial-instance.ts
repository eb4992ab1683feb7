// Connects to an instance on this device: the last hop of every call, TCP or UDP.

import { connect as dialTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import { dialDatagrams } from '../../overlay/io/datagram-duplex.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import type { TunnelRefusal } from '../../overlay/tunnel.ts'
import type { LiveEndpoint } from '../endpoints.ts'

/** Connects to the port that the instance declares; never rejects. With `udp` the stream carries datagrams. */
export async function dialInstance(
  { service, endpoint }: LiveEndpoint,
  declared: number,
  protocol: 'tcp' | 'udp',
  signal: AbortSignal,
): Promise<Result<Duplex, TunnelRefusal>> {
  const port = endpoint.ports.find((one) => one.declared === declared && one.protocol === protocol)
  if (port === undefined) {
    const offered = endpoint.ports.map((one) => `${one.declared}/${one.protocol}`).join(', ')
    const detail = `${service} declares no ${protocol} port ${declared}; it has ${offered === '' ? 'none' : offered}`
    return err({ code: 'no-such-port', detail })
  }
  if (protocol === 'tcp') return dialStream(endpoint.host, port.actual, signal)
  try {
    return ok(await dialDatagrams(endpoint.host, port.actual, signal))
  } catch (problem) {
    return err({ code: 'dial-failed', detail: problem instanceof Error ? problem.message : String(problem) })
  }
}

function dialStream(host: string, port: number, signal: AbortSignal): Promise<Result<Duplex, TunnelRefusal>> {
  return new Promise((resolve) => {
    const socket = dialTcp({ host, port, allowHalfOpen: true, noDelay: true })
    const give = (result: Result<Duplex, TunnelRefusal>): void => {
      signal.removeEventListener('abort', onAbort)
      socket.removeListener('error', onError)
      resolve(result)
    }
    const onAbort = (): void => {
      socket.destroy()
      give(err({ code: 'dial-failed', detail: 'it did not answer in time' }))
    }
    const onError = (problem: Error): void => give(err({ code: 'dial-failed', detail: problem.message }))
    socket.once('error', onError)
    socket.once('connect', () => give(ok(socket)))
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

// `coppice forward`: a local port for a name, as long as somebody wants it.

import { carryDatagramsFrom } from './datagram-flows.ts'
import { type Call, type Connect, type ConnectProblem, carryFrom, type Listener } from './way-in.ts'

const LOOPBACK = '127.0.0.1'

export interface ForwardOptions {
  /** `name:port` of the service. */
  readonly address: string
  /** 0 takes a free one. */
  readonly localPort: number
  readonly protocol: Call['protocol']
  readonly connect: Connect
  readonly onProblem: (problem: ConnectProblem) => void
  /** Ends the forward and cuts what it carries. */
  readonly signal: AbortSignal
}

/** Listens on loopback until the signal aborts. Rejects with the operating system's error when the port is taken. */
export async function openForward(options: ForwardOptions): Promise<{ readonly host: string; readonly port: number }> {
  const { address, localPort, protocol, connect, onProblem, signal } = options
  signal.throwIfAborted()
  const carry = protocol === 'tcp' ? carryFrom : carryDatagramsFrom
  const listener: Listener = await carry({ host: LOOPBACK, port: localPort }, address, connect, onProblem)
  const close = (): void => void listener.close()
  if (signal.aborted) close()
  else signal.addEventListener('abort', close, { once: true })
  return { host: listener.host, port: listener.port }
}

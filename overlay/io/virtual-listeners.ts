// A loopback address per service (127.30.0.0/16), with a listener on each port that the service declares: any program
// on this device reaches it without a proxy and without root. What should be listened on is told as a whole; the
// difference is made.

import { carryDatagramsFrom } from './datagram-flows.ts'
import { type Call, type Connect, type ConnectProblem, carryFrom, type Listener } from './way-in.ts'

/** One service's address and ports on this device. */
export interface VirtualListener {
  /** The name that connections are carried to, without a port. */
  readonly name: string
  /** An address in 127.30.0.0/16. */
  readonly host: string
  readonly ports: readonly VirtualPort[]
}

export interface VirtualPort {
  readonly port: number
  readonly protocol: Call['protocol']
}

export interface VirtualListeners {
  /** From now on exactly these are listened on; what stays is not interrupted. */
  set(wanted: readonly VirtualListener[]): Promise<void>
  /** `host:port` of what is listened on now. */
  open(): readonly string[]
  close(): Promise<void>
}

export interface VirtualListenersOptions {
  readonly connect: Connect
  /** `listen-failed` when a port cannot be had, otherwise why a connection was not carried. */
  readonly onProblem: (problem: ConnectProblem) => void
}

export function openVirtualListeners({ connect, onProblem }: VirtualListenersOptions): VirtualListeners {
  const open = new Map<string, Listener>()
  // One change at a time: an address that moves to another service is freed before it is taken again.
  let changing: Promise<void> = Promise.resolve()
  const change = async (wanted: ReadonlyMap<string, Wanted>): Promise<void> => {
    const dropped = [...open].filter(([key]) => !wanted.has(key))
    await Promise.all(dropped.map(([, listener]) => listener.close()))
    for (const [key] of dropped) open.delete(key)
    const added = [...wanted].filter(([key]) => !open.has(key))
    await Promise.all(
      added.map(async ([key, { host, port, protocol, address }]) => {
        const carry = protocol === 'tcp' ? carryFrom : carryDatagramsFrom
        try {
          open.set(key, await carry({ host, port }, address, connect, onProblem))
        } catch (problem) {
          onProblem({
            code: 'listen-failed',
            sentence: `${host}:${port}/${protocol} for ${address}: ${(problem as Error).message}`,
          })
        }
      }),
    )
  }
  const set = (wanted: readonly VirtualListener[]): Promise<void> => {
    changing = changing.then(() => change(byKey(wanted)))
    return changing
  }
  return {
    set,
    open: () => [...open.values()].map(({ host, port }) => `${host}:${port}`),
    close: () => set([]),
  }
}

interface Wanted extends VirtualPort {
  readonly host: string
  readonly address: string
}

/** A change of any part makes another listener. */
function byKey(wanted: readonly VirtualListener[]): ReadonlyMap<string, Wanted> {
  const all = wanted.flatMap(({ name, host, ports }) =>
    ports.map(({ port, protocol }): Wanted => ({ host, port, protocol, address: `${name}:${port}` })),
  )
  return new Map(all.map((one) => [`${one.host}:${one.port}/${one.protocol}>${one.address}`, one]))
}

// libp2p starts even when it could not listen. Here that becomes a sentence that names the address and the reason.

import { createServer } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import type { Libp2pNode } from './create-libp2p.ts'

/** An address that was asked for and is not listened on. */
export interface ListenProblem {
  readonly address: string
  readonly reason: string
}

/** Not one of the addresses asked for could be listened on. */
export class ListenError extends Error {
  override readonly name = 'ListenError'
  readonly problems: readonly ListenProblem[]

  constructor(problems: readonly ListenProblem[]) {
    super(`cannot listen: ${problems.map(({ address, reason }) => `${address}: ${reason}`).join('; ')}`)
    this.problems = problems
  }
}

/** Which of the TCP addresses asked for are not listened on, and why; throws ListenError when none of them is. */
export async function checkListening(node: Libp2pNode, listen: readonly string[]): Promise<readonly ListenProblem[]> {
  const asked = listen.filter((address) => address.includes('/tcp/'))
  const actual = node.services.inside.transportManager.getAddrs().map((address) => hostAndPort(address.toString()))
  const missing = asked.filter((address) => !actual.some((bound) => isCovered(hostAndPort(address), bound)))
  const problems = await Promise.all(missing.map(async (address) => ({ address, reason: await whyNot(address) })))
  if (asked.length > 0 && missing.length === asked.length) throw new ListenError(problems)
  return problems
}

interface HostAndPort {
  readonly host: string
  readonly port: number
}

function hostAndPort(address: string): HostAndPort {
  const [, , host = '', , port = '0'] = multiaddr(address).toString().split('/')
  return { host, port: Number(port) }
}

/** A wildcard shows as the interfaces' addresses, and port 0 as the port that was free. */
const isCovered = (asked: HostAndPort, bound: HostAndPort): boolean =>
  (asked.port === 0 || asked.port === bound.port) &&
  (asked.host === bound.host || asked.host === '0.0.0.0' || asked.host === '::')

/** Tries the same with a bare socket, for the operating system's reason. */
function whyNot(address: string): Promise<string> {
  const { host, port } = hostAndPort(address)
  const { promise, resolve } = Promise.withResolvers<string>()
  const server = createServer()
  server.once('error', (problem: NodeJS.ErrnoException) => resolve(sentenceFor(problem, port)))
  server.listen({ host, port }, () => server.close(() => resolve('libp2p could not listen there')))
  return promise
}

function sentenceFor(problem: NodeJS.ErrnoException, port: number): string {
  switch (problem.code) {
    case 'EADDRINUSE':
      return `port ${port} is in use by another program`
    case 'EACCES':
      return `port ${port} needs more rights (ports below 1024 usually do)`
    case 'EADDRNOTAVAIL':
      return 'this device has no such address'
    default:
      return problem.message
  }
}

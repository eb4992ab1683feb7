// SOCKS5's way for datagrams: a port of its own for one client, for as long as its connection stands (RFC 1928, section
// 7). Each target is a flow; an answer goes back under the very header that its question came with.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { addressFor, REPLIES, readSocksDatagram, writeReply } from '../socks.ts'
import { createDatagramFlows } from './datagram-flows.ts'
import type { SocksServerOptions } from './socks-server.ts'

/** Serves one association; the reply tells the client where its datagrams go. */
export async function serveAssociation(control: Socket, host: string, options: SocksServerOptions): Promise<void> {
  const { connect, nameAt, onProblem } = options
  const socket = createSocket('udp4')
  const flows = createDatagramFlows(connect, onProblem)
  let clientPort: number | null = null
  socket.on('message', (bytes, sender) => {
    // The first program to speak has it: the port means nothing to any other on this device.
    clientPort ??= sender.port
    const read = sender.port === clientPort ? readSocksDatagram(bytes) : null
    if (read === null) return
    const address = addressFor(read.target, nameAt)
    if (address === null) {
      onProblem({ code: 'not-ours', sentence: `${read.target.host} is no address of a service` })
      return
    }
    const answer = (datagram: Uint8Array): void =>
      socket.send(Buffer.concat([read.header, datagram]), sender.port, sender.address, () => {})
    flows.carry({
      from: { address: sender.address, port: sender.port },
      address,
      label: Buffer.from(read.header).toString('latin1'),
      datagram: read.datagram,
      answer,
    })
  })
  socket.on('error', () => {})
  const end = (): void => {
    flows.close()
    socket.close()
  }
  socket.bind(0, host)
  await once(socket, 'listening')
  if (control.destroyed) return end()
  control.once('close', end)
  // The connection says nothing more; that it ends is the end of the association.
  control.once('end', () => control.destroy())
  control.resume()
  control.write(writeReply(REPLIES.succeeded, { host, port: socket.address().port }))
}

// A message leaves in one write, in however many pieces it is handed over.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import type { MessageStream } from '@libp2p/interface'
import { inOneWrite } from './encryption.ts'

/** Sends as @libp2p/tcp does: piece by piece. */
const tcpConnection = (socket: Socket) => ({
  socket,
  sendData: (pieces: readonly string[]): void => {
    for (const piece of pieces) socket.write(piece)
  },
})

test('the pieces of a message are written together, and in order', async () => {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { readonly port: number }
  const socket = connect(port, '127.0.0.1')
  const [peer] = (await once(server, 'connection')) as [Socket]
  const received = text(peer)
  await once(socket, 'connect')
  let writes = 0
  const { _write, _writev } = socket
  socket._write = (...args) => {
    writes += 1
    _write.apply(socket, args)
  }
  socket._writev = (...args) => {
    writes += 1
    _writev?.apply(socket, args)
  }
  const connection = tcpConnection(socket)
  const mended = inOneWrite(connection as unknown as MessageStream) as unknown as typeof connection
  mended.sendData(['length', ' body', ' tag'])
  assert.equal(writes, 1)
  socket.end()
  assert.equal(await received, 'length body tag')
  peer.destroy()
  server.close()
})

test('a connection without a socket, as through a relay, is left as it is', () => {
  const relayed = { sendData: () => undefined } as unknown as MessageStream
  assert.equal(inOneWrite(relayed), relayed)
})

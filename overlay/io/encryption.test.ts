// A message leaves in one write, in however many pieces it is handed over, and is read without an error for its end.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import type { MessageStream } from '@libp2p/interface'
import { LengthPrefixedDecoder } from '@libp2p/utils'
import { Uint8ArrayList } from 'uint8arraylist'
import { inOneWrite, readLengthsCheaply } from './encryption.ts'

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

/** As the connection that noise makes: a list of bytes grows, and its lengths are read until there are no more. */
function decryptingConnection() {
  const decoder = new LengthPrefixedDecoder({ encodingLength: () => 2 })
  readLengthsCheaply({ decoder } as unknown as MessageStream)
  const read = (...bytes: readonly number[]): readonly (readonly number[])[] =>
    Array.from(decoder.decode(Uint8Array.from(bytes)), (message) => [...message.subarray()])
  return { decoder, read }
}

test('messages are told apart by their lengths, in whatever pieces they come', () => {
  const { read } = decryptingConnection()
  assert.deepEqual(read(0, 2, 7, 8), [[7, 8]])
  assert.deepEqual(read(0, 1, 9, 0, 2, 5), [[9]])
  assert.deepEqual(read(6, 0), [[5, 6]])
  assert.deepEqual(read(3, 1), [])
  assert.deepEqual(read(2), [])
  assert.deepEqual(read(3), [[1, 2, 3]])
})

test('a length takes both of its bytes', () => {
  const { read } = decryptingConnection()
  const body = Array.from({ length: 0x0102 }, () => 1)
  assert.deepEqual(read(1, 2, ...body), [body])
})

test('the end of what came makes no error of its own', () => {
  const decoder = decryptingConnection().decoder as unknown as {
    lengthDecoder(bytes: Uint8ArrayList): number
  }
  const endOf = (bytes: readonly number[]): unknown => {
    try {
      return decoder.lengthDecoder(new Uint8ArrayList(Uint8Array.from(bytes)))
    } catch (problem) {
      return problem
    }
  }
  assert.ok(endOf([]) instanceof RangeError)
  assert.equal(endOf([]), endOf([0]))
})

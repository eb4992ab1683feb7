// Both ends of measured traffic, each a process of its own, and the plain relays that tunnels are compared with. Usage:
// `node traffic-ends.ts ROLE JSON`; a server prints the port that it listens on, a client one line of JSON.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { decode, encode } from 'dns-packet'

/** How a client gets to the server: straight, or through a proxy that is asked for a name. */
export interface Way {
  readonly host: string
  readonly port: number
  readonly proxy?: { readonly kind: 'http' | 'socks'; readonly target: string }
}

export type Task =
  | { readonly kind: 'bulk'; readonly way: Way; readonly streams: number; readonly bytes: number }
  | { readonly kind: 'latency'; readonly way: Way; readonly openings: number; readonly requests: number }
  | { readonly kind: 'idle'; readonly way: Way; readonly tunnels: number }
  | { readonly kind: 'names'; readonly port: number; readonly name: string; readonly questions: number }

export interface Latencies {
  /** Of each connection, from the start until its first byte came back, in ms. */
  readonly firstMs: readonly number[]
  /** Of each request of 64 bytes on an open connection, in ms. */
  readonly requestMs: readonly number[]
}

export interface RelayTask {
  readonly to: { readonly host: string; readonly port: number }
  readonly host: string
  /** Which of its sides is TLS: the one that it accepts, the one that it dials, or none. */
  readonly tls: 'accepts' | 'dials' | 'no'
}

/** The first byte says what the server does with the rest. */
const SINK = 0x53
const ECHO = 0x45
const PIECE = Buffer.alloc(262_144, 7)
const REQUEST = Buffer.alloc(64, 1)
/** Both relays know it; what they are compared with has keys of its own. */
const KEY = Buffer.alloc(32, 1)
const QUESTIONS_AT_ONCE = 32
/** No run of questions takes as long. */
const LOST_MS = 60_000
const TLS = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' } as const
const BOTH_WAYS = { allowHalfOpen: true, noDelay: true }

async function serve(host: string, port: number): Promise<void> {
  await listen(
    createServer(BOTH_WAYS, (socket) => {
      socket.on('error', () => {})
      socket.once('data', (first) => {
        let count = first.length
        if (first[0] === ECHO) {
          socket.write(first)
          socket.pipe(socket)
          return
        }
        socket.on('data', (bytes) => {
          count += bytes.length
        })
        socket.on('end', () => socket.end(String(count)))
      })
    }),
    host,
    port,
  )
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  server.listen(port, host)
  await once(server, 'listening')
  console.log((server.address() as AddressInfo).port)
}

async function relay({ to, host, tls }: RelayTask): Promise<void> {
  const carry = (inner: Socket): void => {
    const outer: Socket =
      tls === 'dials'
        ? connectTls({ ...to, ...BOTH_WAYS, ...TLS, pskCallback: () => ({ psk: KEY, identity: 'relay' }) })
        : connect({ ...to, ...BOTH_WAYS })
    outer.setNoDelay(true)
    for (const [from, other] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      from.on('error', () => other.destroy())
      from.pipe(other)
    }
  }
  const options = { ...BOTH_WAYS, ...TLS, pskCallback: () => KEY }
  await listen(tls === 'accepts' ? createTlsServer(options, carry) : createServer(BOTH_WAYS, carry), host, 0)
}

async function dial({ host, port, proxy }: Way): Promise<Socket> {
  const socket = connect({ host, port, ...BOTH_WAYS })
  await once(socket, 'connect')
  if (proxy === undefined) return socket.resume()
  if (proxy.kind === 'http') {
    socket.write(`CONNECT ${proxy.target} HTTP/1.1\r\nHost: ${proxy.target}\r\n\r\n`)
    const answer = await readSome(socket)
    if (!String(answer).startsWith('HTTP/1.1 200')) throw new Error(`the proxy said ${answer}`)
    return socket.resume()
  }
  const [name = '', targetPort = ''] = proxy.target.split(':')
  socket.write(Uint8Array.of(5, 1, 0))
  await readSome(socket)
  const word = Buffer.from(name)
  const wanted = Number(targetPort)
  socket.write(Uint8Array.of(5, 1, 0, 3, word.length, ...word, wanted >> 8, wanted & 255))
  const answer = await readSome(socket)
  if (answer[1] !== 0) throw new Error(`the SOCKS server answered ${answer[1]}`)
  return socket.resume()
}

async function readSome(socket: Socket): Promise<Buffer> {
  const some = once(socket, 'data') as Promise<[Buffer]>
  socket.resume()
  const [bytes] = await some
  socket.pause()
  return bytes
}

/** Resolves to MB/s (10^6 bytes), from the first connection until the server has counted everything. */
async function bulk({ way, streams, bytes }: Extract<Task, { kind: 'bulk' }>): Promise<number> {
  const from = performance.now()
  const each = Math.floor(bytes / streams / PIECE.length) * PIECE.length
  const counts = Array.from({ length: streams }, async () => {
    const socket = await dial(way)
    let answer = ''
    socket.on('data', (text) => {
      answer += text
    })
    const first = Buffer.from(PIECE)
    first[0] = SINK
    for (let sent = 0; sent < each; sent += PIECE.length) {
      if (!socket.write(sent === 0 ? first : PIECE)) await once(socket, 'drain')
    }
    socket.end()
    await once(socket, 'end')
    if (Number(answer) !== each) throw new Error(`${each} bytes were sent, and ${answer} arrived`)
    return each
  })
  const sum = (await Promise.all(counts)).reduce((all, count) => all + count, 0)
  return sum / 1_000 / (performance.now() - from)
}

async function latency({ way, openings, requests }: Extract<Task, { kind: 'latency' }>): Promise<Latencies> {
  const first = Buffer.from(REQUEST)
  first[0] = ECHO
  const roundTrip = async (socket: Socket, bytes: Buffer): Promise<void> => {
    socket.write(bytes)
    for (let left = bytes.length; left > 0; ) left -= ((await once(socket, 'data')) as [Buffer])[0].length
  }
  const firstMs: number[] = []
  for (let index = 0; index < openings; index++) {
    const from = performance.now()
    const socket = await dial(way)
    await roundTrip(socket, first)
    firstMs.push(performance.now() - from)
    socket.destroy()
  }
  const socket = await dial(way)
  await roundTrip(socket, first)
  const requestMs: number[] = []
  for (let index = 0; index < requests; index++) {
    const from = performance.now()
    await roundTrip(socket, REQUEST)
    requestMs.push(performance.now() - from)
  }
  socket.destroy()
  return { firstMs, requestMs }
}

/** Opens tunnels, says so on a line of its own, and holds them until its input ends. */
async function idle({ way, tunnels }: Extract<Task, { kind: 'idle' }>): Promise<number> {
  const sockets: Socket[] = []
  // In waves, as a listener's queue of connections is bounded by the system.
  while (sockets.length < tunnels) sockets.push(...(await Promise.all(Array.from({ length: 50 }, () => dial(way)))))
  for (const socket of sockets) {
    socket.write(Uint8Array.of(ECHO))
    await once(socket, 'data')
  }
  console.log('open')
  await once(process.stdin.resume(), 'end')
  return sockets.length
}

/** Resolves to answers per second, with as many questions at a time as a busy resolver has. */
async function names({ port, name, questions }: Extract<Task, { kind: 'names' }>): Promise<number> {
  const socket = createSocket('udp4')
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let asked = 0
  let answered = 0
  // Written once: what a question costs its asker is not to be measured.
  const question = encode({ type: 'query', id: 0, questions: [{ type: 'A', name }] })
  const ask = (): void => {
    asked += 1
    const one = Buffer.from(question)
    one.writeUInt16BE(asked & 0xffff)
    socket.send(one, port, '127.0.0.1')
  }
  socket.on('message', (bytes) => {
    if (answered === 0 && decode(bytes).answers?.length !== 1) return reject(new Error(`no address for ${name}`))
    answered += 1
    if (asked < questions) ask()
    else if (answered === questions) resolve()
  })
  const from = performance.now()
  for (let index = 0; index < QUESTIONS_AT_ONCE; index++) ask()
  const lost = setTimeout(() => reject(new Error(`${questions - answered} questions were not answered`)), LOST_MS)
  await promise
  clearTimeout(lost)
  socket.close()
  return (answered / (performance.now() - from)) * 1_000
}

const [role, text = '{}'] = process.argv.slice(2)
if (role === 'serve') {
  // An instance of Coppice is told its port by the environment.
  const { host = '127.0.0.1' } = JSON.parse(text)
  await serve(host, Number(process.env.PORT ?? 0))
} else if (role === 'relay') await relay(JSON.parse(text))
else if (role === 'client') {
  const task: Task = JSON.parse(text)
  console.log(JSON.stringify(await run(task)))
  process.exit()
}

async function run(task: Task): Promise<unknown> {
  switch (task.kind) {
    case 'bulk':
      return await bulk(task)
    case 'latency':
      return await latency(task)
    case 'idle':
      return await idle(task)
    case 'names':
      return await names(task)
  }
}

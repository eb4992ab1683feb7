// Every protocol that a node speaks over libp2p, on loopback: a member that says changed things on its streams, one
// that answers with changed things when it is asked, and a stranger with a connection of its own for each hello and
// each join.

import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createPacker } from '../../overlay/frame-delta.ts'
import { createCounters } from '../../overlay/io/counters.ts'
import { createNode, type Libp2pNode } from '../../overlay/io/create-libp2p.ts'
import { askForCredential } from '../../overlay/io/credential-exchange.ts'
import { askForDialBack } from '../../overlay/io/dial-back.ts'
import {
  bytesOf,
  createVillage,
  FEDERATION,
  HEADER,
  listenTo,
  newKey,
  type TestNode,
  type Village,
} from '../../overlay/io/fixtures.ts'
import { frame } from '../../overlay/io/frames.ts'
import { askForRenewal } from '../../overlay/io/join.ts'
import { type KnockDoor, openKnockDoor } from '../../overlay/io/knocks.ts'
import { askToBeSeen } from '../../overlay/io/observe.ts'
import {
  CONTROL_PROTOCOL,
  CREDENTIAL_PROTOCOL,
  DIAL_BACK_PROTOCOL,
  HELLO_PROTOCOL,
  JOIN_PROTOCOL,
  LINE_PROTOCOL,
  OBSERVE_PROTOCOL,
  RENEWAL_PROTOCOL,
  TUNNEL_PROTOCOL,
} from '../../overlay/io/protocols.ts'
import { libp2pDuplex } from '../../overlay/io/stream-duplex.ts'
import { nodeId } from '../../overlay/kernel/ids.ts'
import type { Random } from '../../overlay/kernel/random.ts'
import { ok } from '../../overlay/kernel/result.ts'
import { encodeDialBack, encodeDialBackAnswer, encodeObserveAnswer } from '../../overlay/knock.ts'
import { encodeLineAnswer, encodeRequest, LINE_SECRET_BYTES, LINE_TICKET_CHARS } from '../../overlay/line-request.ts'
import { TICKET_CHARS } from '../../overlay/tickets.ts'
import { encodeAnswer, encodeHeader } from '../../overlay/tunnel.ts'
import { decodeBounded, encodeCbor } from '../../overlay/wire/codec.ts'
import { chance } from '../sim/streams.ts'
import { mutateBytes, mutateValue } from './mutate.ts'
import type { Session, Target } from './target.ts'

/** Each message takes a stream, and some a connection: a hundred times as long as a decoder. */
const WEIGHT = 0.5
/** Nobody waits longer for the end of a stream; what takes so long takes no processor time. */
const STREAM_MS_MAX = 500
/** How an error of ours reads, as against a refusal. */
const BUG = /TypeError|RangeError|ReferenceError|Cannot (?:read|set|destructure)|is not (?:a function|iterable)/
/** Nothing listens there, so nobody is dialled. */
const DEAD_PORT = 1
const WELCOME = encodeCbor({ code: 'welcome', detail: '' })
const TICKET = 'ab'.repeat(TICKET_CHARS / 2)
const ASKED_OF_MEMBER = [
  TUNNEL_PROTOCOL,
  LINE_PROTOCOL,
  CREDENTIAL_PROTOCOL,
  RENEWAL_PROTOCOL,
  DIAL_BACK_PROTOCOL,
  OBSERVE_PROTOCOL,
]
const SECRET = new Uint8Array(LINE_SECRET_BYTES)

interface Cast {
  readonly village: Village
  readonly host: TestNode
  readonly member: Libp2pNode
  readonly stranger: Libp2pNode
  readonly door: KnockDoor
  /** The member's, on which it proved that it is one. */
  connection: Connection
  /** What whoever asks the member is told next. */
  answer: Uint8Array
  readonly bugs: unknown[]
}

/** Says what an honest one would say, changed; resolves to whether the stream or the connection was refused for it. */
interface Scene {
  readonly protocol: string
  /** The frames of an honest one. */
  readonly honest: (cast: Cast) => readonly Uint8Array[]
  readonly play: (cast: Cast, bytes: Uint8Array, protocol: string) => Promise<boolean>
}

const SCENES: readonly Scene[] = [
  { protocol: CONTROL_PROTOCOL, honest: controlFrames, play: sayAsMember },
  { protocol: TUNNEL_PROTOCOL, honest: () => [encodeHeader(HEADER), bytesOf('hello')], play: sayAsMember },
  { protocol: CREDENTIAL_PROTOCOL, honest: () => [new Uint8Array(32).fill(1)], play: sayAsMember },
  { protocol: RENEWAL_PROTOCOL, honest: () => [bytesOf('a request'), new Uint8Array(0)], play: sayAsMember },
  {
    protocol: DIAL_BACK_PROTOCOL,
    honest: () => [encodeDialBack({ port: DEAD_PORT, ticket: TICKET })],
    play: sayAsMember,
  },
  { protocol: OBSERVE_PROTOCOL, honest: () => [new Uint8Array(0)], play: sayAsMember },
  { protocol: LINE_PROTOCOL, honest: () => [encodeRequest({ kind: 'line', secret: SECRET })], play: sayAsMember },
  { protocol: HELLO_PROTOCOL, honest: hello, play: sayAsStranger },
  { protocol: JOIN_PROTOCOL, honest: () => [bytesOf('please'), new Uint8Array(0)], play: sayAsStranger },
  { protocol: TUNNEL_PROTOCOL, honest: () => [encodeAnswer(ok(null)), bytesOf('hello')], play: askForTunnel },
  { protocol: LINE_PROTOCOL, honest: lineAnswer, play: askForTunnel },
  { protocol: CREDENTIAL_PROTOCOL, honest: () => [bytesOf('a credential')], play: askMember },
  { protocol: RENEWAL_PROTOCOL, honest: () => [bytesOf('an answer')], play: askMember },
  { protocol: DIAL_BACK_PROTOCOL, honest: () => [encodeDialBackAnswer(true)], play: askMember },
  { protocol: OBSERVE_PROTOCOL, honest: () => [encodeObserveAnswer(TICKET)], play: askMember },
]

export const streamTargets = (): readonly Target[] => [{ name: 'streams', weight: WEIGHT, open: openSession }]

async function openSession(): Promise<Session> {
  const cast = await gather()
  const onBug = (problem: unknown): void => void cast.bugs.push(problem)
  process.on('uncaughtException', onBug)
  process.on('unhandledRejection', onBug)
  let fired = 0
  return {
    fire: async (random, onInput) => {
      const isFirst = fired < SCENES.length
      const scene = SCENES[fired++ % SCENES.length] as Scene
      const honest = scene.honest(cast)
      // The first of each as it was, so that it is read to its end.
      const bytes = isFirst ? Buffer.concat(honest.map(frame)) : changed(random, honest)
      onInput(Buffer.concat([bytesOf(`${scene.protocol} ${scene.play.name}\n`), bytes]))
      const refused = await scene.play(cast, bytes, scene.protocol)
      if (cast.bugs.length > 0) throw cast.bugs[0]
      return { refused }
    },
    end: async () => {
      await Promise.all([cast.member.stop(), cast.stranger.stop()])
      await cast.village.stop()
      cast.door.close()
      process.off('uncaughtException', onBug)
      process.off('unhandledRejection', onBug)
    },
  }
}

async function gather(): Promise<Cast> {
  const village = createVillage()
  const bugs: unknown[] = []
  const { events } = listenTo()
  const onNotice = (code: string, detail: string): void => {
    if (BUG.test(detail)) bugs.push(new Error(`${code}: ${detail}`))
  }
  const host = await village.add({ events: { ...events, onNotice } })
  const [member, stranger] = [await bareNode(['/ip4/127.0.0.1/tcp/0']), await bareNode([])]
  village.members.add(nodeId(member.peerId.toString()))
  const connection = await greeted(member, host)
  const door = openKnockDoor(createCounters())
  const cast: Cast = { village, host, member, stranger, door, connection, answer: new Uint8Array(0), bugs }
  for (const protocol of ASKED_OF_MEMBER) {
    await member.handle(protocol, async (stream) => {
      const duplex = libp2pDuplex(stream).on('error', () => undefined)
      duplex.resume().end(cast.answer)
    })
  }
  return cast
}

async function bareNode(listen: readonly string[]): Promise<Libp2pNode> {
  const quiet = { announce: [], mdns: false, clientMode: true }
  const node = await createNode({ privateKey: await newKey(), federation: FEDERATION, listen, ...quiet })
  await node.start()
  return node
}

const dial = (node: Libp2pNode, { network }: TestNode): Promise<Connection> =>
  node.dial(multiaddr(network.addresses()[0] ?? ''), { force: true })

/** A connection on which an honest hello was said. */
async function greeted(member: Libp2pNode, host: TestNode): Promise<Connection> {
  const connection = await dial(member, host)
  const duplex = await openStream(connection, HELLO_PROTOCOL)
  for (const bytes of [bytesOf(`member ${member.peerId}`), WELCOME]) duplex.write(frame(bytes))
  duplex.end()
  await ended(duplex)
  return connection
}

/** Frames with other bytes in them, with another value, or cut where no frame ends. */
function changed(random: Random, honest: readonly Uint8Array[]): Uint8Array {
  if (chance(random, 0.3)) return mutateBytes(random, Buffer.concat(honest.map(frame)))
  const one = Math.floor(random.next() * honest.length)
  const frames = honest.map((bytes, index) => {
    const raw = index === one && chance(random, 0.5) ? decodeBounded(bytes) : null
    if (raw?.ok === true) return encodeCbor(mutateValue(random, raw.value))
    return index === one ? mutateBytes(random, bytes) : bytes
  })
  return Buffer.concat(frames.map(withDeadPort).map(frame))
}

/** Nobody’s port is knocked at. */
function withDeadPort(bytes: Uint8Array): Uint8Array {
  const raw = decodeBounded(bytes)
  const { port } = (raw.ok ? (raw.value ?? {}) : {}) as { readonly port?: unknown }
  return Number.isInteger(port) ? encodeCbor({ ...(raw as { value: object }).value, port: DEAD_PORT }) : bytes
}

function controlFrames(): readonly Uint8Array[] {
  const packer = createPacker()
  return [1, 2, 3].map((at) => packer.pack(encodeCbor({ kind: 'election/heartbeat', sentAt: at * 1_000.5 })))
}

function hello({ stranger }: Cast): readonly Uint8Array[] {
  return [bytesOf(`member ${stranger.peerId}`), WELCOME]
}

function lineAnswer(): readonly Uint8Array[] {
  return [encodeLineAnswer({ kind: 'line', ticket: 'ab'.repeat(LINE_TICKET_CHARS / 2), secret: SECRET })]
}

async function sayAsMember(cast: Cast, bytes: Uint8Array, protocol: string): Promise<boolean> {
  if (cast.connection.status !== 'open') cast.connection = await greeted(cast.member, cast.host)
  return await say(cast.connection, protocol, bytes)
}

/** The first few are on the list, so that their hello is read to its end. */
async function sayAsStranger({ village, stranger, host }: Cast, bytes: Uint8Array, protocol: string): Promise<boolean> {
  village.members.add(nodeId(stranger.peerId.toString()))
  const connection = await dial(stranger, host)
  try {
    return await say(connection, protocol, bytes)
  } finally {
    await connection.close().catch(() => undefined)
  }
}

async function say(connection: Connection, protocol: string, bytes: Uint8Array): Promise<boolean> {
  const duplex = await openStream(connection, protocol)
  duplex.end(bytes)
  return await ended(duplex)
}

async function askForTunnel(cast: Cast, bytes: Uint8Array): Promise<boolean> {
  if (cast.connection.status !== 'open') cast.connection = await greeted(cast.member, cast.host)
  cast.answer = bytes
  const signal = AbortSignal.timeout(STREAM_MS_MAX)
  const tunnel = await cast.host.network.openTunnel(nodeId(cast.member.peerId.toString()), HEADER, signal)
  if (!tunnel.ok) return true
  tunnel.value.on('error', () => undefined).end()
  return await ended(tunnel.value)
}

/** The stranger asks what members ask each other, and the member answers. */
async function askMember(cast: Cast, bytes: Uint8Array, protocol: string): Promise<boolean> {
  cast.answer = bytes
  const [address] = cast.member.getMultiaddrs()
  if (address === undefined) throw new Error('the member listens nowhere')
  const connection = await cast.stranger.dial(address)
  const signal = AbortSignal.timeout(STREAM_MS_MAX)
  if (protocol === DIAL_BACK_PROTOCOL) return (await askForDialBack(connection, DEAD_PORT, cast.door)) === null
  const asked =
    protocol === CREDENTIAL_PROTOCOL
      ? askForCredential(connection, new Uint8Array(32), cast.host.gate, signal)
      : protocol === OBSERVE_PROTOCOL
        ? askToBeSeen(connection, signal)
        : askForRenewal(connection, bytesOf('a request'), signal)
  return await asked.then(
    (answer) => answer === false,
    (problem) => {
      if (BUG.test(String(problem))) throw problem
      return true
    },
  )
}

async function openStream(connection: Connection, protocol: string): Promise<Duplex> {
  const signal = AbortSignal.timeout(STREAM_MS_MAX)
  return libp2pDuplex(await connection.newStream(protocol, { signal })).on('error', () => undefined)
}

/** Reads a stream to its end; whether it was cut. */
async function ended(duplex: Duplex): Promise<boolean> {
  duplex.resume()
  if (!duplex.closed)
    await once(duplex, 'close', { signal: AbortSignal.timeout(STREAM_MS_MAX) }).catch(() => duplex.destroy())
  return duplex.errored !== null
}

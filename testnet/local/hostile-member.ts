// Somebody who holds a member's folder, with its keys and its credential, and speaks libp2p with the shipping code, but
// says what a test wants it to.

import type { Duplex } from 'node:stream'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createGate, loadMembership, type MembershipGate } from '../../bootstrap/index.ts'
import { openFolder } from '../../node/boot.ts'
import type { CoreMessage } from '../../node/core/effects.ts'
import { coreCodec } from '../../node/core/messages.ts'
import { createPacker } from '../../overlay/frame-delta.ts'
import { createNode, type Libp2pNode } from '../../overlay/io/create-libp2p.ts'
import { frame, readFrame } from '../../overlay/io/frames.ts'
import {
  CONTROL_PROTOCOL,
  HELLO_BYTES_MAX,
  HELLO_PROTOCOL,
  PIECE_BYTES_MAX,
  VERDICT_BYTES_MAX,
} from '../../overlay/io/protocols.ts'
import { libp2pDuplex } from '../../overlay/io/stream-duplex.ts'
import type { FederationId } from '../../overlay/kernel/ids.ts'
import { decodeBounded, encodeCbor } from '../../overlay/wire/codec.ts'
import { createSealer, type Sealer } from '../../overlay/wire/envelope.ts'

/** Of a machine on which thousands of them are opened at once, and that has other things to do. */
const STREAM_MS_MAX = 60_000
/** What ends the pieces of a charter. */
const NO_MORE = new Uint8Array(0)

export interface HostileMember {
  readonly gate: MembershipGate
  readonly node: Libp2pNode
  readonly sealer: Sealer<CoreMessage>
  /** A connection that nobody proved anything on yet. */
  dial(address: string): Promise<Connection>
  /**
   * Says its real hello, and of the charter what `shown` has, else what it should; resolves to what the other side
   * thinks of it: `welcome`, or the code of its refusal. What the other side shows is read, and forgotten.
   */
  greet(connection: Connection, shown?: readonly Uint8Array[]): Promise<string>
  /** A control stream on which bytes can be written as they are. */
  control(connection: Connection): Promise<Duplex>
  stop(): Promise<void>
}

/** A libp2p node that knows a federation's id, as everybody does who has ever seen an invite. */
export async function bareNode(
  privateKey: Parameters<typeof createNode>[0]['privateKey'],
  federation: FederationId,
): Promise<Libp2pNode> {
  const quiet = { listen: [], announce: [], mdns: false, relay: false, clientMode: true }
  const node = await createNode({ privateKey, federation, ...quiet })
  await node.start()
  return node
}

export async function openStream(connection: Connection, protocol: string): Promise<Duplex> {
  const signal = AbortSignal.timeout(STREAM_MS_MAX)
  const duplex = libp2pDuplex(await connection.newStream(protocol, { signal, maxOutboundStreams: 10_000 }))
  return duplex.on('error', () => undefined)
}

async function greet(gate: MembershipGate, connection: Connection, shown?: readonly Uint8Array[]): Promise<string> {
  const duplex = await openStream(connection, HELLO_PROTOCOL)
  const signal = AbortSignal.timeout(STREAM_MS_MAX)
  const own = gate.ownHello()
  duplex.write(frame(own))
  const pieces = gate.piecesFor(own, await readFrame(duplex, HELLO_BYTES_MAX, signal))
  if (pieces !== null) {
    for (const piece of [...(shown ?? pieces), NO_MORE]) duplex.write(frame(piece))
    while ((await readFrame(duplex, PIECE_BYTES_MAX, signal)).length > 0);
  }
  duplex.write(frame(encodeCbor({ code: 'welcome', detail: '' })))
  duplex.end()
  const verdict = decodeBounded(await readFrame(duplex, VERDICT_BYTES_MAX, signal))
  duplex.resume()
  return verdict.ok ? String((verdict.value as { readonly code?: unknown }).code) : 'garbled'
}

/** Takes over a folder that no process uses any more. */
export async function takeFolder(dataDir: string): Promise<HostileMember> {
  const folder = await openFolder(dataDir, () => undefined)
  const membership = await loadMembership(folder.disk, folder.nodeKey)
  if (membership === null) throw new Error(`${dataDir} is no member’s`)
  const gate = await createGate({
    membership,
    store: folder.disk,
    nodeKey: folder.nodeKey,
    operatorKey: null,
    name: 'mallory',
    wall: Date.now,
    onCharterChanged: () => undefined,
    onNotice: () => undefined,
  })
  const { federation } = membership
  const node = await bareNode(folder.nodeKey.privateKey, federation)
  return {
    gate,
    node,
    sealer: createSealer(coreCodec, federation, gate, gate),
    dial: (address) => node.dial(multiaddr(address)),
    greet: (connection, shown) => greet(gate, connection, shown),
    control: async (connection) => (await openStream(connection, CONTROL_PROTOCOL)).resume(),
    stop: async () => {
      await node.stop()
      await folder.disk.close()
    },
  }
}

/** Frames as a control stream carries them, for one stream. */
export function framed(): (bytes: Uint8Array) => Uint8Array {
  const packer = createPacker()
  return (bytes) => frame(packer.pack(bytes))
}

// Members look at each other's ports without a second connection between them.

import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import { type NodeId, nodeId } from '../kernel/ids.ts'
import { KNOCK } from '../knock.ts'
import { preamble, TICKET_CHARS } from '../tickets.ts'
import { createCounters } from './counters.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { askForDialBack, hostAndPortOf, serveDialBacks } from './dial-back.ts'
import { createBareNode, idOf, newKey, PATIENCE_MS } from './fixtures.ts'
import { type KnockDoor, openKnockDoor } from './knocks.ts'
import { serveObservations } from './observe.ts'
import { openMapping } from './port-mapping.ts'

interface Member {
  readonly node: Libp2pNode
  readonly door: KnockDoor
  readonly counters: ReturnType<typeof createCounters>
  readonly at: { readonly host: string; readonly port: number }
}

const members: Member[] = []
after(async () => {
  for (const { node, door } of members) {
    door.close()
    await node.stop()
  }
})

/** A node that answers questions about ports; nobody has to prove membership here. */
async function addMember(): Promise<Member> {
  const counters = createCounters()
  const door = openKnockDoor(counters)
  const end = (socket: { destroy(): unknown }): void => void socket.destroy()
  const node = await createBareNode({ sharers: { onTls: end, onCarried: end, onKnock: door.accept } })
  await serveDialBacks(node)
  await serveObservations(node, door)
  await node.start()
  const at = hostAndPortOf(String(node.getMultiaddrs()[0]))
  assert.ok(at !== null)
  const member = { node, door, counters, at }
  members.push(member)
  return member
}

const idOfMember = ({ node }: Member): NodeId => nodeId(node.peerId.toString())
const connectTo = ({ node }: Member, to: Member): Promise<Connection> => node.dial(to.node.getMultiaddrs())
const signal = (): AbortSignal => AbortSignal.timeout(PATIENCE_MS)

test('two members say how they see one port, and nothing but the one connection to each comes of it', async () => {
  const [asker, first, second] = [await addMember(), await addMember(), await addMember()]
  const observers = [
    { peer: idOfMember(first), connection: await connectTo(asker, first), ...first.at },
    { peer: idOfMember(second), connection: await connectTo(asker, second), ...second.at },
  ]
  const mappings = await Promise.all([1, 2, 3].map(() => openMapping(observers, signal())))
  for (const { localPort, offer } of mappings) {
    assert.deepEqual(offer, { host: '127.0.0.1', port: localPort, isSteady: true })
  }
  assert.equal(new Set(mappings.map(({ localPort }) => localPort)).size, 3)
  assert.equal(first.node.getConnections().length, 1)
  assert.equal(asker.node.getConnections().length, 2)
  for (const mapping of mappings) mapping.close()
})

test('where the second member is gone, the first alone says how it sees the port', async () => {
  const [asker, first, second] = [await addMember(), await addMember(), await addMember()]
  const observers = [
    { peer: idOfMember(first), connection: await connectTo(asker, first), ...first.at },
    { peer: idOfMember(second), connection: await connectTo(asker, second), ...second.at },
  ]
  await second.node.stop()
  const mapping = await openMapping(observers, signal())
  assert.equal(mapping.offer.isSteady, null)
  mapping.close()
})

test('a member dials back to where this node listens, and only its own ticket counts as an arrival', async () => {
  const [asker, other, somebodyElse] = [await addMember(), await addMember(), await addMember()]
  const connection = await connectTo(asker, other)
  assert.equal(await askForDialBack(connection, asker.at.port, asker.door), true)
  assert.equal(await askForDialBack(connection, somebodyElse.at.port, asker.door), false)
  assert.equal(somebodyElse.counters.all()['knocks-refused'], 1)
  assert.equal(other.node.getConnections().length, 1)
})

test('who knocks without a ticket, or twice with one, is shut out', async () => {
  const member = await addMember()
  const expected = member.door.expect(idOf(await newKey()))
  assert.ok(expected !== null)
  const tickets = ['0'.repeat(TICKET_CHARS), expected.ticket, expected.ticket]
  const answers: number[] = []
  for (const ticket of tickets) {
    const socket = connect(member.at)
    socket.write(preamble(KNOCK, ticket))
    let heard = 0
    for await (const bytes of socket) {
      heard += bytes.length
      break
    }
    answers.push(heard)
  }
  assert.deepEqual([answers[0], (answers[1] ?? 0) > 0, answers[2]], [0, true, 0])
  assert.ok(expected.isKnocked())
})

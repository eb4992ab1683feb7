// Which of several connections to a peer is used, and what is told of it. The connections are libp2p's in shape only.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import type { NodeId } from '../kernel/ids.ts'
import { trackConnections } from './connections.ts'
import { directOnly } from './direct-only.ts'
import { factsOf } from './fixtures.ts'

const PEER = '12D3KooWPeer' as NodeId
const MEMBER = { facts: factsOf(PEER), name: 'peer' }
const DIRECT = '/ip4/192.0.2.1/tcp/4001'
const OVER_RELAY = '/ip4/192.0.2.9/tcp/4001/p2p/12D3KooWRelay/p2p-circuit'

const connectionAt = (address: string, direction: 'inbound' | 'outbound' = 'outbound'): Connection =>
  Object.assign(new EventTarget(), {
    status: 'open',
    direction,
    direct: address === DIRECT,
    remoteAddr: { toString: () => address },
    remotePeer: { toString: () => PEER },
  }) as unknown as Connection

/** As libp2p does it: the end is told of when the connection is not open any more. */
function end(connection: Connection): void {
  Object.assign(connection, { status: 'aborted' })
  connection.dispatchEvent(new Event('close') as never)
}

function track() {
  const told: string[] = []
  const connections = trackConnections({
    onConnected: ({ path }) => told.push(path),
    onDisconnected: () => told.push('gone'),
    onBestChanged: () => told.push('another'),
    onLeaned: () => told.push('leaned'),
  })
  return { connections, told }
}

test('of two direct connections the older one is used, until it is doubted', () => {
  const { connections, told } = track()
  const [older, newer] = [connectionAt(DIRECT), connectionAt(DIRECT)]
  connections.add(older, MEMBER)
  connections.add(newer, MEMBER)
  assert.equal(connections.best(PEER), older)
  assert.deepEqual(connections.all(PEER), [older, newer])
  connections.doubt(older, true)
  assert.equal(connections.best(PEER), newer)
  assert.deepEqual(connections.all(PEER), [newer, older])
  connections.doubt(older, false)
  assert.equal(connections.best(PEER), older)
  assert.deepEqual(told, ['direct', 'another', 'another'])
})

test('a relayed connection is better than a direct one that is doubted, and the change of path is told', () => {
  const { connections, told } = track()
  const direct = connectionAt(DIRECT)
  connections.add(direct, MEMBER)
  connections.add(connectionAt(OVER_RELAY), MEMBER)
  connections.doubt(direct, true)
  end(direct)
  assert.deepEqual(told, ['direct', 'another', 'relay', 'leaned'])
})

test('where the direct one of two connections ends, the path that is left is told', () => {
  const { connections, told } = track()
  const direct = connectionAt(DIRECT)
  connections.add(connectionAt(OVER_RELAY), MEMBER)
  connections.add(direct, MEMBER)
  end(direct)
  assert.deepEqual(told, ['relay', 'another', 'direct', 'another', 'relay', 'leaned'])
})

test('a connection that is doubted is used where there is no other, and its end is the end of the peer', () => {
  const { connections, told } = track()
  const only = connectionAt(DIRECT)
  connections.add(only, MEMBER)
  connections.doubt(only, true)
  assert.equal(connections.best(PEER), only)
  end(only)
  assert.deepEqual(told, ['direct', 'gone'])
})

test('a relay carries to the newest direct connection; a place on it is asked over one that was dialled', async () => {
  const [older, relayed, newer] = [connectionAt(DIRECT), connectionAt(OVER_RELAY), connectionAt(DIRECT, 'inbound')]
  const { connectionManager } = directOnly({
    connectionManager: {
      getConnections: (_peer: string) => [older, relayed, newer],
      openConnection: async (_peer: string) => relayed,
    },
  })
  assert.deepEqual(connectionManager.getConnections(PEER), [newer, older])
  assert.equal(await connectionManager.openConnection(PEER), older)
})

test('a connection is left when it is doubted or ends and another can be used, and for no other reason', () => {
  const { connections } = track()
  const [older, newer] = [connectionAt(DIRECT), connectionAt(DIRECT)]
  const never = new AbortController().signal
  connections.add(older, MEMBER)
  const waiting = connections.leaving(older, never)
  connections.doubt(older, true)
  assert.equal(waiting.signal.aborted, false, 'there is no other')
  connections.doubt(older, false)
  connections.add(newer, MEMBER)
  assert.equal(waiting.signal.aborted, false, 'nothing is wrong with it')
  const ended = connections.leaving(older, never)
  ended.end()
  connections.doubt(older, true)
  assert.deepEqual([waiting.signal.aborted, ended.signal.aborted], [true, false])
  assert.equal(connections.leaving(older, never).signal.aborted, true, 'at once, as it stands')
  const onNewer = connections.leaving(newer, never)
  connections.doubt(older, false)
  end(newer)
  assert.equal(onNewer.signal.aborted, true)
  const outer = new AbortController()
  const bounded = connections.leaving(older, outer.signal)
  outer.abort()
  assert.equal(bounded.signal.aborted, true)
})

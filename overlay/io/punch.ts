// Hole punching over TCP, for a direct connection to a peer that is connected over a relay: they agree on it over that
// one (punch-agreement.ts). What comes of it is an ordinary TCP connection with Noise and hello on it.

import type { Connection } from '@libp2p/interface'
import type { NodeId } from '../kernel/ids.ts'
import { NoDirectPath, type NotDirect } from '../not-direct.ts'
import type { Connections } from './connections.ts'
import type { HelloDesk } from './hello.ts'
import { PUNCH_PROTOCOL } from './protocols.ts'
import { arrangePunches, type MakeOf, type PunchMeans } from './punch-agreement.ts'

export interface Puncher {
  /** Makes a direct connection to a peer that is connected over a relay. Rejects with the reason why not. */
  punch(peer: NodeId, signal: AbortSignal): Promise<Connection>
}

export interface PuncherSetup extends PunchMeans {
  readonly desk: HelloDesk
  readonly connections: Connections
  /** Why the punch that a peer asked for came to nothing. */
  onFailed(peer: NodeId, reason: NotDirect): void
}

export async function installPunching(setup: PuncherSetup): Promise<Puncher> {
  const { node, desk, connections, onFailed } = setup
  const make: MakeOf<Connection> = async (socket, { address, role, signal }) => {
    const options = { signal, socket, initiator: role === 'initiator' }
    const connection = await node.services.inside.transportManager.dial(address, options as object)
    node.punched.add(connection)
    await desk.admitted(connection)
    return connection
  }
  const ask = await arrangePunches(setup, {
    protocol: PUNCH_PROTOCOL,
    make,
    onFailed: (peer, reason) => {
      if (connections.best(peer)?.direct !== true) onFailed(peer, reason)
    },
  })
  return {
    punch: async (peer, signal) => {
      const relayed = connections.best(peer)
      if (relayed === null) throw new NoDirectPath('broken-off')
      return relayed.direct ? relayed : await ask(relayed, make, signal)
    },
  }
}

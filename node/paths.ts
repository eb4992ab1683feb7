// Whom a running node is connected to: on which path, and what each calls itself. What the network tells of that is
// noted here first, and then told to whoever acts on it.

import type { NetworkEvents } from '../overlay/io/network.ts'
import type { NodeId } from '../overlay/kernel/ids.ts'
import type { Belonging } from './belonging.ts'
import type { CoreInput } from './core/effects.ts'
import type { Observers } from './observers.ts'
import type { PathView } from './view.ts'

export interface Paths {
  /** How the network reaches each connected peer. */
  readonly paths: ReadonlyMap<NodeId, PathView>
  /** What each calls itself, also of those that left again. */
  readonly names: ReadonlyMap<NodeId, string>
  readonly events: Pick<NetworkEvents, 'onConnected' | 'onDisconnected' | 'onNotDirect'>
}

export interface PathsParts {
  readonly belonging: Pick<Belonging, 'onConnected' | 'onDisconnected'>
  readonly tell: Observers['tell']
  readonly input: (input: CoreInput) => void
}

export function createPaths({ belonging, tell, input }: PathsParts): Paths {
  const paths = new Map<NodeId, PathView>()
  const names = new Map<NodeId, string>()
  return {
    paths,
    names,
    events: {
      onConnected: (connected) => {
        const { peer, name, path, via, facts } = connected
        paths.set(peer, { path, via, reason: null })
        if (name !== '') names.set(peer, name)
        tell({ name: 'path-changed', level: 'info', fields: { node: peer, name, path, via } })
        // First who belongs again, for whoever is out is heard by nobody.
        belonging.onConnected(connected)
        input({ kind: 'connected', peer, facts })
      },
      onDisconnected: (peer) => {
        paths.delete(peer)
        input({ kind: 'disconnected', peer })
        belonging.onDisconnected(peer)
      },
      onNotDirect: (peer, reason) => {
        const known = paths.get(peer)
        if (known?.path === 'relay') paths.set(peer, { ...known, reason })
      },
    },
  }
}

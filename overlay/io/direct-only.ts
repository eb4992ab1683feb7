// What libp2p's relay code is shown of the connections to a peer: the direct ones, the newest first. It takes the first
// that there is: of a device that moved the older ones are dead, and over a relayed one it would carry connections
// through two relays, of which libp2p thinks that they are direct.

/** Of libp2p's connection manager, what is changed. */
interface ConnectionLister {
  getConnections(...peer: unknown[]): readonly Listed[]
  openConnection(peer: unknown, ...options: unknown[]): Promise<Listed>
}

interface Listed {
  readonly remoteAddr: { toString(): string }
  readonly direction: 'inbound' | 'outbound'
}

const RELAYED = '/p2p-circuit'

/** Over how many relays a connection goes that stands at this address. */
export const relaysIn = (address: { toString(): string }): number => address.toString().split(RELAYED).length - 1

/** The components of a libp2p node, in which relayed connections are not to be found. */
export function directOnly<C extends { readonly connectionManager: object }>(components: C): C {
  const lister = components.connectionManager as ConnectionLister
  const direct: ConnectionLister['getConnections'] = (...peer) =>
    lister
      .getConnections(...peer)
      .filter(({ remoteAddr }) => relaysIn(remoteAddr) === 0)
      .toReversed()
  // What a place on a relay is asked over: its address becomes this node's, and who was dialled by it knows none.
  const open: ConnectionLister['openConnection'] = async (peer, ...options) => {
    const there = direct(peer)
    return (
      there.find(({ direction }) => direction === 'outbound') ?? there[0] ?? lister.openConnection(peer, ...options)
    )
  }
  const changed = { getConnections: direct, openConnection: open }
  return overlaid(components, { connectionManager: overlaid(lister, changed) })
}

/** An object with some of its properties replaced; what else it has is asked of itself. */
const overlaid = <T extends object>(whole: T, parts: object): T =>
  new Proxy(whole, {
    get: (target, name) => {
      if (Object.hasOwn(parts, name)) return Reflect.get(parts, name)
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })

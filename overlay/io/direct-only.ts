// What libp2p's relay code is shown of the connections to a peer: the direct ones, the oldest first. It takes the first
// that there is, and over a relayed one it would carry connections through two relays, of which libp2p thinks that they
// are direct.

/** Of libp2p's connection manager, what is changed. */
interface ConnectionLister {
  getConnections(...peer: unknown[]): readonly { readonly remoteAddr: { toString(): string } }[]
}

const RELAYED = '/p2p-circuit'

/** Over how many relays a connection goes that stands at this address. */
export const relaysIn = (address: { toString(): string }): number => address.toString().split(RELAYED).length - 1

/** The components of a libp2p node, in which relayed connections are not to be found. */
export function directOnly<C extends { readonly connectionManager: object }>(components: C): C {
  const lister = components.connectionManager as ConnectionLister
  const direct: ConnectionLister['getConnections'] = (...peer) =>
    lister.getConnections(...peer).filter(({ remoteAddr }) => relaysIn(remoteAddr) === 0)
  return overlaid(components, { connectionManager: overlaid(lister, { getConnections: direct }) })
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

// How nodes see, reach and address each other. The kernel and the wire are vocabulary and are imported as such.

export {
  type AddressProblem,
  addressOf,
  isAddressOf,
  type Policy,
  parseAddress,
  printAddress,
  type ServiceAddress,
} from './address.ts'
export { type Candidate, type Choice, type ChoiceMemory, choose, noMemory, type Wish } from './choose.ts'
export { openForward } from './io/forward.ts'
export { type HttpProxyOptions, openHttpProxy } from './io/http-proxy.ts'
export { exchangeJoin, type JoinAnswer, JoinUnreachableError } from './io/join.ts'
export { createNetwork, type NetworkOptions } from './io/libp2p-transport.ts'
export { ListenError } from './io/listen-check.ts'
export type {
  Gate,
  NetworkEvents,
  NetworkPort,
  PathKind,
  PeerConnected,
  TunnelHandler,
  WantedPeer,
} from './io/network.ts'
export { splice } from './io/splice.ts'
export { openVirtualListeners, type VirtualListener, type VirtualListeners } from './io/virtual-listeners.ts'
export type { Connect, ConnectProblem, Listener } from './io/way-in.ts'
export * as membership from './membership/index.ts'
export type { TunnelHeader, TunnelRefusal, TunnelRefusalCode } from './tunnel.ts'
export {
  allocateVirtualAddress,
  claimVirtualAddress,
  createVirtualAddresses,
  listVirtualAddresses,
  nameAt,
  releaseVirtualAddress,
  type VirtualAddress,
  type VirtualAddresses,
} from './virtual-address.ts'

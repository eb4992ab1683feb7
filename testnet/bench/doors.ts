// Nodes that only belong: the network, the gate, and what spreads the charter between them, as a node has them; no
// elections, records or services.

import { createGate, type MembershipGate } from '../../bootstrap/index.ts'
import {
  founder,
  inviteFrom,
  joinWith,
  type Member,
  START,
  type TestClock,
} from '../../bootstrap/io/federation-for-tests.ts'
import { loadMembership } from '../../bootstrap/io/membership.ts'
import { type BootstrapMessage, bootstrapSchemas } from '../../bootstrap/messages.ts'
import { createBelonging } from '../../node/belonging.ts'
import { createNetwork } from '../../overlay/io/libp2p-transport.ts'
import type { NetworkPort } from '../../overlay/io/network.ts'
import { err } from '../../overlay/kernel/result.ts'
import { createCodec } from '../../overlay/wire/codec.ts'
import { createSealer, type Opened } from '../../overlay/wire/envelope.ts'

export const TOPIC = '/bench/charter'

export interface Door {
  readonly gate: MembershipGate
  readonly network: NetworkPort
  stop(): Promise<void>
}

/** A founder and its guests, all joined, none running. */
export async function federationOf(count: number): Promise<readonly Member[]> {
  const clock: TestClock = { wall: START }
  const host = await founder(clock)
  const members = [host]
  while (members.length < count) {
    members.push(await joinWith(host, await inviteFrom(host), `door-${members.length}`, clock))
  }
  return members
}

export async function openDoor({ store, nodeKey, operatorKey, name }: Member): Promise<Door> {
  const membership = await loadMembership(store, nodeKey)
  if (membership === null) throw new Error(`${name} is no member`)
  let network: NetworkPort | null = null
  const belonging = createBelonging({
    gate: () => gate,
    network: () => network,
    input: (input) => {
      if (input.kind !== 'charter') return
      const { bytes } = sealer.seal(input.message)
      if (input.to === null) network?.publish(TOPIC, bytes)
      else network?.send(input.to, bytes)
    },
    notice: () => undefined,
  })
  const gate: MembershipGate = await createGate({
    membership,
    store,
    nodeKey,
    operatorKey,
    name,
    wall: () => START,
    onCharterChanged: belonging.onCharterChanged,
    onNotice: () => undefined,
  })
  const sealer = createSealer(createCodec<BootstrapMessage>(bootstrapSchemas), membership.federation, gate, gate)
  const onOpened = ({ message, from }: Opened<BootstrapMessage>): void => {
    if (message.kind === 'charter/news' || message.kind === 'charter/want') belonging.onCharter(message, from)
  }
  network = await createNetwork({
    privateKey: nodeKey.privateKey,
    federation: membership.federation,
    gate,
    tunnels: async () => err({ code: 'no-such-instance', detail: 'a door has no rooms' }),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    events: {
      onMessage: (bytes) => {
        const opened = sealer.open(bytes)
        if (opened.ok) onOpened(opened.value)
      },
      onConnected: belonging.onConnected,
      onDisconnected: belonging.onDisconnected,
      onNotDirect: () => undefined,
      onReachChanged: () => undefined,
      onRoundTrip: () => undefined,
      onNotice: () => undefined,
    },
  })
  const opened = network
  return {
    gate,
    network: opened,
    stop: async () => {
      belonging.stop()
      await opened.stop()
    },
  }
}

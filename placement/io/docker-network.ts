// The network of a node's containers: made when the first of them needs it, kept afterwards (it costs a bridge), and
// never taken from somebody else.

import type Docker from 'dockerode'
import { NODE_LABEL, networkName } from '../docker-options.ts'
import { answerWithin, orNull } from './docker-engine.ts'

/** Makes sure that the node's network is there. Throws when another's has its name, or what the engine says. */
export async function provideNetwork(docker: Docker, nodeId: string): Promise<void> {
  const name = networkName(nodeId)
  const found = await orNull(docker.getNetwork(name).inspect())
  if (found === null) {
    const labels = { [NODE_LABEL]: nodeId }
    await answerWithin(docker.createNetwork({ Name: name, Driver: 'bridge', Labels: labels, CheckDuplicate: true }))
  } else if ((found as Docker.NetworkInspectInfo).Labels?.[NODE_LABEL] !== nodeId) {
    throw new Error(`a network ${name} exists that is not ours: rename or remove it`)
  }
}

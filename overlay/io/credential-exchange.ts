// Envelopes name their signer's credential by hash only; who does not know it asks whoever delivered the envelope.

import type { Connection } from '@libp2p/interface'
import type { NodeId } from '../kernel/ids.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import type { Gate } from './network.ts'
import { CREDENTIAL_BYTES_MAX, CREDENTIAL_HASH_BYTES, CREDENTIAL_PROTOCOL } from './protocols.ts'
import { answerOnStream, askOnStream } from './question.ts'

/** How long a peer may take to say which credential it wants; a guess, far above any round trip. */
const REQUEST_TIMEOUT_MS = 5_000

/** Answers questions for credentials; an empty answer means that it is not known here. */
export async function serveCredentials(node: Libp2pNode, gate: Gate): Promise<void> {
  await node.handle(
    CREDENTIAL_PROTOCOL,
    (stream) =>
      answerOnStream(
        stream,
        { bytesMax: CREDENTIAL_HASH_BYTES, msMax: REQUEST_TIMEOUT_MS },
        (hash) => gate.credentialByHash(hash) ?? new Uint8Array(0),
      ),
    { runOnLimitedConnection: true },
  )
}

/** Asks a peer; resolves to whether a valid credential came and was taken in. Rejects when there is no answer. */
export type AskForCredential = (hash: Uint8Array, from: NodeId, signal: AbortSignal) => Promise<boolean>

/** Many envelopes of one signer may come at once, as to a node that has just joined: they wait for one answer. */
export function credentialAsker(
  gate: Gate,
  connect: (peer: NodeId, signal: AbortSignal) => Promise<Connection>,
): AskForCredential {
  const running = new Map<string, Promise<boolean>>()
  return (hash, from, signal) => {
    const key = `${from} ${hash.join()}`
    const asked = running.get(key)
    if (asked !== undefined) return asked
    const asking = connect(from, signal)
      .then((connection) => askForCredential(connection, hash, gate, signal))
      .finally(() => running.delete(key))
    running.set(key, asking)
    return asking
  }
}

export async function askForCredential(
  connection: Connection,
  hash: Uint8Array,
  gate: Gate,
  signal: AbortSignal,
): Promise<boolean> {
  const asking = { bytesMax: CREDENTIAL_BYTES_MAX, signal, mayRelay: true }
  const credential = await askOnStream(connection, CREDENTIAL_PROTOCOL, hash, asking)
  return credential.length > 0 && (await gate.learnCredential(credential))
}

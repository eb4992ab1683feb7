// Envelopes in a simulated world: the real codec in the real sealer, with a keyed hash for a signature, since a seed
// shall cost milliseconds. Every message is encoded by its sender. One in so many is decoded from those bytes and must
// mean what it meant to who said it; of the others the receivers share what was encoded.

import { isDeepStrictEqual } from 'node:util'

import type { CoreMessage } from '../../node/core/effects.ts'
import { coreCodec } from '../../node/core/messages.ts'
import { invariant } from '../../overlay/kernel/assert.ts'
import type { NodeId } from '../../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import {
  createSealer,
  type Opened,
  type OpenProblem,
  type Sealer,
  type SignerFacts,
  type Verifier,
  type VerifyProblem,
} from '../../overlay/wire/envelope.ts'
import { encodeEnvelope, isSpokenFrame, signedPayload } from '../../overlay/wire/frame.ts'
import { createLatelyOpened } from '../../overlay/wire/lately.ts'
import { hashBytes } from './hash.ts'
import { newerCodec } from './newer.ts'
import { type DeviceFacts, FEDERATION } from './topology.ts'

const CREDENTIAL_HASH_BYTES = 32
const SIGNATURE_BYTES = 8
/** Envelopes that are remembered of each device: its statement, its votes, what it announces. A guess. */
const REMEMBERED_EACH = 64
/** Messages on their way that are known without being decoded; the others are decoded. A guess. */
const SAID_MAX = 4_096
/** Every so many-th envelope and spoken frame that comes is decoded, in worlds of one version. A guess. */
export const DECODED_EVERY = 16

export interface Notary {
  /** The sealer of one device; `onSealed` sees every message that it signs or speaks. */
  sealerOf(device: DeviceFacts, onSealed: (opened: Opened<CoreMessage>) => void): Sealer<CoreMessage>
  /** An envelope of a device around any bytes: what somebody can make who holds that device's key, and nothing more. */
  sealBytes(device: DeviceFacts, body: Uint8Array): Uint8Array
}

export function createNotary(devices: readonly DeviceFacts[]): Notary {
  const byNode = new Map(devices.map((device) => [device.node, device]))
  const opened = new WeakMap<Uint8Array, Result<Opened<CoreMessage>, OpenProblem>>()
  const standing = (from: NodeId, credentialHash: Uint8Array): Result<SignerFacts, VerifyProblem> => {
    const device = byNode.get(from)
    const isKnown = device !== undefined && numberIn(credentialHash) === device.index
    return isKnown ? ok(device.facts) : err('unknown-credential')
  }
  const verifier: Verifier = {
    standing,
    verify: (from, credentialHash, payload, signature) => {
      const signer = standing(from, credentialHash)
      return !signer.ok || isSame(signature, sign(payload, numberIn(credentialHash))) ? signer : err('bad-signature')
    },
  }
  const lately = createLatelyOpened<CoreMessage>(REMEMBERED_EACH * devices.length)
  /** What bytes say, by who laid them out; the oldest goes first. */
  const said = new Map<Uint8Array, CoreMessage>()
  // What a newer device says is more than the others understand: only decoding shows what is left of it.
  const isMixed = devices.some(({ isNewer }) => isNewer)
  let heard = 0
  const isForDecoding = (): boolean => {
    heard += 1
    return heard % DECODED_EVERY === 0
  }
  const remember = (one: Opened<CoreMessage>): void => {
    if (isMixed) return
    said.set(one.bytes, one.message)
    const oldest = said.keys().next().value
    if (said.size > SAID_MAX && oldest !== undefined) said.delete(oldest)
    if (!isSpokenFrame(one.bytes) && !isForDecoding()) opened.set(one.bytes, ok(one))
  }
  return {
    sealBytes: ({ node, index }, body) => {
      const credentialHash = credentialHashOf(index)
      const signature = sign(signedPayload(FEDERATION, node, credentialHash, body), index)
      return encodeEnvelope({ from: node, credentialHash, body, signature })
    },
    sealerOf: (device, onSealed) => {
      const credentialHash = credentialHashOf(device.index)
      const signer = {
        facts: device.facts,
        credentialHash,
        sign: (payload: Uint8Array) => sign(payload, device.index),
      }
      const sealer = createSealer(device.isNewer ? newerCodec : coreCodec, FEDERATION, signer, verifier, lately)
      const openOnce = (bytes: Uint8Array) => {
        const known = opened.get(bytes)
        if (known !== undefined) return known
        const fresh = agreed(sealer.open(bytes), said.get(bytes))
        opened.set(bytes, fresh)
        return fresh
      }
      const hearSpoken = (bytes: Uint8Array, speaker: SignerFacts | null) => {
        const message = said.get(bytes)
        // Spoken to one, who mostly hears it once; what is doubled on the way is decoded.
        said.delete(bytes)
        if (speaker === null) return sealer.hear(bytes, null)
        if (message === undefined || isForDecoding()) return agreed(sealer.hear(bytes, speaker), message)
        return ok({ from: speaker.node, signer: speaker, message, bytes })
      }
      return {
        seal: (message) => {
          const sealed = sealer.seal(message)
          onSealed(sealed)
          remember(sealed)
          return sealed
        },
        open: openOnce,
        speak: (message) => {
          const spoken = sealer.speak(message)
          onSealed(spoken)
          remember(spoken)
          return spoken
        },
        hear: (bytes, speaker) => (isSpokenFrame(bytes) ? hearSpoken(bytes, speaker) : openOnce(bytes)),
      }
    },
  }
}

/** What was decoded, which has to be what was encoded, where that is known. */
function agreed(
  read: Result<Opened<CoreMessage>, OpenProblem>,
  meant: CoreMessage | undefined,
): Result<Opened<CoreMessage>, OpenProblem> {
  if (meant === undefined) return read
  const isSame = read.ok && isDeepStrictEqual(read.value.message, meant)
  invariant(isSame, `${meant.kind} means to its hearer what it meant to who said it`)
  return read
}

/** A simulated credential's hash is the device's number. */
function credentialHashOf(index: number): Uint8Array {
  const hash = new Uint8Array(CREDENTIAL_HASH_BYTES)
  new DataView(hash.buffer).setUint32(0, index)
  return hash
}

const numberIn = (hash: Uint8Array): number => new DataView(hash.buffer, hash.byteOffset, hash.byteLength).getUint32(0)

function sign(payload: Uint8Array, key: number): Uint8Array {
  const { high, low } = hashBytes(payload, key + 1)
  const signature = new Uint8Array(SIGNATURE_BYTES)
  const view = new DataView(signature.buffer)
  view.setUint32(0, high)
  view.setUint32(4, low)
  return signature
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false
  return a.length === b.length
}

// Envelopes in a simulated world: the real codec in the real sealer, with a keyed hash for a signature, since a seed
// shall cost milliseconds. Every message is encoded by its sender and decoded from those bytes; receivers of the same
// bytes share the result.

import type { CoreMessage } from '../../node/core/effects.ts'
import { coreCodec } from '../../node/core/messages.ts'
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
        const fresh = sealer.open(bytes)
        opened.set(bytes, fresh)
        return fresh
      }
      return {
        seal: (message) => {
          const sealed = sealer.seal(message)
          onSealed(sealed)
          return sealed
        },
        open: openOnce,
        speak: (message) => {
          const said = sealer.speak(message)
          onSealed(said)
          return said
        },
        hear: (bytes, speaker) => (isSpokenFrame(bytes) ? sealer.hear(bytes, speaker) : openOnce(bytes)),
      }
    },
  }
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

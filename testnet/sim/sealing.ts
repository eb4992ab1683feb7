// Envelopes in a simulated world: the real codec in the real sealer, with a keyed hash for a signature, since a seed
// shall cost milliseconds. Every message is encoded by its sender and decoded from those bytes; receivers of the same
// bytes share the result.

import type { CoreMessage } from '../../node/core/effects.ts'
import { coreCodec } from '../../node/core/messages.ts'
import type { NodeId } from '../../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import {
  createSealer,
  isSpokenFrame,
  type Opened,
  type OpenProblem,
  type Sealer,
  type Verifier,
} from '../../overlay/wire/envelope.ts'
import { hashBytes } from './hash.ts'
import { newerCodec } from './newer.ts'
import { type DeviceFacts, FEDERATION } from './topology.ts'

const CREDENTIAL_HASH_BYTES = 32
const SIGNATURE_BYTES = 8

export interface Notary {
  /** The sealer of one device; `onSealed` sees every message that it signs or speaks. */
  sealerOf(device: DeviceFacts, onSealed: (opened: Opened<CoreMessage>) => void): Sealer<CoreMessage>
}

export function createNotary(devices: readonly DeviceFacts[]): Notary {
  const byNode = new Map(devices.map((device) => [device.node, device]))
  const opened = new WeakMap<Uint8Array, Result<Opened<CoreMessage>, OpenProblem>>()
  const verifier: Verifier = {
    verify: (from, credentialHash, payload, signature) => {
      const device = byNode.get(from as NodeId)
      if (device === undefined || numberIn(credentialHash) !== device.index) return err('unknown-credential')
      return isSame(signature, sign(payload, device.index)) ? ok(device.facts) : err('bad-signature')
    },
  }
  return {
    sealerOf: (device, onSealed) => {
      const credentialHash = credentialHashOf(device.index)
      const signer = {
        facts: device.facts,
        credentialHash,
        sign: (payload: Uint8Array) => sign(payload, device.index),
      }
      const sealer = createSealer(device.isNewer ? newerCodec : coreCodec, FEDERATION, signer, verifier)
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

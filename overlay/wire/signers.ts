// Who signed what a frame holds, before any of it is believed. An envelope under an unknown credential is opened no
// further, so one by one each of those inside it would only be heard of once the last one was learned; a roster that
// somebody new is told has as many as the cluster has members.

import type { NodeId } from '../kernel/ids.ts'
import { decodeBounded } from './codec.ts'
import { isSpokenFrame, readFrame } from './frame.ts'

/** What is claimed: nothing of it has been checked. */
export interface Claim {
  readonly from: NodeId
  readonly credentialHash: Uint8Array
}

/** The first byte of a CBOR array of five items (RFC 8949, section 3.1), as an envelope is one. */
const ENVELOPE_FIRST_BYTE = 0x85

/** Each credential under which something in a frame is signed, once; down to `depthMax` envelopes deep. */
export function signersIn(frame: Uint8Array, depthMax: number): readonly Claim[] {
  const found = new Map<string, Claim>()
  const readEnvelope = (bytes: Uint8Array, depth: number): void => {
    if (depth > depthMax || bytes[0] !== ENVELOPE_FIRST_BYTE) return
    const raw = decodeBounded(bytes)
    const envelope = raw.ok ? readFrame(raw.value) : null
    if (envelope === null) return
    const { from, credentialHash, body } = envelope
    found.set(`${from} ${credentialHash.join()}`, { from, credentialHash })
    readBody(body, depth)
  }
  const readBody = (body: Uint8Array, depth: number): void => {
    const raw = decodeBounded(body)
    if (raw.ok) readValue(raw.value, depth)
  }
  const readValue = (value: unknown, depth: number): void => {
    if (value instanceof Uint8Array) readEnvelope(value, depth + 1)
    else if (typeof value === 'object' && value !== null) for (const one of Object.values(value)) readValue(one, depth)
  }
  if (isSpokenFrame(frame)) readBody(frame, 0)
  else readEnvelope(frame, 0)
  return [...found.values()]
}

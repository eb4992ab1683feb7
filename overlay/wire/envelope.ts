// The outer frame of every message. A fact is sealed: who says it, under which credential, and the proof, so that it
// is believed for its signature, whoever passes it on. Talk is spoken: the message alone, worth something only to whom
// it is said, over a connection whose other end has proved who it is.

import type { DomainPath, FederationId, NodeId, OperatorId } from '../kernel/ids.ts'
import { err, ok, type Result } from '../kernel/result.ts'
import type { UnixMillis } from '../kernel/time.ts'
import { type AnyMessage, type Codec, type DecodeProblem, decodeBounded, MESSAGE_BYTES_MAX } from './codec.ts'
import { encodeEnvelope, isSpokenFrame, readFrame, signedPayload } from './frame.ts'
import { createLatelyOpened, type LatelyOpened, type Remembered, type Signed } from './lately.ts'
import { signersIn } from './signers.ts'

/** What a verified credential says of the node that signed. */
export interface SignerFacts {
  readonly node: NodeId
  readonly operator: OperatorId
  readonly domain: DomainPath
  /** `work`, `lead`, `relay`, `deploy:<namespace>` (or `deploy:*`), `enrol`. */
  readonly capabilities: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly expiresAt: UnixMillis
}

/**
 * A message whose signature and credential were checked, with the bytes that prove it to others. Of a spoken one, the
 * speaker was checked when it connected, and the bytes prove nothing: `open` refuses them, wherever they stand.
 */
export interface Opened<M extends AnyMessage = AnyMessage> {
  readonly from: NodeId
  readonly signer: SignerFacts
  readonly message: M
  readonly bytes: Uint8Array
}

/** Signs for one node; Ed25519 in a real node. */
export interface Signer {
  readonly facts: SignerFacts
  readonly credentialHash: Uint8Array
  sign(payload: Uint8Array): Uint8Array
}

export type VerifyProblem = 'unknown-credential' | 'revoked' | 'bad-signature'

/** Checks a signature under a credential known by its hash. */
export interface Verifier {
  verify(
    from: NodeId,
    credentialHash: Uint8Array,
    payload: Uint8Array,
    signature: Uint8Array,
  ): Result<SignerFacts, VerifyProblem>
  /**
   * What `verify` says of a signer whose signature was found right before. With it a sealer remembers the envelopes
   * that it opened inside others; without it every signature is checked each time.
   */
  standing?(from: NodeId, credentialHash: Uint8Array): Result<SignerFacts, VerifyProblem>
}

/** Why a spoken message was not believed: its kind counts under a signature only, or nobody knows who spoke. */
export type SpokenProblem = 'unsealed' | 'unknown-speaker'

/**
 * Why a frame was not opened. With `unknown-credential`, `unknown` is what to ask the deliverer for: the hashes of all
 * credentials in the frame that are not known.
 */
export interface OpenProblem {
  readonly kind: DecodeProblem['kind'] | 'too-deep' | SpokenProblem | VerifyProblem
  readonly detail: string
  readonly unknown?: readonly Uint8Array[]
}

/**
 * Envelopes inside envelopes: a leader's announcement holds votes, and a domain's vote holds that domain's
 * announcement.
 */
export const NESTING_DEPTH_MAX = 6

export interface Sealer<M extends AnyMessage> {
  seal(message: M): Opened<M>
  /** Opens an envelope; what was merely spoken is none. */
  open(bytes: Uint8Array): Result<Opened<M>, OpenProblem>
  /** Lays a message out for one peer: as the bare message where the codec says that its kind is spoken, else sealed. */
  speak(message: M): Opened<M>
  /**
   * Takes in what a peer sent over a connection of its own: a spoken message is believed to be the peer's, an envelope
   * its signer's. `speaker` is what the peer proved when it connected; null when it proved nothing.
   */
  hear(bytes: Uint8Array, speaker: SignerFacts | null): Result<Opened<M>, OpenProblem>
}

export function createSealer<M extends AnyMessage>(
  codec: Codec<M>,
  federation: FederationId,
  signer: Signer,
  verifier: Verifier,
  lately: LatelyOpened<M> = createLatelyOpened(),
): Sealer<M> {
  const stands = ({ from, credentialHash, facts }: Signed): boolean => {
    const standing = verifier.standing?.(from, credentialHash)
    return standing?.ok === true && standing.value === facts
  }
  /** Only what comes inside others comes again; and it must fit where it now stands, by those who still count. */
  const recall = (bytes: Uint8Array, depth: number): Remembered<M> | null => {
    const found = depth === 0 ? null : lately.find(bytes)
    return found !== null && depth + found.height <= NESTING_DEPTH_MAX && found.signed.every(stands) ? found : null
  }
  const open = (bytes: Uint8Array, depth: number, outer: Contents | null): Result<Opened<M>, OpenProblem> => {
    if (depth > NESTING_DEPTH_MAX)
      return err({ kind: 'too-deep', detail: `more than ${NESTING_DEPTH_MAX} envelopes deep` })
    const recalled = recall(bytes, depth)
    if (recalled !== null) {
      addTo(outer, recalled)
      return ok(recalled.opened)
    }
    const raw = decodeBounded(bytes)
    if (!raw.ok) return raw
    const frame = readFrame(raw.value)
    if (frame === null) return err({ kind: 'malformed', detail: 'not an envelope' })
    const { from, credentialHash, body, signature } = frame
    const facts = verifier.verify(
      from,
      credentialHash,
      signedPayload(federation, from, credentialHash, body),
      signature,
    )
    if (!facts.ok) return err({ kind: facts.error, detail: `signed by ${from}`, unknown: [credentialHash] })
    const contents: Contents = { signed: [{ from, credentialHash, facts: facts.value }], height: 0 }
    const message = decodeWith(body, depth, contents)
    if (!message.ok) return message
    const opened = { from, signer: facts.value, message: message.value, bytes }
    addTo(outer, contents)
    if (depth > 0) lately.remember({ opened, ...contents })
    return ok(opened)
  }
  const decodeWith = (body: Uint8Array, depth: number, contents: Contents | null): Result<M, OpenProblem> => {
    let nestedProblem: OpenProblem | null = null
    const openNested = (inner: Uint8Array, innerDepth: number): Result<Opened<M>, string> => {
      const opened = open(inner, innerDepth, contents)
      if (opened.ok) return opened
      nestedProblem = opened.error
      return err(opened.error.kind)
    }
    const message = codec.decode(body, openNested, depth)
    return message.ok ? message : err(nestedProblem ?? message.error)
  }
  const seal = (message: M): Opened<M> => {
    const from = signer.facts.node
    const body = codec.encode(message)
    const signature = signer.sign(signedPayload(federation, from, signer.credentialHash, body))
    const bytes = encodeEnvelope({ from, credentialHash: signer.credentialHash, body, signature })
    return { from, signer: signer.facts, message, bytes }
  }
  const hearSpoken = (bytes: Uint8Array, speaker: SignerFacts | null): Result<Opened<M>, OpenProblem> => {
    if (speaker === null) return err({ kind: 'unknown-speaker', detail: 'no hello of the peer that spoke is known' })
    const read = decodeWith(bytes, 0, null)
    if (!read.ok) return read
    const message = read.value
    if (!codec.isSpoken(message.kind))
      return err({ kind: 'unsealed', detail: `${message.kind} came without signature` })
    return ok({ from: speaker.node, signer: speaker, message, bytes })
  }
  /** Where one credential is missing, others in the same frame may be as well. */
  const withAllUnknown = (bytes: Uint8Array, opened: Result<Opened<M>, OpenProblem>): typeof opened => {
    if (opened.ok || opened.error.kind !== 'unknown-credential' || verifier.standing === undefined) return opened
    const unknown = signersIn(bytes, NESTING_DEPTH_MAX)
      .filter(({ from, credentialHash }) => isUnknown(verifier.standing?.(from, credentialHash)))
      .map(({ credentialHash }) => credentialHash)
    return err({ ...opened.error, unknown })
  }
  const openWhole = (bytes: Uint8Array) => withAllUnknown(bytes, open(bytes, 0, null))
  return {
    seal,
    open: openWhole,
    speak: (message) => {
      if (!codec.isSpoken(message.kind)) return seal(message)
      return { from: signer.facts.node, signer: signer.facts, message, bytes: codec.encode(message) }
    },
    hear: (bytes, speaker) =>
      isSpokenFrame(bytes) ? withAllUnknown(bytes, hearSpoken(bytes, speaker)) : openWhole(bytes),
  }
}

const isUnknown = (standing: Result<SignerFacts, VerifyProblem> | undefined): boolean =>
  standing?.ok === false && standing.error === 'unknown-credential'

/** What an envelope holds, as it is gathered while it is opened (lately.ts). */
interface Contents {
  readonly signed: Signed[]
  height: number
}

function addTo(outer: Contents | null, inner: Pick<Remembered<AnyMessage>, 'signed' | 'height'>): void {
  if (outer === null) return
  outer.signed.push(...inner.signed)
  outer.height = Math.max(outer.height, inner.height + 1)
}

/** Whether a message may leave: the bound that its receivers enforce. */
export const fitsTheWire = (said: Opened): boolean => said.bytes.length <= MESSAGE_BYTES_MAX

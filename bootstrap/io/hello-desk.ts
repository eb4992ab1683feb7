// Hello: what a node shows on each connection, and what it thinks of what others show. Two that hold different charters
// first tell each other what is new, then each judges the other by what it holds itself.

import type { NodeId } from '../../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import type { SignerFacts } from '../../overlay/wire/envelope.ts'
import type { CharterProblem } from '../charter-authority.ts'
import { packPieces, unpackEntries } from '../charter-file.ts'
import { admitAtHello, type CredentialProblem } from '../credential.ts'
import { type Hello, helloFrame, PIECE_BYTES_MAX } from '../messages.ts'
import type { CharterKeeper } from './charter-keeper.ts'
import type { CredentialDirectory } from './credential-directory.ts'
import { type HeldCredential, openCredential } from './credential-signer.ts'

export interface HelloDesk {
  ownHello(): Uint8Array
  /** What the peer lacks, in pieces; null when both hold the same, which both see from these two hellos. */
  piecesFor(ownHello: Uint8Array, theirs: Uint8Array): readonly Uint8Array[] | null
  /** Takes in what the peer says that this node lacks; an error ends the hello. */
  takePiece(peer: NodeId, piece: Uint8Array): Promise<Result<null, CredentialProblem>>
  checkHello(
    peer: NodeId,
    hello: Uint8Array,
  ): Promise<Result<{ readonly facts: SignerFacts; readonly name: string }, CredentialProblem>>
}

export interface HelloDeskOptions {
  readonly keeper: CharterKeeper
  readonly directory: CredentialDirectory
  readonly own: () => HeldCredential
  readonly name: string
  /** Not before what the credential's operator vouched for. */
  readonly wallFor: (credential: HeldCredential) => UnixMillis
  readonly onNotice: (code: string, detail: string) => void
}

export function createHelloDesk(options: HelloDeskOptions): HelloDesk {
  const { keeper, directory, own, name } = options

  function piecesFor(ownHello: Uint8Array, theirs: Uint8Array): readonly Uint8Array[] | null {
    const [mine, hello] = [helloFrame.decode(ownHello), helloFrame.decode(theirs)]
    if (!mine.ok || !hello.ok || mine.value.federation !== hello.value.federation) return null
    if (Buffer.from(mine.value.digest).equals(hello.value.digest)) return null
    return packPieces(keeper.lackedBy(hello.value.shown), PIECE_BYTES_MAX)
  }

  async function checkHello(
    peer: NodeId,
    encoded: Uint8Array,
  ): Promise<Result<{ readonly facts: SignerFacts; readonly name: string }, CredentialProblem>> {
    const hello = helloFrame.decode(encoded)
    if (!hello.ok) return err({ code: 'stranger', detail: `not a hello: ${hello.error}` })
    const { view } = keeper.current()
    if (hello.value.federation !== view.federation) {
      return err({ code: 'other-federation', detail: `${peer} belongs to another federation` })
    }
    const credential = await openCredential(hello.value.credential, view)
    return credential.ok ? await admit(peer, credential.value, hello.value) : credential
  }

  async function admit(
    peer: NodeId,
    credential: HeldCredential,
    hello: Hello,
  ): Promise<Result<{ readonly facts: SignerFacts; readonly name: string }, CredentialProblem>> {
    const { facts, bearer, hashHex } = credential
    const wall = options.wallFor(credential)
    const circumstances = { peer, bearer, wall, metBefore: directory.isMet(hashHex) }
    // Read again: the charter may have grown while the signature was checked.
    const admitted = admitAtHello(facts, keeper.current().view, circumstances)
    if (!admitted.ok) return admitted
    await directory.add(credential, true)
    return ok({ facts, name: hello.name })
  }

  return {
    ownHello: () => {
      const { shown, digest } = keeper.shown()
      const { federation, operators } = keeper.current().view
      // Who shakes hands may be another operator's: what a device is called its own cluster's roster says.
      const said = operators.length > 1 ? '' : name
      return helloFrame.encode({ kind: 'hello', federation, credential: own().text, name: said, shown, digest })
    },
    piecesFor,
    takePiece: async (peer, piece) => {
      const entries = unpackEntries(piece)
      if (!entries.ok) return err({ code: 'forged', detail: `what ${peer} shows of the charter: ${entries.error}` })
      const { problems } = await keeper.take(entries.value)
      for (const problem of problems) {
        options.onNotice('charter-refused', `an entry that ${peer} showed was not taken in: ${problem.detail}`)
      }
      const forged = problems.find((problem) => !isForgiven(problem))
      if (forged === undefined) return ok(null)
      return err({ code: 'forged', detail: `the charter that ${peer} shows is not valid: ${forged.detail}` })
    },
    checkHello,
  }
}

/** A newer version may know more kinds of entries, and ours may be full: its bearer is a member all the same. */
export const isForgiven = ({ kind }: CharterProblem): boolean => kind === 'unknown-kind' || kind === 'too-large'

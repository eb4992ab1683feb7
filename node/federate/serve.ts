// What a device does for its operator that takes its devices into another federation: it says who is in its cluster,
// keeps what it will need, and begins when it is told. It believes its operator's signature, and nobody's word.

import type { Duplex } from 'node:stream'
import type { CharterView } from '../../bootstrap/index.ts'
import {
  type Membership,
  type Named,
  namedSchema,
  openPassage,
  PASSAGE_BYTES_MAX,
  PASSAGE_KEY,
} from '../../bootstrap/index.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import type { TunnelHeader, TunnelRefusal } from '../../overlay/tunnel.ts'
import type { SignerFacts } from '../../overlay/wire/envelope.ts'
import { dictionary, flag, type Infer, list, object, readWith, text } from '../../overlay/wire/schema.ts'
import type { CoreView } from '../core/core-view.ts'
import type { Disk } from '../io/disk.ts'
import { oneMessage, taking } from '../owner-proof.ts'
import { nameOf } from '../view.ts'
import { beginCrossing } from './crossing.ts'

export type FederateHeader = Extract<TunnelHeader, { readonly kind: 'federate' }>

/** A node's id, a name, a path. */
const ID_CHARS_MAX = 255

const rowSchema = object({
  node: text(ID_CHARS_MAX),
  name: text(ID_CHARS_MAX),
  domain: text(ID_CHARS_MAX),
  isHere: flag,
  capabilities: list(text(ID_CHARS_MAX)),
  labels: dictionary(text()),
  addresses: list(text()),
})
/** A device of the operator's, as its cluster knows it. */
export type MemberRow = Infer<typeof rowSchema>

const membersSchema = object({ members: list(rowSchema), names: list(namedSchema) })
export type MembersAnswer = Infer<typeof membersSchema>

/** Reads what a device says of its cluster; null for what is no such answer. */
export function readMembers(answer: Uint8Array): MembersAnswer | null {
  try {
    const raw: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(answer))
    const read = readWith(membersSchema, raw, () => err('no envelope belongs here'))
    return read.ok ? read.value : null
  } catch {
    return null
  }
}

export interface CrossingPorts {
  readonly view: CoreView
  readonly disk: Disk
  readonly membership: Membership
  readonly charter: () => CharterView
  readonly names: () => readonly Named[]
  readonly wall: () => number
  /** The node is to end here and to start again. */
  readonly leave: () => void
}

export interface Crossing {
  readonly serve: (facts: SignerFacts, header: FederateHeader) => Result<Duplex, TunnelRefusal>
  members(): MembersAnswer
  /** Keeps what this device will need; null when it did, else why not. */
  take(passage: Uint8Array): Promise<string | null>
  begin(): Promise<boolean>
}

/** Who is in this node's cluster and of its operator. */
export const membersHere = (view: CoreView): readonly MemberRow[] =>
  [...view.roster().values()]
    .filter(({ facts, state }) => facts.operator === view.self.operator && state !== 'left')
    .map(({ node, facts, state }) => ({
      node,
      name: nameOf(view, node) ?? node,
      domain: facts.domain,
      // One that is doubted may take what it needs all the same, and nothing changes if it does not.
      isHere: state === 'alive' || state === 'suspect',
      capabilities: facts.capabilities,
      labels: facts.labels,
      addresses: view.addressesOf(node),
    }))

export function createCrossing(ports: CrossingPorts): Crossing {
  const { view, disk, membership, charter, wall } = ports
  let isBegun = false

  const take = async (passage: Uint8Array): Promise<string | null> => {
    const opened = await openPassage(passage, { membership, charter: charter(), wall: wall() })
    if (!opened.ok) return opened.error
    await disk.put(PASSAGE_KEY, passage, { sync: true })
    return null
  }

  const begin = async (): Promise<boolean> => {
    if (isBegun) return true
    const packed = await disk.get(PASSAGE_KEY)
    const opened = packed === null ? null : await openPassage(packed, { membership, charter: charter(), wall: wall() })
    if (opened === null || !opened.ok) return false
    isBegun = true
    await beginCrossing(disk, view, opened.value.orderedAt, wall())
    ports.leave()
    return true
  }

  const members = (): MembersAnswer => ({ members: membersHere(view), names: ports.names() })

  return {
    take,
    begin,
    members,
    serve: (facts, { step }) => {
      if (facts.operator !== view.self.operator) {
        return err({ code: 'not-allowed', detail: 'that is between a device and its operator' })
      }
      if (step === 'members') return ok(oneMessage(JSON.stringify(members())))
      if (step === 'take') return ok(taking(PASSAGE_BYTES_MAX, async (passage) => (await take(passage)) === null))
      return ok(taking(1, begin))
    },
  }
}

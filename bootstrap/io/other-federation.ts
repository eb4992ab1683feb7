// The asking side before two federations become one: what the other one is, whether our names are free there, and a
// credential there for each of our devices. Nothing is changed anywhere by asking.

import type { NodeId } from '../../overlay/kernel/ids.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import { type Charter, type CharterView, entriesOf, extend } from '../charter.ts'
import { draftEntry, REVOKED_PER_ENTRY_MAX, signEntry } from '../charter-entry.ts'
import { packEntries } from '../charter-file.ts'
import { draftClaims } from '../credential.ts'
import { BootstrapError } from '../errors.ts'
import type { Invite } from '../invite.ts'
import { inQuestions, type Named } from '../names.ts'
import { type Survey, surveyAnswerFrame, surveyFrame, surveyPart } from '../survey.ts'
import { openCharter } from './charter-keeper.ts'
import { issueCredential } from './credential-signer.ts'
import { nodeCrypto } from './crypto.ts'
import type { Grant } from './enroller.ts'
import type { OperatorKey } from './key-file.ts'

export interface OtherFederation {
  readonly charter: Charter
  /** Of our names, those that mean something else there. */
  readonly taken: readonly Named[]
}

/**
 * Asks a device of the invite; `exchange` carries each question there. Rejects with BootstrapError `join-refused`,
 * `bad-join-answer`, and as `exchange` does.
 */
export async function askOther(
  invite: Invite,
  asker: NodeId,
  operatorKey: OperatorKey,
  names: readonly Named[],
  exchange: (request: Uint8Array) => Promise<Uint8Array>,
): Promise<OtherFederation> {
  const taken: Named[] = []
  let charter: Charter | null = null
  for (const question of inQuestions(names)) {
    const { inviteId, secret, federation } = invite
    const unsigned = { kind: 'survey', inviteId, secret, operator: operatorKey.operator, names: question } as const
    const survey: Survey = { ...unsigned, signature: operatorKey.sign(surveyPart(unsigned, asker, federation)) }
    const answer = surveyAnswerFrame.decode(await exchange(surveyFrame.encode(survey)))
    if (!answer.ok) throw badAnswer(`it cannot be read (${answer.error})`)
    if (answer.value.kind === 'refused') throw refused(answer.value.code, answer.value.detail)
    const opened = openCharter(answer.value.charter)
    if (!opened.ok) throw badAnswer(`its charter is not valid (${opened.error.detail})`)
    if (opened.value.view.federation !== federation) throw badAnswer('its charter is not that of the invite')
    charter = opened.value
    taken.push(...answer.value.taken)
  }
  if (charter?.view.operators.some(({ key }) => key === operatorKey.operator) !== true) {
    throw badAnswer('its charter does not name this operator')
  }
  return { charter, taken }
}

/** The charter there, and in it what this operator put out here: whoever was put out comes in by no back door. */
export function withRevocations(
  there: Charter,
  here: CharterView,
  operatorKey: OperatorKey,
  wall: UnixMillis,
): { readonly charter: Charter; readonly packed: Uint8Array } {
  const operator = there.view.operators.find(({ key }) => key === operatorKey.operator)
  const out = [...here.revokedNodes.keys()].filter((node) => !there.view.revokedNodes.has(node))
  let charter = there
  while (operator !== undefined && out.length > 0) {
    const nodes = out.splice(0, REVOKED_PER_ENTRY_MAX)
    const reason = 'revoked in the federation that joined this one'
    const body = { operator: operator.id, nodes, credentials: [], reason, at: Math.floor(wall) }
    const draft = draftEntry(charter.view.length, charter.view.head, { kind: 'revoke', body })
    charter = extend(charter, [signEntry(draft, [operatorKey])], nodeCrypto).charter
  }
  return { charter, packed: packEntries(entriesOf(charter)) }
}

/** A credential there, for what a device is here. */
export const credentialThere = (
  node: NodeId,
  name: string,
  grant: Grant,
  { view }: Charter,
  operatorKey: OperatorKey,
  wall: UnixMillis,
): string => {
  const claims = draftClaims({ sub: node, federation: view.federation, name, ...grant }, wall)
  return issueCredential({ ...claims, iss: operatorKey.operator }, operatorKey, view).text
}

const badAnswer = (why: string): BootstrapError =>
  new BootstrapError(
    'bad-join-answer',
    `the other federation’s answer was not believed: ${why}`,
    'Nothing was changed.',
  )

function refused(code: string, detail: string): BootstrapError {
  const hint =
    code === 'operator-not-admitted'
      ? 'Only federations of one operator become one. Admit this operator there first: `coppice operator request`.'
      : 'Ask for a new invite there: `coppice invite`.'
  return new BootstrapError('join-refused', `the other federation refused (${code}): ${detail}`, hint, code)
}

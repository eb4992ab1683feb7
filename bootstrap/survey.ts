// The question before two federations become one: an operator that belongs to both asks a device of the other, which it
// has an invite of, whether its names are free there. The answer brings the other's charter. It tells what somebody's
// services are called, so it is only given for that operator's signature.

import type { FederationId, NodeId, OperatorId } from '../overlay/kernel/ids.ts'
import { ok } from '../overlay/kernel/result.ts'
import { encodeCbor, plainOf } from '../overlay/wire/codec.ts'
import { bytes, type Infer, literal, object, text, union } from '../overlay/wire/schema.ts'
import { type Crypto, operatorPublicKey } from './charter-entry.ts'
import { INVITE_ID_BYTES, INVITE_SECRET_BYTES } from './invite.ts'
import { type FrameCodec, frameCodec, refusedSchema, splitCharter, withCharter } from './messages.ts'
import { namesSchema } from './names.ts'

const SIGNATURE_BYTES = 64
/** A relation: the names at their most, and 1 KiB for the rest; less than a request may have (REQUEST_BYTES_MAX). */
export const SURVEY_BYTES_MAX = 16_384

const surveySchema = object({
  kind: literal('survey'),
  inviteId: bytes(INVITE_ID_BYTES),
  secret: bytes(INVITE_SECRET_BYTES),
  /** The key that signs. */
  operator: text<OperatorId>(64),
  names: namesSchema,
  signature: bytes(SIGNATURE_BYTES),
})
export type Survey = Infer<typeof surveySchema>

export const surveyFrame = frameCodec<Survey>(surveySchema, SURVEY_BYTES_MAX)

/** What is signed: the question, who asks it, and whom; so nobody else can ask it, nor of another federation. */
export const surveyPart = (survey: Omit<Survey, 'signature'>, asker: NodeId, federation: FederationId): Uint8Array =>
  encodeCbor([
    'coppice/survey/1',
    federation,
    asker,
    survey.inviteId,
    survey.operator,
    plainOf(namesSchema, survey.names),
  ])

/** Whether whoever has the operator's key lets this node ask. */
export function isSigned(survey: Survey, asker: NodeId, federation: FederationId, crypto: Crypto): boolean {
  const key = operatorPublicKey(survey.operator)
  return key !== null && crypto.verify(key, surveyPart(survey, asker, federation), survey.signature)
}

/** Of the names asked about, those that mean something else here. */
const surveyedSchema = object({ kind: literal('surveyed'), taken: namesSchema })
type AnswerHead = Infer<typeof surveyedSchema> | Infer<typeof refusedSchema>
const answerHead = frameCodec<AnswerHead>(
  union<AnswerHead>({ surveyed: surveyedSchema, refused: refusedSchema }),
  SURVEY_BYTES_MAX,
)

export type SurveyAnswer =
  | (Infer<typeof surveyedSchema> & { readonly charter: Uint8Array })
  | Infer<typeof refusedSchema>

export const surveyAnswerFrame: FrameCodec<SurveyAnswer> = {
  encode: (answer) =>
    withCharter(answerHead.encode(answer), answer.kind === 'surveyed' ? answer.charter : new Uint8Array(0)),
  decode: (frame) => {
    const parts = splitCharter(frame)
    if (!parts.ok) return parts
    const head = answerHead.decode(parts.value.head)
    if (!head.ok) return head
    return ok(head.value.kind === 'surveyed' ? { ...head.value, charter: parts.value.charter } : head.value)
  },
}

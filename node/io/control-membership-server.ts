// The routes of the control API about who belongs.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import * as z from 'zod'
import type { MembershipControl } from '../control-membership.ts'
import { CHARTER_FILE_CHARS_MAX, INVITE_TTL_MS_MAX, INVITE_USES_MAX, THRESHOLD_WORDS } from './control-limits.ts'
import { readRequest } from './control-schema.ts'

const NAME_CHARS_MAX = 255
/** bootstrap/line.ts */
const LINE_CHARS_MAX = 8_192
/** bootstrap/charter-entry.ts */
const REASON_CHARS_MAX = 200

const name = z.string().min(1).max(NAME_CHARS_MAX)
const domain = z.string().min(1).max(256).nullable().default(null)

const schemas = {
  invite: z.strictObject({
    domain,
    uses: z.int().min(1).max(INVITE_USES_MAX).default(1),
    ttlMs: z.int().min(1_000).max(INVITE_TTL_MS_MAX).default(3_600_000),
    node: name.nullable().default(null),
    isEnrolling: z.boolean().default(false),
  }),
  revocation: z.strictObject({ node: name, isCredentialOnly: z.boolean().default(false) }),
  file: z.strictObject({ file: z.string().min(1).max(CHARTER_FILE_CHARS_MAX) }),
  request: z.strictObject({ request: z.string().min(1).max(LINE_CHARS_MAX) }),
  removal: z.strictObject({ who: name, reason: z.string().max(REASON_CHARS_MAX).default('') }),
  signature: z.strictObject({ entry: z.string().max(64).default('') }),
  threshold: z.strictObject({ threshold: z.enum(THRESHOLD_WORDS) }),
  rotation: z.strictObject({ isLost: z.boolean().default(false) }),
  device: z.strictObject({ name, domain }),
  federation: z.strictObject({
    invite: z.string().min(1).max(LINE_CHARS_MAX),
    isCheck: z.boolean().default(false),
    isAllowed: z.boolean().default(false),
  }),
} as const

export function addMembership(app: FastifyInstance, control: MembershipControl): void {
  app.get('/v1/invites', () => control.invites())
  app.post('/v1/invites', async ({ body }) => ({ invite: await control.invite(readRequest(schemas.invite, body)) }))
  app.delete('/v1/invites/:id', (request) => control.takeBackInvite(idOf(request)))
  app.post('/v1/revocations', ({ body }) => {
    const { node, isCredentialOnly } = readRequest(schemas.revocation, body)
    return control.revoke(node, isCredentialOnly)
  })
  app.get('/v1/charter', () => control.charterLog())
  app.get('/v1/charter/file', () => ({ file: control.charterFile() }))
  app.post('/v1/charter', ({ body }) => control.takeCharter(readRequest(schemas.file, body).file))
  app.post('/v1/charter/signatures', ({ body }) => control.signCharter(readRequest(schemas.signature, body).entry))
  app.post('/v1/charter/threshold', ({ body }) => control.setThreshold(readRequest(schemas.threshold, body).threshold))
  app.post('/v1/operators', ({ body }) => control.admitOperator(readRequest(schemas.request, body).request))
  app.post('/v1/operators/removals', ({ body }) => {
    const { who, reason } = readRequest(schemas.removal, body)
    return control.removeOperator(who, reason)
  })
  app.post('/v1/operators/rotations', ({ body }) => control.rotateOperator(readRequest(schemas.rotation, body).isLost))
  app.post('/v1/federation', ({ body }) => control.federate(readRequest(schemas.federation, body)))
  app.post('/v1/devices', async ({ body }) => ({ prepared: await control.prepare(readRequest(schemas.device, body)) }))
}

const idOf = (request: FastifyRequest): string => (request.params as { readonly id: string }).id

// What the control API accepts, field by field; anything else is refused with a sentence that names the field.

import * as z from 'zod'
import { POLICY_STATEMENT_BYTES_MAX } from '../../bootstrap/policy-statement.ts'
import { PASSWORD_CHARS_MAX, REGISTRY_CHARS_MAX, USERNAME_CHARS_MAX } from '../../placement/registry-login.ts'
import { INSTANCE_NUMBER_MAX } from '../../services-registry/record.ts'
import { CoppiceError } from '../errors.ts'
import { DESCRIPTOR_BYTES_MAX, LOG_LINES_MAX, LOG_SINCE_MS_MAX, REPLICAS_MAX } from './control-limits.ts'

const SERVICE_LENGTH_MAX = 255
const ADDRESS_LENGTH_MAX = 300
/** bootstrap/recovery-order.ts */
const ORDER_LENGTH_MAX = 2_048

/** node/secrets.ts: 64,000 bytes in base64. */
const SECRET_LENGTH_MAX = 86_000

const service = z.string().min(1).max(SERVICE_LENGTH_MAX)
const node = z.string().min(1).max(SERVICE_LENGTH_MAX)
const domain = z.string().min(1).max(256)
/** Queries carry text only. */
const flagText = z.enum(['true', 'false']).transform((text) => text === 'true')
const wholeText = (max: number) =>
  z.string().regex(/^\d+$/, 'expected a whole number').transform(Number).pipe(z.number().max(max))

export const requestSchemas = {
  deploy: z.strictObject({
    descriptor: z.string().min(1).max(DESCRIPTOR_BYTES_MAX),
    domain: domain.nullable().default(null),
  }),
  scale: z.strictObject({ replicas: z.int().min(0).max(REPLICAS_MAX) }),
  services: z.strictObject({
    id: z.union([z.array(service).max(REPLICAS_MAX), service.transform((id) => [id])]).default([]),
  }),
  migrate: z.strictObject({
    number: z.int().min(0).max(INSTANCE_NUMBER_MAX).nullable().default(null),
    to: z.string().min(1).max(512).nullable().default(null),
  }),
  intake: z.strictObject({ node, set: z.enum(['open', 'cordoned', 'draining']).nullable().default(null) }),
  resolve: z.strictObject({ address: z.string().min(1).max(ADDRESS_LENGTH_MAX) }),
  node: z.strictObject({ node }),
  policy: z.strictObject({ text: z.string().min(1).max(POLICY_STATEMENT_BYTES_MAX) }),
  audit: z.strictObject({ service: service.optional() }),
  secret: z.strictObject({ name: z.string().min(1).max(255), value: z.base64().max(SECRET_LENGTH_MAX) }),
  explanation: z.strictObject({ service, node }),
  recoveryOrder: z.strictObject({ domain }),
  recovery: z.strictObject({ domain, order: z.string().min(1).max(ORDER_LENGTH_MAX).nullable().default(null) }),
  registryLogin: z.strictObject({
    registry: z
      .string()
      .min(1)
      .max(2 * REGISTRY_CHARS_MAX),
    username: z.string().min(1).max(USERNAME_CHARS_MAX),
    password: z.string().min(1).max(PASSWORD_CHARS_MAX),
  }),
  logs: z.strictObject({
    service,
    number: wholeText(REPLICAS_MAX).optional(),
    follow: flagText.default(false),
    tail: wholeText(LOG_LINES_MAX).optional(),
    sinceMs: wholeText(LOG_SINCE_MS_MAX).optional(),
  }),
  exec: z.strictObject({ service, number: wholeText(REPLICAS_MAX).optional() }),
  forward: z.strictObject({
    address: z.string().min(1).max(ADDRESS_LENGTH_MAX),
    localPort: z.int().min(0).max(65_535).default(0),
    protocol: z.enum(['tcp', 'udp']).default('tcp'),
  }),
} as const

/** Reads a body or a query; throws the caller's problem with every field that is wrong. */
export function readRequest<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const read = schema.safeParse(value ?? {})
  if (read.success) return read.data
  const problems = read.error.issues.map((issue) => `${issue.path.join('.') || 'the request'}: ${issue.message}`)
  throw new CoppiceError('bad-request', problems.join('; '), 'Correct the named fields and send the request again.')
}

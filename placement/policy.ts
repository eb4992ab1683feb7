// What an operator lets others do on its devices, and itself: a file that it writes, in the shape that stands here and
// nowhere else (`coppice policy schema` prints it). What is not said is decided by the defaults, which let the
// operator's own work do everything and the work of others little.

import * as z from 'zod'
import type { OperatorId } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import { compileGlob } from './pattern.ts'

/** Characters of a policy as text; it travels whole in one message. */
export const POLICY_CHARS_MAX = 24_000
/** Rules, and entries of each list in them. Guesses: an operator has a handful of partners. */
export const POLICY_RULES_MAX = 64
const LIST_MAX = 64
const PATTERN_LENGTH_MAX = 128

const DAYS: readonly string[] = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']
const HOURS = /^(?:(mon|tue|wed|thu|fri|sat|sun)(?:-(mon|tue|wed|thu|fri|sat|sun))? )?(\d\d):(\d\d)-(\d\d):(\d\d)$/
const OFFSET = /^[+-](?:0\d|1[0-4]):[0-5]\d$/

const patterns = (about: string) =>
  z.array(z.string().min(1).max(PATTERN_LENGTH_MAX)).max(LIST_MAX).describe(`${about}; \`*\` stands for anything`)
const instant = (about: string) =>
  z
    .string()
    .refine((text) => Number.isFinite(Date.parse(text)), 'expected a time as 2026-12-01T06:00:00Z')
    .describe(about)
const hours = z.string().refine(isHours, 'expected hours as "18:00-06:00" or "mon-fri 18:00-06:00"')
const share = z.number().min(0).max(1)

/** What of a device may be taken, all instances under one rule together. Of share and amount the lesser counts. */
const limitSchema = z.strictObject({
  cpu_share: share.optional().describe('Share of all cores, 0 to 1'),
  memory_share: share.optional().describe('Share of what the device gives away of its memory, 0 to 1'),
  disk_share: share.optional().describe('Share of the free disk, 0 to 1'),
  vcpus: z.number().min(0).max(1e5).optional().describe('Cores'),
  memory_mb: z.number().min(0).max(1e9).optional().describe('MB (10^6 bytes)'),
  disk_mb: z.number().min(0).max(1e12).optional().describe('MB (10^6 bytes)'),
  instances: z.int().min(0).max(100_000).optional().describe('Instances at one time'),
})

const MAY = ['see', 'reach', 'logs', 'exec'] as const
/** What people of another operator may do with services of this one on its devices: nothing unless it is said. */
export type Deed = (typeof MAY)[number]

const grantFields = {
  place: z.boolean().optional().describe('Whether anything may be placed at all'),
  images: patterns('Images that may run').optional(),
  runtimes: patterns('Runtimes that may be used').optional(),
  privileged: z.boolean().optional().describe('Whether containers may be privileged'),
  host_paths: patterns('Folders of the device that may be mounted').optional(),
  devices: patterns('Device files that may be used').optional(),
  limit: limitSchema.optional().describe('How much of a device may be taken'),
  hours: z.array(hours).max(LIST_MAX).optional().describe('When work may run, in the time of `utc_offset`'),
  mains_power: z.boolean().optional().describe('Only while the device runs on mains power'),
  may: z
    .array(z.enum(MAY))
    .max(MAY.length)
    .optional()
    .describe('What may be done with services of this operator; each also lets see them'),
}
const grantSchema = z.strictObject(grantFields)

const ruleSchema = z.strictObject({
  operators: patterns('Operators that it holds for, by id or name').optional(),
  namespaces: patterns('Namespaces that it holds for: of the application and of the service').optional(),
  ...grantFields,
})

const lockSchema = z.strictObject({
  namespaces: patterns('Namespaces whose services are not changed').optional(),
  services: patterns('Services that are not changed').optional(),
  until: instant('When the lock ends by itself'),
  reason: z.string().max(200).optional(),
})

export const policySchema = z.strictObject({
  own: grantSchema.optional().describe("For the operator's own work, where no rule says otherwise"),
  others: grantSchema.optional().describe("For other operators' work, where no rule says otherwise"),
  rules: z.array(ruleSchema).max(POLICY_RULES_MAX).optional().describe('The first that holds decides'),
  namespaces: patterns('Namespaces that this operator keeps to itself on its devices').optional(),
  locks: z.array(lockSchema).max(POLICY_RULES_MAX).optional().describe('What runs stays as it is until then'),
  hold: z
    .strictObject({ until: instant('When the hold ends by itself').optional(), reason: z.string().max(200).optional() })
    .optional()
    .describe('Nothing new is taken, by nobody'),
  utc_offset: z
    .string()
    .regex(OFFSET, 'expected an offset as +01:00')
    .optional()
    .describe('Of `hours`; default +00:00'),
})

/** As the file has it. */
export type PolicyFile = z.infer<typeof policySchema>
export type Grant = z.infer<typeof grantSchema>

export interface PolicyProblem {
  readonly field: string
  readonly problem: string
}

/** What other operators' work may do where their host says nothing (DESIGN section 4). */
export const OTHERS_DEFAULT: Grant = {
  place: true,
  runtimes: ['docker'],
  privileged: false,
  host_paths: [],
  devices: [],
  limit: { cpu_share: 0.5, memory_share: 0.5, disk_share: 0.5 },
}

/** An operator's own work: everything. */
export const OWN_DEFAULT: Grant = { place: true, privileged: true, host_paths: ['*'], devices: ['*'] }

export const NO_POLICY: PolicyFile = {}

/** Reads a policy; the problems name the fields. */
export function readPolicy(text: string): Result<PolicyFile, readonly PolicyProblem[]> {
  if (text.length > POLICY_CHARS_MAX) {
    return err([{ field: '', problem: `a policy has at most ${POLICY_CHARS_MAX} characters` }])
  }
  try {
    return checkPolicy(JSON.parse(text))
  } catch (problem) {
    if (!(problem instanceof SyntaxError)) throw problem
    return err([{ field: '', problem: `not JSON: ${problem.message}` }])
  }
}

function checkPolicy(raw: unknown): Result<PolicyFile, readonly PolicyProblem[]> {
  const read = policySchema.safeParse(raw)
  if (read.success) return ok(read.data)
  return err(read.error.issues.map(({ path, message }) => ({ field: path.join('.'), problem: message })))
}

/** The JSON Schema of a policy file. */
export const policyJsonSchema = (): unknown => z.toJSONSchema(policySchema, { io: 'input', unrepresentable: 'any' })

export interface Hours {
  /** 0 is Monday. */
  readonly days: readonly number[]
  /** Minutes of the day; where `to` is not after `from` it lies in the next day. */
  readonly from: number
  readonly to: number
}

function isHours(text: string): boolean {
  const match = HOURS.exec(text)
  if (match === null) return false
  const [, , , fromHour, fromMinute, toHour, toMinute] = match.map(Number)
  const isTime = (hour = 99, minute = 99): boolean => minute < 60 && (hour < 24 || (hour === 24 && minute === 0))
  return isTime(fromHour, fromMinute) && isTime(toHour, toMinute)
}

/** Reads hours that the schema let pass. */
export function hoursOf(text: string): Hours {
  const [, first, last, ...times] = HOURS.exec(text) ?? []
  const [fromHour = 0, fromMinute = 0, toHour = 0, toMinute = 0] = times.map(Number)
  const begin = DAYS.indexOf(first ?? '')
  const end = last === undefined ? begin : DAYS.indexOf(last)
  const span = begin < 0 ? 7 : ((end - begin + 7) % 7) + 1
  const days = Array.from({ length: span }, (_, index) => (Math.max(0, begin) + index) % 7)
  return { days, from: fromHour * 60 + fromMinute, to: toHour * 60 + toMinute }
}

/** Whether any of the patterns stands for a word; no list stands for all. */
export const anyMatches = (list: readonly string[] | undefined, word: string): boolean =>
  list === undefined || list.some((pattern) => compileGlob(pattern)(word))

/** The policy with ids where it says the names of operators: workers know operators by their keys alone. */
export function withOperatorIds(
  file: PolicyFile,
  operators: readonly { readonly id: OperatorId; readonly name: string }[],
): PolicyFile {
  const idsOf = (word: string): readonly string[] => {
    const named = operators.filter(({ name }) => anyMatches([word], name)).map(({ id }) => id)
    return named.length > 0 ? named : [word]
  }
  if (file.rules === undefined) return file
  const rules = file.rules.map((rule) =>
    rule.operators === undefined ? rule : { ...rule, operators: rule.operators.flatMap(idsOf) },
  )
  return { ...file, rules }
}

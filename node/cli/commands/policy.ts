// `coppice policy`: what the operator of this device lets others do on its devices.

import { policyJsonSchema, readPolicy } from '../../../placement/policy.ts'
import type { PolicyExplanation, PolicyView } from '../../control.ts'
import { CoppiceError } from '../../errors.ts'
import { AnswerIsNo, type CliContext } from '../context.ts'
import { readDescriptor } from './descriptor-file.ts'

export async function check(context: CliContext, file: string): Promise<void> {
  const read = readPolicy(await readDescriptor(file, 'a policy'))
  const errors = read.ok ? [] : read.error
  context.answer({ valid: read.ok, errors }, () =>
    read.ok
      ? `${file} is a valid policy`
      : errors.map(({ field, problem }) => `${field === '' ? file : field}: ${problem}`).join('\n'),
  )
  if (!read.ok) throw new AnswerIsNo()
}

export async function set(context: CliContext, file: string): Promise<void> {
  const kept = await (await context.client()).setPolicy(await readDescriptor(file, 'a policy'))
  context.answer(
    kept,
    ({ version }) => `version ${version} of the policy holds here, and goes to the operator's devices`,
  )
}

export async function show(context: CliContext, words: { readonly signed?: boolean }): Promise<void> {
  const view = await (await context.client()).policy()
  if (words.signed && view.statement === null) {
    throw new CoppiceError('no-policy', 'no policy was ever set', '`coppice policy set FILE` sets one.')
  }
  context.answer(view, () => (words.signed ? (view.statement ?? '') : described(view)))
}

function described({ version, at, policy }: PolicyView): string {
  if (version === 0) return 'no policy was set: other operators may run unprivileged containers on half of a device'
  return `version ${version}, signed ${at}\n${JSON.stringify(policy, null, 2)}`
}

export async function explain(context: CliContext, service: string, node: string): Promise<void> {
  const found = await (await context.client()).explainPolicy(service, node)
  context.answer(found, sentence)
}

function sentence({ service, node, name, allowed, rule, reason }: PolicyExplanation): string {
  const where = name ?? node
  if (allowed === null) return `${where} is another operator's: nothing that it tells is against ${service}`
  const by = rule === null ? '' : ` (${rule})`
  return allowed ? `${service} may run on ${where}${by}` : `${service} may not run on ${where}${by}: ${reason}`
}

export function schema(context: CliContext): void {
  const found = policyJsonSchema()
  context.answer(found, () => JSON.stringify(found, null, 2))
}

// `coppice validate`: checks a descriptor on the spot, with the code that the node uses, and needs no node.

import type { parseDescriptor } from '../../../placement/descriptor.ts'
import { AnswerIsNo, type CliContext } from '../context.ts'
import { clean } from '../render.ts'
import { readDescriptor, renderError, renderFinding, surroundingsOf } from './descriptor-file.ts'

type Checked = Omit<ReturnType<typeof parseDescriptor>, 'settled'>

export async function validate(context: CliContext, file: string): Promise<void> {
  const descriptor = await readDescriptor(file)
  const { parseDescriptor } = await import('../../../placement/descriptor.ts')
  const { settled: _, ...checked } = parseDescriptor(descriptor, await surroundingsOf(file, descriptor))
  context.answer(checked, renderChecked)
  if (!checked.valid) throw new AnswerIsNo()
}

function renderChecked(checked: Checked): string {
  const errors = checked.errors.map((error) => `error    ${renderError(error)}`)
  const warnings = checked.warnings.map((warning) => `warning  ${renderFinding(warning)}`)
  const names = checked.services.map(
    (service) => `${service.app}.${service.appNamespace}.${service.name}.${service.namespace}`,
  )
  const verdict = checked.valid ? `valid: ${names.join(', ')}` : `not valid: ${checked.errors.length} to correct`
  return [...errors, ...warnings, verdict].map(clean).join('\n')
}

// `coppice validate`: checks a descriptor on the spot, with the code that the node uses, and needs no node.

import type { parseDescriptor } from '../../../placement/descriptor.ts'
import { AnswerIsNo, type CliContext } from '../context.ts'
import { clean } from '../render.ts'
import { readDescriptor } from './descriptor-file.ts'

type Checked = ReturnType<typeof parseDescriptor>

export async function validate(context: CliContext, file: string): Promise<void> {
  const descriptor = await readDescriptor(file)
  const { parseDescriptor } = await import('../../../placement/descriptor.ts')
  const checked = parseDescriptor(descriptor)
  context.answer(checked, renderChecked)
  if (!checked.valid) throw new AnswerIsNo()
}

function renderChecked(checked: Checked): string {
  const errors = checked.errors.map((error) => `error    ${error.field}: ${error.problem}; expected ${error.expected}`)
  const warnings = checked.warnings.map((warning) => `warning  ${warning.field}: ${warning.problem}`)
  const names = checked.services.map(
    (service) => `${service.app}.${service.appNamespace}.${service.name}.${service.namespace}`,
  )
  const verdict = checked.valid ? `valid: ${names.join(', ')}` : `not valid: ${checked.errors.length} to correct`
  return [...errors, ...warnings, verdict].map(clean).join('\n')
}

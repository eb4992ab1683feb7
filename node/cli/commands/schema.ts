// `coppice schema`: prints the JSON Schema of a descriptor, for editors and checkers. Needs no node.

import type { CliContext } from '../context.ts'

export async function schema(context: CliContext): Promise<void> {
  const { descriptorSchema } = await import('../../../placement/descriptor-tables.ts')
  context.answer(descriptorSchema(), (found) => JSON.stringify(found, null, 2))
}

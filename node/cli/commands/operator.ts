// `coppice operator init`: makes the key that a federation is founded and invites are signed with; needs no node.

import { join } from 'node:path'
import { BootstrapError } from '../../../bootstrap/errors.ts'
import { createOperatorKey, OPERATOR_KEY_FILE } from '../../../bootstrap/io/key-file.ts'
import { CoppiceError } from '../../errors.ts'
import type { CliContext } from '../context.ts'

export async function initOperator(context: CliContext, name: string): Promise<void> {
  const file = join(context.dataDir, OPERATOR_KEY_FILE)
  try {
    const key = await createOperatorKey(file, name)
    context.answer(
      { operator: key.operator, name: key.name, file },
      () =>
        `${key.name} is ${key.operator}\nThe key is in ${file}: keep a copy in a safe place, nobody can make it again.`,
    )
  } catch (problem) {
    if (problem instanceof BootstrapError) throw new CoppiceError(problem.code, problem.message, problem.hint)
    throw problem
  }
}

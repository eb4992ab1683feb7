// Where a descriptor comes from: a file, or standard input when its name is `-`.

import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { CoppiceError } from '../../errors.ts'

export async function readDescriptor(file: string): Promise<string> {
  if (file === '-') return text(process.stdin)
  try {
    return await readFile(file, 'utf8')
  } catch (problem) {
    const { code } = problem as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : String(problem)
    throw new CoppiceError(
      'unreadable-file',
      `cannot read ${file}: ${why}`,
      'Name a service descriptor, or - for standard input.',
    )
  }
}

// Where a descriptor comes from: a file, or standard input when its name is `-`; and, for a Compose file, what stands
// around it: the variables of the shell, `.env` and the environment files that it names.

import { readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Surroundings } from '../../../placement/compose-settle.ts'
import type { FieldError, FieldWarning } from '../../../placement/descriptor-report.ts'
import { CoppiceError } from '../../errors.ts'

export async function readDescriptor(file: string, what = 'a service descriptor'): Promise<string> {
  if (file === '-') return text(process.stdin)
  try {
    return await readFile(file, 'utf8')
  } catch (problem) {
    const { code } = problem as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : String(problem)
    throw new CoppiceError('unreadable-file', `cannot read ${file}: ${why}`, `Name ${what}, or - for standard input.`)
  }
}

/** What a Compose file does not say itself; a file that cannot be read is missing, and its reader says so. */
export async function surroundingsOf(file: string, descriptor: string): Promise<Surroundings> {
  const { environmentFilesOf } = await import('../../../placement/descriptor.ts')
  if (environmentFilesOf(descriptor, {}) === null) return { folder: null, variables: {}, files: new Map() }
  const folder = resolve(file === '-' ? '.' : dirname(file))
  const variables = { ...(await dotEnvironment(folder)), ...shellVariables() }
  const files = new Map<string, string>()
  for (const name of new Set(environmentFilesOf(descriptor, variables) ?? [])) {
    const found = await textOf(resolve(folder, name))
    if (found !== null) files.set(name, found)
  }
  return { folder, variables, files }
}

async function dotEnvironment(folder: string): Promise<Readonly<Record<string, string>>> {
  const file = join(folder, '.env')
  const found = await textOf(file)
  if (found === null) return {}
  const { readEnvironmentFile } = await import('../../../placement/compose-variables.ts')
  const errors: FieldError[] = []
  const variables = readEnvironmentFile({ errors, warnings: [] }, found, shellVariables(), file)
  if (errors.length === 0) return variables
  throw new CoppiceError('invalid-descriptor', errors.map(renderError).join('\n'), 'Correct the file, or move it away.')
}

const shellVariables = (): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )

const textOf = (file: string): Promise<string | null> => readFile(file, 'utf8').catch(() => null)

/** `$.services.web.ports[0] (line 12): what is wrong`. */
export const renderFinding = ({ field, line, problem }: FieldWarning): string =>
  `${field}${line === undefined ? '' : ` (line ${line})`}: ${problem}`

export const renderError = (error: FieldError): string => `${renderFinding(error)}; expected ${error.expected}`

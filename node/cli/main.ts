// The command line: runs one command and returns its exit code. 0 done, 1 refused or failed, 2 wrong usage.

import { CommanderError } from 'commander'
import { CoppiceError, type ErrorView, errorView } from '../errors.ts'
import { AnswerIsNo, ProgramEnded } from './context.ts'
import { createProgram } from './program.ts'
import { explainSystemError } from './system-error.ts'

const DONE = 0
const FAILED = 1
const WRONG_USAGE = 2

export async function main(words: readonly string[]): Promise<number> {
  process.stdout.on('error', endQuietly)
  process.stderr.on('error', endQuietly)
  const json = asksForJson(words)
  try {
    await createProgram({ json }).parseAsync(words, { from: 'user' })
    return DONE
  } catch (problem) {
    return report(problem, json)
  }
}

/** A reader that has seen enough (`coppice ps | head`) is no failure. */
function endQuietly(problem: NodeJS.ErrnoException): void {
  if (problem.code !== 'EPIPE') throw problem
  process.exit(DONE)
}

/** Read from the words themselves, since they may be the ones that do not parse. */
function asksForJson(words: readonly string[]): boolean {
  const end = words.indexOf('--')
  return (end === -1 ? words : words.slice(0, end)).includes('--json')
}

function report(problem: unknown, json: boolean): number {
  if (problem instanceof AnswerIsNo) return FAILED
  if (problem instanceof ProgramEnded) return problem.code
  if (problem instanceof CommanderError) return reportUsage(problem, json)
  const explained = explainSystemError(problem)
  print(errorView(explained), json)
  if (!(explained instanceof CoppiceError) && !json) console.error(problem)
  return FAILED
}

/** Help that was asked for is done; help that is shown for want of a command is not. */
function reportUsage(problem: CommanderError, json: boolean): number {
  if (problem.exitCode === 0) return DONE
  if (problem.code === 'commander.help' && !json) return WRONG_USAGE
  const message = problem.code === 'commander.help' ? 'a command is missing' : problem.message.replace(/^error: /, '')
  print({ error: { code: 'usage', message, hint: 'See `coppice --help`.' } }, json)
  return WRONG_USAGE
}

function print({ error }: ErrorView, json: boolean): void {
  const text = json
    ? JSON.stringify({ error })
    : `coppice: ${error.message}${error.hint === '' ? '' : `\n${error.hint}`}`
  process.stderr.write(`${text}\n`)
}

// A program beside a process instance, on paper: how it joins the instance's control groups, and how it gets a
// terminal from `script`, which Node cannot make.

import type { TerminalSize } from './runtime.ts'

/** Joins the control groups, then becomes the program. */
const JOIN = `while [ "$1" != -- ]; do echo $$ > "$1" || :; shift; done 2>/dev/null
shift
exec "$@"`

/** The arguments of `/bin/sh` that run a command in control groups. */
export const companionArguments = (groupFiles: readonly string[], command: readonly string[]): readonly string[] => [
  '-c',
  JOIN,
  'coppice-exec',
  ...groupFiles,
  '--',
  ...command,
]

/**
 * The arguments of `script` that run a command on a new terminal of that size and end with its exit code. Inside, the
 * shell first says on descriptor 3 which terminal it is, so that it can be resized later.
 */
export const terminalArguments = (command: readonly string[], { columns, rows }: TerminalSize): readonly string[] => [
  '--quiet',
  '--return',
  '--flush',
  '--command',
  `tty >&3; exec 3>&-; stty columns ${columns} rows ${rows}; exec ${command.map(quoted).join(' ')}`,
  '/dev/null',
]

/** A word that a shell reads as it is. */
const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`

/** The variables in `/proc/<pid>/environ` (proc(5)). */
export function parseEnvironment(text: string): Record<string, string> {
  const environment: Record<string, string> = {}
  for (const entry of text.split('\0')) {
    const equals = entry.indexOf('=')
    if (equals > 0) environment[entry.slice(0, equals)] = entry.slice(equals + 1)
  }
  return environment
}

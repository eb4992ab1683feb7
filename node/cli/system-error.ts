// What the operating system refused, as a sentence with a remedy. Whatever is not in the table stays what it was.

import { CoppiceError } from '../errors.ts'

const REMEDIES: Readonly<Record<string, readonly [code: string, what: string, hint: string]>> = {
  ENOSPC: ['disk-full', 'the disk is full', 'Make room and try again; nothing that was promised is lost.'],
  EDQUOT: [
    'disk-full',
    'the quota on this disk is used up',
    'Make room and try again; nothing that was promised is lost.',
  ],
  EROFS: ['read-only', 'the disk is read-only', 'Choose a folder that can be written to with --data.'],
  EACCES: ['not-allowed', 'access was denied', 'Run as the user who owns the folder, or choose another with --data.'],
  EPERM: ['not-allowed', 'access was denied', 'Run as the user who owns the folder, or choose another with --data.'],
  ENOTDIR: ['not-a-folder', 'a part of the path is not a folder', 'Choose another folder with --data.'],
  EADDRINUSE: ['port-in-use', 'the port is in use', 'Choose another port, or stop who uses it.'],
  EADDRNOTAVAIL: ['no-such-address', 'this device has no such address', 'Choose another with --listen.'],
  EMFILE: ['too-many-files', 'too many files are open', 'Raise the limit (ulimit -n) and try again.'],
}

/**
 * The problem as CoppiceError when the operating system is behind it, at whatever depth of causes; else the problem
 * itself.
 */
export function explainSystemError(problem: unknown): unknown {
  if (problem instanceof CoppiceError) return problem
  for (let cause = problem; cause instanceof Error; cause = cause.cause) {
    const remedy = REMEDIES[(cause as NodeJS.ErrnoException).code ?? '']
    if (remedy !== undefined) return new CoppiceError(remedy[0], `${remedy[1]} (${cause.message})`, remedy[2])
  }
  return problem
}

// Somebody else's work on this machine: what makes real processes late.

import { type ChildProcess, spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'

/** One process per core that counts for ever, at the priority of the nodes; returns how to end them. */
export function keepBusy(): () => void {
  const loops: readonly ChildProcess[] = Array.from({ length: availableParallelism() }, () =>
    spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }),
  )
  return () => {
    for (const loop of loops) loop.kill('SIGKILL')
  }
}

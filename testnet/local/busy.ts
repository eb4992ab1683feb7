// Somebody else's work on this machine: what makes real processes late.

import { type ChildProcess, spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'

/** Counts until whoever started it is gone, however that ended; asked for once in some ms. */
const COUNT = `const parent = process.ppid
for (let count = 1; count % 1e7 !== 0 || process.ppid === parent; count++);`

/** One process per core that counts, at the priority of the nodes; returns how to end them. */
export function keepBusy(): () => void {
  const loops: readonly ChildProcess[] = Array.from({ length: availableParallelism() }, () =>
    spawn(process.execPath, ['-e', COUNT], { stdio: 'ignore' }),
  )
  return () => {
    for (const loop of loops) loop.kill('SIGKILL')
  }
}

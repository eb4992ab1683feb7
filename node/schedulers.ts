// Which scheduler ranks places in the domains that this node leads: one of this version by name, or the user's own
// module. A node starts whatever becomes of that module; a device in the field has nobody to correct it.

import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { bestFit, ldp, type SchedulerPlugin, spread } from '../placement/index.ts'
import { createSchedulerThread } from '../placement/io/scheduler-thread.ts'
import { userScheduler } from '../placement/user-scheduler.ts'

const BUILT_IN: ReadonlyMap<string, SchedulerPlugin> = new Map(
  [bestFit, spread, ldp].map((plugin) => [plugin.name, plugin]),
)

export interface LoadedScheduler {
  readonly plugin: SchedulerPlugin
  close(): Promise<void>
}

/** `onFailure` is told, once, when a user's module cannot be relied on and the default takes its place. */
export async function loadScheduler(
  word: string | undefined,
  onFailure: (problem: string) => void,
): Promise<LoadedScheduler> {
  const builtIn = BUILT_IN.get(word ?? bestFit.name)
  if (builtIn !== undefined || word === undefined) {
    return { plugin: builtIn ?? bestFit, close: () => Promise.resolve() }
  }
  const thread = createSchedulerThread(pathToFileURL(resolve(word)).href)
  await thread.loaded
  const problem = thread.problem()
  if (problem !== null) onFailure(`the scheduler ${word} ${problem}; ${bestFit.name} takes its place`)
  const plugin = problem === null ? userScheduler(word, thread, bestFit, onFailure) : bestFit
  return { plugin, close: () => thread.close() }
}

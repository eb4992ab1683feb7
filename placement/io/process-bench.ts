// What the tests of the process driver share: a driver on a folder of its own.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Launch, RuntimeDriver } from '../runtime.ts'
import { createListener, type Listener } from './driver-bench.ts'
import { createProcessRuntime, type ProcessRuntimeOptions } from './process-runtime.ts'

/** Of this test process alone: a driver ends whatever bears the mark of its node and instance, others' too. */
const NODE_ID = `node-under-test-${process.pid}`
export const shell = (script: string): Partial<Launch['spec']> => ({ command: ['sh', '-c', script] })

export interface Bench extends Listener {
  readonly driver: RuntimeDriver
  readonly dataDir: string
  readonly warnings: string[]
}

/**
 * A driver on a folder, its own or that of another bench; the owner ends what still runs there when the test is over.
 */
export async function bench(t: TestContext, parts: Partial<ProcessRuntimeOptions> = {}): Promise<Bench> {
  const dataDir = parts.dataDir ?? (await mkdtemp(join(tmpdir(), 'coppice-')))
  const listener = createListener()
  const warnings: string[] = []
  const create = (onEvent: Listener['onEvent']): RuntimeDriver =>
    createProcessRuntime({ nodeId: NODE_ID, onWarning: (text) => warnings.push(text), ...parts, dataDir, onEvent })
  const driver = create(listener.onEvent)
  t.after(async () => {
    await driver.close()
    if (parts.dataDir !== undefined) return
    const ended = createListener()
    const cleaner = create(ended.onEvent)
    for (const { key } of await cleaner.list()) {
      cleaner.stop(key, 0)
      await ended.next('exited')
    }
    await rm(dataDir, { recursive: true })
  })
  return { ...listener, driver, dataDir, warnings }
}

// The size of a terminal in a container, of which the engine is told by requests that may overtake each other.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createResizer } from './docker-exec.ts'

test('the engine is told of one size at a time, and of the last one last', async () => {
  const asked: string[] = []
  const answers: (() => void)[] = []
  const resize = createResizer({
    resize: ({ h, w }: { readonly h: number; readonly w: number }) => {
      asked.push(`${h} ${w}`)
      return new Promise<void>((resolve) => answers.push(resolve))
    },
  } as Parameters<typeof createResizer>[0])
  resize({ rows: 31, columns: 91 })
  resize({ rows: 35, columns: 95 })
  resize({ rows: 41, columns: 101 })
  await nextTurn()
  assert.deepEqual(asked, ['31 91'])
  answers.shift()?.()
  await nextTurn()
  assert.deepEqual(asked, ['31 91', '41 101'])
})

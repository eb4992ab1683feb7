// Which scheduler a word stands for, and that a node starts whatever the user's module is like.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadScheduler } from './schedulers.ts'

async function loaded(word: string | undefined) {
  const problems: string[] = []
  const { plugin, close } = await loadScheduler(word, (problem) => problems.push(problem))
  await close()
  return { name: plugin.name, problems }
}

test('the default, and those of this version by name', async () => {
  assert.deepEqual(await loaded(undefined), { name: 'best-fit', problems: [] })
  assert.deepEqual(await loaded('spread'), { name: 'spread', problems: [] })
})

test('a module that is not there is said at once, and the default takes its place', async () => {
  const { name, problems } = await loaded('./not-there.ts')
  assert.equal(name, 'best-fit')
  assert.match(problems.join(), /not-there\.ts cannot be loaded/)
})

// The list of images that a node brought, in its folder.

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseKeptImages } from '../image-keeping.ts'
import { createImageKeeper } from './image-keeper.ts'

test('many uses at the same time are all noted, and none fails', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'image-keeper-'))
  t.after(() => rm(dataDir, { recursive: true, force: true }))
  const keeper = createImageKeeper({ dataDir, onWarning: assert.fail })
  const names = Array.from({ length: 20 }, (_, index) => `image-${index}:1`)
  await Promise.all(names.map((name) => keeper.used(name, true)))
  await Promise.all(names.map(() => keeper.used('image-0:1', false)))
  const noted = parseKeptImages(await readFile(join(dataDir, 'images.json'), 'utf8'))
  assert.deepEqual(noted.map(({ reference }) => reference).sort(), names.sort())
})

// Which images may go, and in what order.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isEnough, isShort, parseKeptImages, removable, withUse } from './image-keeping.ts'

test('the longest unused go first, a new use comes last, and the one that is needed stays', () => {
  let images = withUse([], 'a:1', 10)
  images = withUse(images, 'b:1', 20)
  images = withUse(images, 'c:1', 30)
  images = withUse(images, 'a:1', 40)
  assert.deepEqual(
    removable(images, 'c:1').map(({ reference }) => reference),
    ['b:1', 'a:1'],
  )
})

test('a tenth of the disk is too little room, and a fifth is enough', () => {
  assert.deepEqual(
    [9, 10].map((free) => isShort({ free, total: 100 })),
    [true, false],
  )
  assert.deepEqual(
    [19, 20].map((free) => isEnough({ free, total: 100 })),
    [false, true],
  )
})

test('the list is read back, and nonsense is an empty one', () => {
  const images = withUse([], 'a:1', 10)
  assert.deepEqual(parseKeptImages(JSON.stringify(images)), images)
  for (const text of ['', '{}', '[1,null,{}]', '[']) assert.deepEqual(parseKeptImages(text), [])
})

// Once for the same object, whatever it comes to.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { oncePerObject } from './memo.ts'

test('the same object is looked at once, another one that is equal anew', () => {
  let looks = 0
  const isEven = oncePerObject(({ number }: { readonly number: number }): boolean | undefined => {
    looks += 1
    return number % 2 === 0 ? true : undefined
  })
  const [two, three] = [{ number: 2 }, { number: 3 }]
  assert.deepEqual([two, three, two, three].map(isEven), [true, undefined, true, undefined])
  assert.equal(looks, 2)
  assert.equal(isEven({ number: 2 }), true)
  assert.equal(looks, 3)
})

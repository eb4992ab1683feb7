// Windows: never more on the way than was granted, no sender that waits for ever, wide for the fast and small for the
// deaf.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  closeWindow,
  GROWTH_BYTES_MAX,
  onRead,
  openWindow,
  type Purse,
  WINDOW_BYTES_MAX,
  WINDOW_BYTES_MIN,
} from './line-window.ts'

const purse = (bytes = GROWTH_BYTES_MAX): Purse => ({ bytes })

test('what may be on the way is the window, and whoever read everything leaves no sender waiting', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(300_000), { minLength: 1, maxLength: 80 }), (reads) => {
      const shared = purse()
      let window = openWindow()
      let credit = WINDOW_BYTES_MIN
      for (const wish of reads) {
        // The sender uses up its credit; of what came, the reader takes some.
        const onTheWay = window.bytes - window.read
        assert.ok(onTheWay >= 0 && credit === onTheWay)
        const bytes = Math.min(wish, onTheWay)
        const change = onRead(window, bytes, bytes === onTheWay, shared)
        window = change.window
        credit = credit - bytes + change.credit
        assert.ok(window.bytes <= WINDOW_BYTES_MAX)
        assert.ok(credit > 0)
      }
      closeWindow(window, shared)
      assert.equal(shared.bytes, GROWTH_BYTES_MAX)
    }),
  )
})

test('a reader that keeps up gets the widest window after five doublings', () => {
  const shared = purse()
  let window = openWindow()
  for (let turn = 0; turn < 5; turn++) window = onRead(window, window.bytes, true, shared).window
  assert.equal(window.bytes, WINDOW_BYTES_MAX)
})

test('a reader that lags behind keeps the window that it has', () => {
  const { window, credit } = onRead(openWindow(), WINDOW_BYTES_MIN / 2, false, purse())
  assert.equal(window.bytes, WINDOW_BYTES_MIN)
  assert.equal(credit, WINDOW_BYTES_MIN / 2)
})

test('when the purse is empty no window grows, and all go on', () => {
  const { window, credit } = onRead(openWindow(), WINDOW_BYTES_MIN, true, purse(0))
  assert.deepEqual([window.bytes, credit], [WINDOW_BYTES_MIN, WINDOW_BYTES_MIN])
})

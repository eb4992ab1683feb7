// The quick hashes: even, sensitive, and combined without order.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BUCKETS } from './constants.ts'
import {
  bucketOf,
  differingBuckets,
  digestBytes,
  emptyDigest,
  hashBytes,
  hashName,
  hashText,
  isDeletionMark,
  markOf,
  packRows,
  toggle,
  unpackHashes,
  unpackRows,
} from './digest.ts'

test('hashes of similar texts differ and spread evenly over the buckets', () => {
  const names = new Set<string>()
  const counts = new Array<number>(BUCKETS).fill(0)
  for (let number = 0; number < 20_000; number++) {
    const hash = hashText(`instance/shop.prod.web.prod#${number}/node`)
    names.add(hashName(hash))
    counts[bucketOf(hash)] = (counts[bucketOf(hash)] ?? 0) + 1
  }
  assert.equal(names.size, 20_000)
  const mean = 20_000 / BUCKETS
  assert.ok(Math.max(...counts) < mean * 1.3 && Math.min(...counts) > mean * 0.7)
})

test('a changed byte changes the hash', () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 200 })
  fc.assert(
    fc.property(bytes, fc.nat(), fc.integer({ min: 1, max: 255 }), (original, at, change) => {
      const changed = original.slice()
      const index = at % changed.length
      changed[index] = (changed[index] ?? 0) ^ change
      assert.notEqual(hashName(hashBytes(original)), hashName(hashBytes(changed)))
    }),
    { seed: 6 },
  )
})

test('the digest does not depend on order, and what is taken out leaves no trace', () => {
  const entry = fc.record({ bucket: fc.nat(BUCKETS - 1), text: fc.string() })
  fc.assert(
    fc.property(fc.uniqueArray(entry, { selector: ({ text }) => text, maxLength: 30 }), (entries) => {
      const [forwards, backwards] = [emptyDigest(), emptyDigest()]
      for (const { bucket, text } of entries) toggle(forwards, bucket, hashText(text))
      for (const { bucket, text } of entries.toReversed()) toggle(backwards, bucket, hashText(text))
      assert.deepEqual(digestBytes(forwards), digestBytes(backwards))
      const changed = new Set(entries.map(({ bucket }) => bucket))
      assert.deepEqual(new Set(differingBuckets(emptyDigest(), digestBytes(forwards))), changed)
      for (const { bucket, text } of entries) toggle(forwards, bucket, hashText(text))
      assert.deepEqual(differingBuckets(emptyDigest(), digestBytes(forwards)), [])
    }),
    { seed: 7 },
  )
})

test('a mark says whether it is a deletion, and rows are read back as they were written', () => {
  const bytes = new Uint8Array([1, 2, 3])
  assert.equal(isDeletionMark(markOf(bytes, true)), true)
  assert.equal(isDeletionMark(markOf(bytes, false)), false)
  const rows = [
    { key: hashText('a'), mark: markOf(bytes, true) },
    { key: hashText('b'), mark: markOf(bytes, false) },
  ]
  assert.deepEqual(unpackRows(packRows(rows)), rows)
})

test('bytes of any length are read without harm', () => {
  assert.equal(differingBuckets(emptyDigest(), new Uint8Array(3)).length, BUCKETS)
  assert.deepEqual(unpackHashes(new Uint8Array(7)), [])
  assert.equal(unpackRows(new Uint8Array(40)).length, 2)
})

// Chains of layers: what two images have in common is what they have from the lowest layer on.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chainsOf, layersAmong } from './docker-layers.ts'

const [A, B, C] = ['a', 'b', 'c'].map((letter) => `sha256:${letter.repeat(64)}`) as [string, string, string]
const marksOf = (...chains: readonly string[]): Uint8Array =>
  Buffer.from(chains.map((chain) => chain.slice(7, 23)).join(''), 'hex')

test('the chain of the lowest layer is its own digest, the next is the digest of both', () => {
  // printf '%s %s' sha256:aa… sha256:bb… | sha256sum
  assert.deepEqual(chainsOf([A, B]), [A, 'sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c'])
  assert.deepEqual(chainsOf([]), [])
})

test('layers count from the lowest, and only on the same ones below', () => {
  const [, ab = '', abc = ''] = chainsOf([A, B, C])
  assert.equal(layersAmong([A, B, C], marksOf(A)), 1)
  assert.equal(layersAmong([A, B, C], marksOf(ab)), 2)
  assert.equal(layersAmong([A, B, C], marksOf(A, abc)), 3)
  assert.equal(layersAmong([B, C], marksOf(A, ab, abc)), 0)
  assert.equal(layersAmong([A, B], new Uint8Array()), 0)
  assert.equal(layersAmong([], marksOf(A)), 0)
})

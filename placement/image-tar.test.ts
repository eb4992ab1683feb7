// Images from peers, cut anywhere, and archives that must not reach the engine.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createImageCheck } from './image-tar.ts'

const DIGEST = 'ab'.repeat(32)
const ID = `sha256:${DIGEST}`

function entry(name: string, content: string, kind = '0'): Buffer {
  const header = Buffer.alloc(512)
  header.write(name, 0)
  header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124)
  header.write(kind, 156)
  const body = Buffer.alloc(Math.ceil(content.length / 512) * 512)
  body.write(content)
  return Buffer.concat([header, body])
}

const manifest = (parts: object = {}): Buffer =>
  entry(
    'manifest.json',
    JSON.stringify([{ Config: `${DIGEST}.json`, RepoTags: null, Layers: ['x/layer.tar'], ...parts }]),
  )
const layer = entry('x/layer.tar', 'y'.repeat(1_500))
const END = Buffer.alloc(1_024)

function verdict(entries: readonly Buffer[], cut = 97): string {
  const archive = Buffer.concat(entries)
  const check = createImageCheck(ID)
  for (let at = 0; at < archive.length; at += cut) {
    const looked = check.take(archive.subarray(at, at + cut))
    if (!looked.ok) return looked.error
  }
  const ended = check.end()
  return ended.ok ? 'ok' : ended.error
}

test('the image that was promised goes through, whatever way it is cut', () => {
  for (const cut of [1, 97, 512, 513, 100_000]) assert.equal(verdict([layer, manifest(), END], cut), 'ok')
  assert.equal(
    verdict([manifest({ Config: `blobs/sha256/${DIGEST}`, RepoTags: [] }), entry('index.json', '{}'), END]),
    'ok',
  )
  assert.equal(verdict([entry('pax', '20 mtime=1.5\n', 'x'), layer, manifest(), END]), 'ok')
})

test('an archive that brings names, another image, or hides an entry is stopped', () => {
  assert.equal(verdict([manifest({ RepoTags: ['busybox:latest'] })]), 'it brings names for images')
  assert.equal(verdict([entry('repositories', '{}')]), 'it brings names for images')
  assert.equal(verdict([entry('./repositories', '{}')]), 'it brings names for images')
  const named = '{"annotations":{"io.containerd.image.name":"busybox"}}'
  assert.equal(verdict([entry('index.json', named)]), 'it brings names for images')
  assert.equal(verdict([manifest({ Config: `${'cd'.repeat(32)}.json` })]), 'it is another image than was promised')
  assert.equal(verdict([entry('manifest.json', '[]')]), 'it holds another number of images than one')
  assert.equal(verdict([entry('pax', '22 path=repositories\n', 'x')]), 'an entry has a further name')
  assert.equal(verdict([entry('long', 'repositories', 'L')]), 'an entry has a further name')
})

test('an archive that is cut off, or is none, is not taken for whole', () => {
  assert.equal(verdict([layer, END]), 'it is cut off')
  assert.equal(verdict([layer, manifest().subarray(0, 600)]), 'it is cut off')
  assert.equal(verdict([Buffer.from('x'.repeat(600))]), 'an entry has no readable size')
})

// Where added files may come from and go to, and whether a real tar reads what we pack.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { readAddedFile, TAR_END, tarHeader, tarPadding } from './added-files.ts'

const read = (url: string, path: string) => {
  const source = readAddedFile({ url, path })
  return source.ok ? source.value : source.error
}

test('an address with a digest in its fragment is read, and the path is taken apart', () => {
  const digest = 'AB'.repeat(32)
  assert.deepEqual(read(`https://files.example/a?x=1#sha256=${digest}`, '/etc//app/./conf.json'), {
    url: 'https://files.example/a?x=1',
    sha256: digest.toLowerCase(),
    parts: ['etc', 'app', 'conf.json'],
  })
  assert.deepEqual(read('http://files.example/a', 'a'), { url: 'http://files.example/a', sha256: null, parts: ['a'] })
})

test('what is no web address, a digest that is none, and a path that leads out are refused', () => {
  for (const path of ['../a', '/a/../../b', '/', '', 'a/', 'a\0b', '..']) {
    assert.match(String(read('http://files.example/a', path)), /cannot be added at/)
  }
  for (const url of ['file:///etc/passwd', 'ftp://x/y', 'nonsense'])
    assert.match(String(read(url, 'a')), /http or https/)
  assert.match(String(read('http://files.example/a#sha256=12', 'a')), /no sha256 of 64 digits/)
})

test('a real tar reads what is packed, also behind a long path', () => {
  const parts = ['folder', 'x'.repeat(90), 'y'.repeat(60), 'file']
  const content = Buffer.from('good day\n')
  const header = tarHeader(parts, content.length)
  assert.ok(header.ok)
  const archive = Buffer.concat([header.value, content, tarPadding(content.length), TAR_END])
  const listed = spawnSync('tar', ['-tf', '-'], { input: archive })
  assert.equal(String(listed.stdout), `${parts.join('/')}\n`)
  assert.equal(String(spawnSync('tar', ['-xOf', '-'], { input: archive }).stdout), 'good day\n')
  assert.equal(tarHeader(['x'.repeat(300)], 1).ok, false)
})

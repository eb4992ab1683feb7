// Whose registry an image is in, and what is a refusal for want of a login.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDenied, readRegistry, registryOf } from './registry-login.ts'

test('the registry of an image is what Docker takes it for', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['nginx', 'docker.io'],
    ['nginx:1.27', 'docker.io'],
    ['library/nginx', 'docker.io'],
    ['docker.io/library/nginx', 'docker.io'],
    ['index.docker.io/shop/web:2', 'docker.io'],
    ['ghcr.io/shop/web:2', 'ghcr.io'],
    ['localhost/web', 'localhost'],
    ['localhost:5000/web:1', 'localhost:5000'],
    ['registry:5000/web@sha256:ab', 'registry:5000'],
    ['[fd00::1]:5000/web', '[fd00::1]:5000'],
  ]
  for (const [reference, registry] of cases) assert.equal(registryOf(reference), registry, reference)
})

test('a registry is named with or without what stands around its host', () => {
  assert.equal(readRegistry('https://index.docker.io/v1/'), 'docker.io')
  assert.equal(readRegistry(' GHCR.io '), 'ghcr.io')
  assert.equal(readRegistry('127.0.0.1:5000/'), '127.0.0.1:5000')
  for (const wrong of ['', 'two words', 'https://', '-x', `${'a'.repeat(260)}`, 'user@host']) {
    assert.equal(readRegistry(wrong), null, wrong)
  }
})

test('what engines say of a missing login is told from other failures', () => {
  for (const denied of [
    'Head "http://127.0.0.1:5000/v2/shop/web/manifests/1": no basic auth credentials',
    "pull access denied for shop/web, repository does not exist or may require 'docker login'",
    'unauthorized: authentication required',
    'error from registry: 403 Forbidden',
  ]) {
    assert.equal(isDenied(denied), true, denied)
  }
  for (const other of ['manifest unknown', 'dial tcp: lookup nowhere: no such host', 'connection refused']) {
    assert.equal(isDenied(other), false, other)
  }
})

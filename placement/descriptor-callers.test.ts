// `callers` of a descriptor: what is taken, and what is named as wrong.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDescriptor } from './descriptor.ts'

function parse(callers: unknown) {
  const names = { microservice_name: 'web', microservice_namespace: 'ns', virtualization: 'process', cmd: ['x'] }
  const microservices = [callers === undefined ? names : { ...names, callers }]
  const applications = [{ application_name: 'app', application_namespace: 'ns', microservices }]
  return parseDescriptor(JSON.stringify({ sla_version: 'v2.0', applications }))
}

test('a service opens itself to namespaces, to applications, to all, or to nobody else', () => {
  assert.deepEqual(parse(undefined).services[0]?.callers, [])
  assert.deepEqual(parse('billing').services[0]?.callers, ['billing'])
  assert.deepEqual(parse(['Billing', 'shop.test', '*']).services[0]?.callers, ['billing', 'shop.test', '*'])
})

test('what is no namespace is named, with its place in the list', () => {
  const { errors } = parse(['billing', 'a.b.c', '', 7])
  const at = '$.applications[0].microservices[0].callers'
  assert.deepEqual(
    errors.map(({ field }) => field),
    [`${at}[1]`, `${at}[2]`, `${at}[3]`],
  )
  assert.match(errors[0]?.problem ?? '', /"a\.b\.c" is no namespace/)
  assert.equal(parse(Array.from({ length: 65 }, () => 'x')).valid, false)
})

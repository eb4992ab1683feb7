// Which changes of a spec start its instances anew.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDescriptor } from './descriptor.ts'
import type { ServiceSpec } from './spec.ts'
import { specIdOf } from './spec-id.ts'

function idWith(fields: Readonly<Record<string, unknown>>): string {
  const service = { microservice_name: 'web', microservice_namespace: 'ns', code: 'image', port: 80, ...fields }
  const application = { application_name: 'app', application_namespace: 'ns', microservices: [service] }
  const { errors, services } = parseDescriptor(JSON.stringify({ applications: [application] }))
  assert.deepEqual(errors, [])
  return specIdOf(services[0] as ServiceSpec)
}

const settings: readonly Readonly<Record<string, unknown>>[] = [
  { replicas: 3 },
  { priority: 1 },
  { labels: { a: 'b' } },
  { constraints: [{ type: 'direct', node: 'pi-3' }] },
  { update: { parallel: 2 } },
  { disconnect: { lost_after: 5 } },
  { autonomy: 'manual' },
  { depends_on: ['db'] },
  { addresses: { rr_ip: '10.30.0.1' } },
  { callers: ['billing'] },
]
for (const fields of settings) {
  test(`${JSON.stringify(fields)} starts nothing anew`, () => assert.equal(idWith(fields), idWith({})))
}

const changes: readonly Readonly<Record<string, unknown>>[] = [
  { code: 'image:2' },
  { cmd: ['x'] },
  { environment: ['A=1'] },
  { memory: 65 },
  { port: 81 },
  { healthcheck: { kind: 'tcp' } },
  { user: 'nobody' },
  { devices: ['/dev/null'] },
]
for (const fields of changes) {
  test(`${JSON.stringify(fields)} starts another version`, () => assert.notEqual(idWith(fields), idWith({})))
}

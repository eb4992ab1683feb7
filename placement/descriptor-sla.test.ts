// Which key of a descriptor fills which field of the spec: the table that README.md repeats, key by key.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseDescriptor } from './descriptor.ts'
import { CONVERGENCE_MS, RIGIDNESS } from './descriptor-constraints.ts'
import { NOT_YET } from './descriptor-keys.ts'
import { APPLICATION_KEYS, MICROSERVICE_KEYS } from './descriptor-tables.ts'
import type { ServiceSpec } from './spec.ts'

const rigour = { rigidness: RIGIDNESS, convergenceMs: CONVERGENCE_MS }
const NONE = { node: null, cluster: null, clusters: [] }
const TO = { place: null, selector: null, service: null }
const update = { parallel: 1, order: 'start-first', delayMs: 0, monitorMs: 5_000, onFailure: 'rollback' }
const addresses = { roundRobin: null, closest: null, roundRobinV6: null, closestV6: null, instances: [] }
const disconnect = { lostAfterMs: null, replace: true, reconcile: 'keep_replacement', stopAfterMs: null }
const health = { path: '/', command: [], intervalMs: 10_000, timeoutMs: 3_000, retries: 3, startPeriodMs: 0 }
const restart = { policy: 'always', delayMs: 100, delayMsMax: 60_000 }

type Row = readonly [key: string, raw: unknown, field: keyof ServiceSpec, value: unknown]

const rows: readonly Row[] = [
  ['microservice_name', 'web2', 'name', 'web2'],
  ['microservice_namespace', 'front', 'namespace', 'front'],
  ['virtualization', 'wasm', 'runtime', 'wasm'],
  ['code', 'registry.example/web:2', 'code', 'registry.example/web:2'],
  ['code', 'docker://registry.example/web', 'code', 'registry.example/web'],
  ['cmd', ['a', 'b'], 'command', ['a', 'b']],
  ['args', 'c "d e"', 'command', ['c', 'd e']],
  ['entrypoint', '/init -x', 'entrypoint', ['/init', '-x']],
  ['working_dir', '/srv', 'workingFolder', '/srv'],
  ['user', '1000:1000', 'user', '1000:1000'],
  ['environment', ['A=1'], 'environment', { A: '1' }],
  ['memory', '100', 'memoryMb', 100],
  ['vcpus', '2', 'vcpus', 2],
  ['vgpus', 1, 'vgpus', 1],
  ['vtpus', '1', 'vtpus', 1],
  ['storage', '50', 'storageMb', 50],
  ['bandwidth_in', 500, 'bandwidthInMbit', 0.5],
  ['bandwidth_in', '20mbit', 'bandwidthInMbit', 20],
  ['bandwidth_out', '1gbit/s', 'bandwidthOutMbit', 1_000],
  ['pids_limit', 20, 'pidsMax', 20],
  ['port', '80:8080/udp', 'ports', [{ declared: 80, internal: 8_080, protocol: 'udp' }]],
  ['addresses', { rr_ip: '10.30.0.1' }, 'addresses', { ...addresses, roundRobin: '10.30.0.1' }],
  ['addresses', { closest_ip: '10.30.0.2' }, 'addresses', { ...addresses, closest: '10.30.0.2' }],
  ['addresses', { rr_ip_v6: 'FDFF::1' }, 'addresses', { ...addresses, roundRobinV6: 'fdff::1' }],
  ['addresses', { closest_ip_v6: 'fdff::2' }, 'addresses', { ...addresses, closestV6: 'fdff::2' }],
  [
    'addresses',
    { instances: [{ from: '1', to: '2', start: '10.30.0.255' }] },
    'addresses',
    {
      ...addresses,
      instances: [
        { number: 1, address: '10.30.0.255', addressV6: null },
        { number: 2, address: '10.30.1.0', addressV6: null },
      ],
    },
  ],
  [
    'addresses',
    { instances: ['10.30.0.7', { number: 3, address_v6: 'fdff::7' }] },
    'addresses',
    {
      ...addresses,
      instances: [
        { number: 0, address: '10.30.0.7', addressV6: null },
        { number: 3, address: null, addressV6: 'fdff::7' },
      ],
    },
  ],
  [
    'added_files',
    ['http://f.example/d/m.bin?v=2'],
    'addedFiles',
    [{ url: 'http://f.example/d/m.bin?v=2', path: 'm.bin' }],
  ],
  [
    'added_files',
    [{ url: 'https://f.example/', path: '/m' }],
    'addedFiles',
    [{ url: 'https://f.example/', path: '/m' }],
  ],
  ['volumes', ['data:/data:ro'], 'volumes', ['data:/data:ro']],
  ['volumes', [{ volume_id: 'v', mount_path: '/v' }], 'volumes', ['v:/v']],
  ['devices', ['/dev/null'], 'devices', ['/dev/null']],
  ['privileged', true, 'privileged', true],
  ['callers', ['billing', '*'], 'callers', ['billing', '*']],
  [
    'secrets',
    ['db', { name: 'key', environment: 'API_KEY' }],
    'secrets',
    [
      { name: 'db', environment: null },
      { name: 'key', environment: 'API_KEY' },
    ],
  ],
  ['kind', 'daemon', 'kind', 'daemon'],
  ['one_shot', 'true', 'kind', 'job'],
  ['one_shot', true, 'restart', { ...restart, policy: 'on-failure' }],
  ['replicas', '3', 'replicas', 3],
  [
    'restart',
    { policy: 'never', delay: '1s', delay_max: '1m30s' },
    'restart',
    { policy: 'never', delayMs: 1_000, delayMsMax: 90_000 },
  ],
  [
    'healthcheck',
    { command: 'check it' },
    'healthcheck',
    { ...health, kind: 'command', port: 0, command: ['check', 'it'] },
  ],
  ['depends_on', ['db', 'db'], 'dependsOn', ['app.ns.db.ns']],
  ['stop_grace', '2s', 'stopGraceMs', 2_000],
  ['update', { parallel: '2', order: 'stop-first' }, 'update', { ...update, parallel: 2, order: 'stop-first' }],
  [
    'update',
    { delay: 1, monitor: 2, on_failure: 'pause' },
    'update',
    { ...update, delayMs: 1_000, monitorMs: 2_000, onFailure: 'pause' },
  ],
  [
    'disconnect',
    { lost_after: '2m', replace: false },
    'disconnect',
    { ...disconnect, lostAfterMs: 120_000, replace: false },
  ],
  [
    'disconnect',
    { reconcile: 'best_score', stop_after: 5 },
    'disconnect',
    { ...disconnect, reconcile: 'best_score', stopAfterMs: 5_000 },
  ],
  ['autonomy', 'manual', 'autonomy', 'manual'],
  ['priority', '7', 'priority', 7],
  ['labels', ['tier=front'], 'labels', { tier: 'front' }],
  ['target_node', 'pi-3', 'constraints', [{ ...NONE, kind: 'direct', node: 'pi-3' }]],
  ['constraints', [{ type: 'direct', node: 'a;b' }], 'constraints', [{ ...NONE, kind: 'direct', node: 'a,b' }]],
  ['constraints', [{ type: 'direct', cluster: 'gpu' }], 'constraints', [{ ...NONE, kind: 'direct', cluster: 'gpu' }]],
  [
    'constraints',
    [{ type: 'clusters', allowed: 'x' }],
    'constraints',
    [{ ...NONE, kind: 'clusters', clusters: ['x'] }],
  ],
  [
    'constraints',
    [{ type: 'geo', location: [48, '11'], threshold: '5', rigidness: '1', convergence_time: '60' }],
    'constraints',
    [
      {
        ...NONE,
        kind: 'geo',
        geo: { place: { latitude: 48, longitude: 11 }, radiusKm: 5, rigidness: 1, convergenceMs: 60_000 },
      },
    ],
  ],
  [
    'constraints',
    [{ type: 'latency', area: '48, 11', threshold: 20 }],
    'constraints',
    [
      {
        ...NONE,
        kind: 'latency',
        latency: { ...TO, place: { latitude: 48, longitude: 11 }, thresholdMs: 20, ...rigour },
      },
    ],
  ],
  [
    'constraints',
    [{ type: 'latency', target: 'zone=eu', threshold: 20 }],
    'constraints',
    [{ ...NONE, kind: 'latency', latency: { ...TO, selector: 'zone=eu', thresholdMs: 20, ...rigour } }],
  ],
  [
    'constraints',
    [{ type: 'latency', target: 'db', threshold: 20 }],
    'constraints',
    [{ ...NONE, kind: 'latency', latency: { ...TO, service: 'app.ns.db.ns', thresholdMs: 20, ...rigour } }],
  ],
  [
    'connectivity',
    [{ target_microservice_id: 'ID-7', con_constraints: [{ type: 'bandwidth', threshold: 4_000 }] }],
    'constraints',
    [{ ...NONE, kind: 'bandwidth', bandwidth: { service: 'app.ns.db.ns', mbitPerS: 4, ...rigour } }],
  ],
]

function specWith(key: string, raw: unknown): ServiceSpec {
  const service = { microservice_name: 'web', microservice_namespace: 'ns', code: 'image', [key]: raw }
  const db = { microserviceID: 'ID-7', microservice_name: 'db', microservice_namespace: 'ns', code: 'image' }
  const application = { application_name: 'app', application_namespace: 'ns', microservices: [service, db] }
  const { errors, services } = parseDescriptor(JSON.stringify({ applications: [application] }))
  assert.deepEqual(errors, [])
  return services[0] as ServiceSpec
}

for (const [key, raw, field, value] of rows) {
  test(`${key} ${JSON.stringify(raw)} fills ${field}`, () => assert.deepEqual(specWith(key, raw)[field], value))
}

test('each key that is honoured fills a field of the spec, which this table names', () => {
  const told = new Set(rows.map(([key]) => key))
  const elsewhere = ['sla_violation_strategy']
  const honoured = Object.entries(MICROSERVICE_KEYS).filter(([, { treatment }]) => treatment === 'honoured')
  assert.deepEqual(
    honoured.map(([key]) => key).filter((key) => !told.has(key) && !elsewhere.includes(key)),
    [],
  )
})

test('each field of the spec is filled by some key', () => {
  const filled = new Set(rows.map(([, , field]) => field))
  const fields = Object.keys(specWith('memory', 1)) as (keyof ServiceSpec)[]
  assert.deepEqual(
    fields.filter((field) => !filled.has(field)),
    ['app', 'appNamespace'],
  )
  assert.equal(specWith('memory', 1).app, 'app')
  assert.equal(specWith('memory', 1).appNamespace, 'ns')
  assert.equal(APPLICATION_KEYS.application_name.treatment, 'honoured')
})

test('sla_violation_strategy "none" keeps an instance where it is, whatever is measured', () => {
  const geo = { type: 'geo', location: '48,11', threshold: 5, rigidness: 1 }
  const service = { microservice_name: 'web', microservice_namespace: 'ns', code: 'image', constraints: [geo] }
  const rigidness = (strategy: string): number | undefined => {
    const microservices = [{ ...service, sla_violation_strategy: strategy }]
    const application = { application_name: 'app', application_namespace: 'ns', microservices }
    return parseDescriptor(JSON.stringify({ applications: [application] })).services[0]?.constraints[0]?.geo?.rigidness
  }
  assert.deepEqual(['', 'migrate', 'replicate', 'none'].map(rigidness), [1, 1, 1, 0])
})

const fixture = (name: string) =>
  parseDescriptor(readFileSync(join(import.meta.dirname, 'fixtures', `${name}.json`), 'utf8'))

test('a descriptor as Oakestra users write it is read whole', () => {
  const { errors, services } = fixture('pipeline')
  assert.deepEqual(errors, [])
  const [camera, detector, report] = services
  assert.equal(camera?.code, 'registry.example/vision/camera')
  assert.deepEqual(camera?.volumes, ['frames:/frames'])
  assert.equal(camera?.constraints[0]?.node, 'xavier1,xavier2')
  assert.deepEqual(
    camera?.addresses.instances.map(({ address }) => address),
    ['10.30.55.60', '10.30.55.61'],
  )
  assert.deepEqual(
    detector?.constraints.map(
      ({ latency, bandwidth, geo }) => latency?.service ?? bandwidth?.service ?? geo?.radiusKm ?? latency?.selector,
    ),
    ['munich', 50, 'pipeline.default.camera.default', 'pipeline.default.camera.default'],
  )
  assert.equal(report?.kind, 'job')
  assert.equal(report?.constraints[0]?.latency?.service, 'pipeline.default.detector.default')
})

test('places that no device can be near at once are warned about', () => {
  const near = (location: string, threshold: number) => ({ type: 'geo', location, threshold })
  const warned = (...constraints: readonly object[]) => {
    const microservices = [{ microservice_name: 'web', microservice_namespace: 'ns', code: 'image', constraints }]
    const application = { application_name: 'app', application_namespace: 'ns', microservices }
    return parseDescriptor(JSON.stringify({ applications: [application] })).warnings.map(({ field }) => field)
  }
  // Munich and Berlin are 504 km apart.
  assert.deepEqual(warned(near('48.137,11.575', 100), near('52.52,13.405', 450)), [])
  assert.deepEqual(warned(near('48.137,11.575', 100), near('52.52,13.405', 350)), [
    '$.applications[0].microservices[0].constraints',
  ])
})

const files: readonly (readonly [file: unknown, problem: RegExp])[] = [
  ['ftp://files.example/a', /no address of a file/],
  ['http://files.example/', /ends with no file name/],
  [{ url: 'http://files.example/a', path: '../a' }, /without "\.\."/],
  ['http://files.example/a#sha256=12', /no sha256 of 64 digits/],
  ['http://files.example/a#%ff', /^$/],
]
for (const [file, problem] of files) {
  test(`the added file ${JSON.stringify(file)} is ${problem.source === '^$' ? 'taken' : 'refused'}`, () => {
    const service = { microservice_name: 'web', microservice_namespace: 'ns', code: 'image', added_files: [file] }
    const application = { application_name: 'app', application_namespace: 'ns', microservices: [service] }
    const { errors } = parseDescriptor(JSON.stringify({ applications: [application] }))
    assert.match(errors[0]?.problem ?? '', problem)
  })
}

test('what an application says of autonomy holds for its services that say nothing', () => {
  const { errors, services } = fixture('additions')
  assert.deepEqual(errors, [])
  assert.deepEqual(
    services.map(({ autonomy }) => autonomy),
    ['automatic', 'manual'],
  )
  assert.deepEqual(services[1]?.dependsOn, ['plant.north.broker.core'])
  assert.deepEqual(
    services[0]?.addedFiles.map(({ path }) => path),
    ['ca.pem', '/etc/broker.conf'],
  )
  assert.equal(services[0]?.healthcheck?.startPeriodMs, 90_000)
})

test('README.md names each key, and says of those that nothing enforces that it is so', () => {
  const readme = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8')
  const section = readme.split('## Descriptor\n')[1]?.split('\n### ')[0] ?? ''
  const table = section.split('\n').filter((row) => row.startsWith('| `'))
  const notYet = NOT_YET.flatMap((entry) => /^microservice\.(\w+)$/.exec(entry)?.[1] ?? [])
  for (const key of Object.keys(MICROSERVICE_KEYS)) {
    const row = table.find((one) => new RegExp(`^[^|]*\\|[^|]*\`${key}(?:\\[\\])?\``).test(one))
    assert.ok(row !== undefined, `no row for ${key}`)
    if (notYet.includes(key)) assert.match(row, /nothing yet/, key)
  }
  const entries = new Set(NOT_YET.flatMap((entry) => entry.split(/[.=]/).slice(1)))
  for (const row of table.filter((one) => one.includes('nothing yet'))) {
    const words = [...row.matchAll(/`(\w+)/g)].map(([, word = '']) => word)
    assert.ok(
      words.some((word) => entries.has(word)),
      `something enforces it by now: ${row.slice(0, 60)}`,
    )
  }
})

test('volumes and device files that climb are refused with the field', () => {
  for (const [key, raw] of [
    ['volumes', ['cache:/cache', '/srv/../etc:/x']],
    ['volumes', ['cache:/cache', { volume_id: '../../etc', mount_path: '/x' }]],
    ['devices', ['/dev/snd/../sda']],
  ] as const) {
    const service = { microservice_name: 'web', microservice_namespace: 'ns', code: 'image', [key]: raw }
    const application = { application_name: 'app', application_namespace: 'ns', microservices: [service] }
    const [error] = parseDescriptor(JSON.stringify({ applications: [application] })).errors
    assert.match(error?.field ?? '', key === 'volumes' ? /\.volumes\[1\]$/ : /\.devices$/)
  }
})

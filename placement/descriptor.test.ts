// Descriptors as people write them: good, wrong, nearly right, and nonsense.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseDescriptor } from './descriptor.ts'
import { NOT_YET } from './descriptor-keys.ts'
import { DESCRIPTOR_DEFAULTS } from './descriptor-tables.ts'
import { decodeSpec, encodeSpec, type ServiceSpec } from './spec.ts'

const fixture = (name: string): string => readFileSync(join(import.meta.dirname, 'fixtures', `${name}.json`), 'utf8')
const SERVICE = '$.applications[0].microservices[0]'

/** A descriptor with one microservice that has these fields besides its names. */
const descriptor = (fields: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({
    sla_version: 'v2.0',
    applications: [
      {
        application_name: 'app',
        application_namespace: 'ns',
        microservices: [
          { microservice_name: 'web', microservice_namespace: 'ns', virtualization: 'process', cmd: ['x'], ...fields },
        ],
      },
    ],
  })

function read(fields: Readonly<Record<string, unknown>>): ServiceSpec {
  const parsed = parseDescriptor(descriptor(fields))
  assert.deepEqual(parsed.errors, [])
  return parsed.services[0] as ServiceSpec
}

test("a descriptor like those in Oakestra's slides is accepted, and says what is not enforced", () => {
  const parsed = parseDescriptor(fixture('slides'))
  assert.ok(parsed.valid)
  const warned = parsed.warnings.map(({ field }) => field.replace('$.applications[0].', ''))
  assert.deepEqual(warned, [
    'application_name',
    'microservices[0].connectivity[0].target_microservice_id',
    'microservices[0].constraints',
  ])
  const [spec] = parsed.services
  assert.equal(spec?.runtime, 'docker')
  assert.equal(spec?.memoryMb, 1_024)
  assert.equal(spec?.vcpus, 2)
  assert.deepEqual(spec?.ports, [{ declared: 9_080, internal: 9_080, protocol: 'tcp' }])
  assert.deepEqual(
    spec?.constraints.map(({ kind, node, cluster, geo, latency }) => [
      kind,
      node,
      cluster,
      geo?.place.latitude,
      latency?.selector ?? latency?.service,
    ]),
    [
      ['geo', null, null, 48.137, undefined],
      ['geo', null, null, 52.52, undefined],
      ['latency', null, null, undefined, 'munich-1'],
      ['direct', 'xavier-*', 'gpu, /edge-[0-9]+/', undefined, undefined],
      ['latency', null, null, undefined, 'detect.test.x.test'],
    ],
  )
})

test('our own fields are read', () => {
  const { services, warnings } = parseDescriptor(fixture('process'))
  const [web, once] = services
  assert.deepEqual(warnings, [])
  assert.equal(web?.replicas, 2)
  assert.deepEqual(
    web?.ports.map(({ declared, internal, protocol }) => `${declared}:${internal}/${protocol}`),
    ['80:8080/tcp', '443:8443/tcp', '53:53/udp'],
  )
  assert.deepEqual(web?.environment, { GREETING: 'hello world', EMPTY: '' })
  assert.deepEqual(web?.restart, { policy: 'on-failure', delayMs: 250, delayMsMax: 30_000 })
  assert.equal(web?.healthcheck?.path, '/healthz')
  assert.equal(web?.healthcheck?.intervalMs, 5_000)
  assert.deepEqual(once?.command, ['sh', '-c', "echo 'a b'"])
  assert.equal(once?.restart.policy, 'on-failure')
})

test('all mistakes are reported at once, each with its path, the problem and what would be right', () => {
  const { valid, errors, warnings, services } = parseDescriptor(fixture('wrong'))
  assert.equal(valid, false)
  assert.deepEqual(services, [])
  assert.deepEqual(errors.map(({ field }) => field.replace(`${SERVICE}.`, '')).sort(), [
    '$.applications[0].application_name',
    'cmd',
    'constraints[0].node',
    'constraints[1].type',
    'kind',
    'memory',
    'port',
    'replicas',
    'restart',
    'vcpus',
  ])
  for (const { problem, expected } of errors) assert.ok(problem !== '' && expected !== '')
  assert.deepEqual(warnings, [
    { field: `${SERVICE}.vcpu`, problem: '"vcpu" is not a known key and has no effect: did you mean "vcpus"?' },
  ])
})

test('what nobody says has the documented default', () => {
  const spec = read({})
  const { memoryMb, vcpus, replicas, priority, stopGraceMs } = DESCRIPTOR_DEFAULTS
  assert.deepEqual(
    { memoryMb, vcpus, replicas, priority, stopGraceMs },
    {
      memoryMb: spec.memoryMb,
      vcpus: spec.vcpus,
      replicas: spec.replicas,
      priority: spec.priority,
      stopGraceMs: spec.stopGraceMs,
    },
  )
  assert.deepEqual(spec.restart, { policy: 'always', delayMs: 100, delayMsMax: 60_000 })
})

const accepted: readonly (readonly [string, unknown, keyof ServiceSpec, unknown])[] = [
  ['memory', '512', 'memoryMb', 512],
  ['memory', 0, 'memoryMb', 0],
  ['vcpus', '0.25', 'vcpus', 0.25],
  ['vgpus', '1', 'vgpus', 1],
  ['storage', 10, 'storageMb', 10],
  ['replicas', '3', 'replicas', 3],
  ['port', '', 'ports', []],
  [
    'port',
    '80;53/udp',
    'ports',
    [
      { declared: 80, internal: 80, protocol: 'tcp' },
      { declared: 53, internal: 53, protocol: 'udp' },
    ],
  ],
  ['port', ['80:8080'], 'ports', [{ declared: 80, internal: 8_080, protocol: 'tcp' }]],
  ['cmd', 'node "my server.js"', 'command', ['node', 'my server.js']],
  ['environment', { A: 1, B: true, C: 'x=y' }, 'environment', { A: '1', B: 'true', C: 'x=y' }],
  ['environment', ['A=x=y', 'B'], 'environment', { A: 'x=y', B: '' }],
  ['labels', { tier: 'front' }, 'labels', { tier: 'front' }],
  ['privileged', 'true', 'privileged', true],
  ['virtualization', 'Container', 'runtime', 'docker'],
  ['restart', 'no', 'restart', { policy: 'never', delayMs: 100, delayMsMax: 60_000 }],
  ['stop_grace', '500ms', 'stopGraceMs', 500],
  ['stop_grace', 2, 'stopGraceMs', 2_000],
]
for (const [key, raw, field, value] of accepted) {
  test(`${key}: ${JSON.stringify(raw)} is understood`, () => {
    const more = key === 'virtualization' ? { code: 'image' } : {}
    assert.deepEqual(read({ [key]: raw, ...more })[field], value)
  })
}

const refused: readonly (readonly [string, unknown, RegExp])[] = [
  ['microservice_name', 'Has Space', /cannot be part of an address/],
  ['microservice_namespace', '', /is missing/],
  ['microservice_name', 'a'.repeat(64), /cannot be part of an address/],
  ['memory', '1Gi', /is not a number of MB/],
  ['memory', -1, /from 0/],
  ['vcpus', [], /is not a number/],
  ['port', '80:', /is no port/],
  ['port', '70000', /is no port/],
  ['port', '80;80', /stands here twice/],
  ['cmd', 'say "hello', /quote is not closed/],
  ['cmd', { a: 1 }, /is no command/],
  ['cmd', '', /is missing/],
  ['environment', 'A=1', /neither an object nor a list/],
  ['environment', ['=x'], /is no name/],
  ['kind', 'thing', /is no value of "kind"/],
  ['privileged', 'perhaps', /neither true nor false/],
  ['healthcheck', { kind: 'http' }, /declares no tcp port/],
  ['healthcheck', true, /no health check/],
  ['constraints', [{ type: 'direct', node: '!' }], /nothing follows/],
  ['constraints', [{ type: 'clusters', allowed: [] }], /names no clusters|no list/],
  ['constraints', {}, /is no list/],
  ['virtualization', 'a b', /is no runtime/],
  ['virtualization', 'docker', /is missing/],
]
for (const [key, raw, problem] of refused) {
  test(`${key}: ${JSON.stringify(raw).slice(0, 40)} is refused`, () => {
    const { errors } = parseDescriptor(descriptor({ [key]: raw }))
    assert.equal(errors.length, 1, JSON.stringify(errors))
    assert.ok(errors[0]?.field.startsWith(SERVICE))
    assert.match(errors[0]?.problem ?? '', problem)
  })
}

test('one_shot and restart "always" contradict each other', () => {
  const { errors } = parseDescriptor(descriptor({ one_shot: true, restart: 'always' }))
  assert.match(errors[0]?.problem ?? '', /contradicts one_shot/)
})

test('who replaces sooner than a cut-off device stops is warned', () => {
  const warned = (disconnect: object): readonly string[] =>
    parseDescriptor(descriptor({ disconnect })).warnings.map(({ field, problem }) => `${field} ${problem}`)
  assert.deepEqual(warned({ lost_after: '10s', stop_after: '20s' }), [
    `${SERVICE}.disconnect.lost_after is shorter than stop_after: ` +
      'the instance may be replaced while a device that is cut off runs it',
  ])
  assert.deepEqual(warned({ lost_after: '20s', stop_after: '20s' }), [])
  assert.deepEqual(warned({ stop_after: '20s' }), [])
})

const MEASURED: Readonly<Record<string, unknown>> = { location: '48,11', threshold: 5, target: 'x' }
const samples: Readonly<Record<string, unknown>> = {
  vtpus: 1,
  bandwidth_in: '100',
  bandwidth_out: 5,
  addresses: { rr_ip: '10.30.0.1' },
  added_files: ['http://files.example/a'],
  update: { parallel: 1 },
  disconnect: { lost_after: '10s' },
  devices: ['/dev/null'],
  user: 'nobody',
  working_dir: '/srv',
  entrypoint: ['/init'],
  pids_limit: 10,
  depends_on: ['other'],
}

/** A descriptor that has the key of a table, set. */
function having(table: string, key: string, value: string): string {
  const raw = value === '' ? samples[key] : value
  switch (table) {
    case 'application': {
      const whole = JSON.parse(descriptor({}))
      whole.applications[0][key] = raw
      return JSON.stringify(whole)
    }
    case 'addresses':
      return descriptor({ addresses: { [key]: 'fdff::1' } })
    case 'constraint':
      return descriptor({ constraints: [{ [key]: raw, ...MEASURED }] })
    case 'connection':
      return descriptor({
        connectivity: [{ target_microservice_id: 'x', con_constraints: [{ [key]: raw, threshold: 5 }] }],
      })
    case 'disconnect':
      return descriptor({ disconnect: { [key]: 5 } })
    case 'healthcheck':
      return descriptor({ healthcheck: { kind: 'command', command: ['true'], start_period: 1 } })
    default:
      return descriptor({ virtualization: 'container', code: 'image', [key]: raw })
  }
}

for (const entry of NOT_YET) {
  const [, table = '', key = '', value = ''] = /^(\w+)\.(\w+)=?(.*)$/.exec(entry) ?? []
  test(`${entry} is accepted, with a warning that says it is not enforced yet`, () => {
    const { warnings, errors } = parseDescriptor(having(table, key, value))
    assert.deepEqual(errors, [])
    const said = warnings.filter(({ field }) => field.endsWith(`.${key}`))
    assert.match(said[0]?.problem ?? '', /is accepted but not enforced yet$/)
  })
}

test('a key that is left open brings no warning', () => {
  const open = { ...Object.fromEntries(Object.keys(samples).map((key) => [key, ''])), state: '', connectivity: [] }
  assert.deepEqual(parseDescriptor(descriptor({ ...open, target_node: '', sla_violation_strategy: '' })).warnings, [])
})

test('what Oakestra calls the state has no effect, and the warning says what brings a file', () => {
  const { warnings, valid } = parseDescriptor(descriptor({ state: 'http://files.example/state' }))
  assert.ok(valid)
  assert.match(warnings[0]?.problem ?? '', /added_files/)
})

test('a runtime without a driver is accepted by name, with a warning', () => {
  for (const name of ['unikernel', 'wasm', 'vm']) {
    const { warnings, services } = parseDescriptor(descriptor({ virtualization: name }))
    assert.match(warnings[0]?.problem ?? '', /no device offers it/)
    assert.equal(services[0]?.runtime, name)
  }
})

const misspelt = [
  ['vcpu', 'vcpus'],
  ['Memory', 'memory'],
  ['enviroment', 'environment'],
  ['replica', 'replicas'],
  ['ports', 'port'],
  ['restarts', 'restart'],
  ['health_check', 'healthcheck'],
] as const
for (const [wrong, right] of misspelt) {
  test(`"${wrong}" brings "${right}" to mind`, () => {
    const { warnings } = parseDescriptor(descriptor({ [wrong]: 1 }))
    assert.match(warnings[0]?.problem ?? '', new RegExp(`did you mean "${right}"`))
  })
}

test('a key like no other is warned about without a guess', () => {
  const { warnings, valid } = parseDescriptor(descriptor({ colour: 'blue', __proto__: 1 }))
  assert.ok(valid)
  assert.doesNotMatch(warnings[0]?.problem ?? 'did you mean', /did you mean/)
})

test('two microservices of one name are refused', () => {
  const twice = JSON.parse(descriptor({}))
  twice.applications[0].microservices.push(twice.applications[0].microservices[0])
  const { errors } = parseDescriptor(JSON.stringify(twice))
  assert.match(errors[0]?.problem ?? '', /is app\.ns\.web\.ns, and so is/)
})

test('a spec that is too large for a record is refused', () => {
  const environment = Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`BIG_${index}`, 'x'.repeat(8_000)]))
  assert.match(parseDescriptor(descriptor({ environment })).errors[0]?.problem ?? '', /takes \d+ bytes as a record/)
})

test('whatever stands in the fields, parsing ends, and what is valid fits a record', () => {
  const field = fc.constantFrom(
    ...['memory', 'vcpus', 'port', 'cmd', 'environment', 'restart', 'healthcheck', 'constraints', 'labels', 'volumes'],
    ...[
      'replicas',
      'one_shot',
      'code',
      'args',
      'stop_grace',
      'microservice_name',
      'virtualization',
      'kind',
      'addresses',
    ],
    ...[
      'entrypoint',
      'user',
      'devices',
      'added_files',
      'update',
      'disconnect',
      'autonomy',
      'depends_on',
      'connectivity',
    ],
    ...['target_node', 'bandwidth_in', 'pids_limit', 'sla_violation_strategy', 'state', 'working_dir', 'vtpus'],
  )
  fc.assert(
    fc.property(fc.dictionary(field, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 }), (fields) => {
      const parsed = parseDescriptor(descriptor(fields))
      assert.equal(parsed.valid, parsed.errors.length === 0)
      for (const spec of parsed.services) assert.deepEqual(decodeSpec(encodeSpec(spec)), { ok: true, value: spec })
    }),
    { seed: 20261121, numRuns: 1_000 },
  )
})

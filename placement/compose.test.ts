// Compose files as people write them: which key fills which field of a spec, variables, environment files, and what
// is not supported.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { NOWHERE, type Surroundings } from './compose-settle.ts'
import { environmentFilesOf, parseDescriptor } from './descriptor.ts'
import { decodeSpec, encodeSpec, type ServiceSpec } from './spec.ts'

const fixture = readFileSync(join(import.meta.dirname, 'fixtures', 'compose.yaml'), 'utf8')
const AROUND: Surroundings = {
  folder: '/home/me/shop',
  variables: { DB_PASSWORD: 'a$b', EMPTY: '', HOME: '/home/me' },
  files: new Map([
    ['common.env', '# for all\nLOG=info\nexport REGION=eu\nQUOTED="a b $REGION" # said\nRAW=\'$HOME\'\n'],
    ['db.env', 'LOG=debug\n'],
  ]),
}

/** A file with one service that has these keys besides its image. */
const file = (keys: object, top: object = {}): string =>
  JSON.stringify({ name: 'shop', services: { web: { image: 'nginx', ...keys }, db: { image: 'postgres' } }, ...top })

function read(keys: object, top: object = {}): ServiceSpec {
  const { errors, services } = parseDescriptor(file(keys, top), AROUND)
  assert.deepEqual(errors, [])
  return services[0] as ServiceSpec
}

test('a Compose file becomes services, and what has no effect is named with its path and line', () => {
  const { errors, warnings, services } = parseDescriptor(fixture, AROUND)
  assert.deepEqual(errors, [])
  assert.deepEqual(
    services.map(({ app, appNamespace, name, namespace, kind, replicas }) => [
      `${app}.${appNamespace}.${name}.${namespace}`,
      kind,
      replicas,
    ]),
    [
      ['my-shop.default.web.default', 'service', 2],
      ['my-shop.default.my-db.data', 'service', 1],
      ['my-shop.default.agent.default', 'daemon', 1],
    ],
  )
  const [web, db] = services
  assert.deepEqual(web?.dependsOn, ['my-shop.default.my-db.data'])
  assert.deepEqual(web?.environment, { LOG: 'info', REGION: 'eu', QUOTED: 'a b eu', RAW: '$HOME', MODE: 'live' })
  assert.deepEqual(db?.environment, {
    LOG: 'debug',
    QUOTED: 'a b eu',
    RAW: '$HOME',
    POSTGRES_PASSWORD: 'a$b',
    REGION: '',
  })
  assert.deepEqual(db?.volumes, ['my_shop_data:/var/lib/postgresql/data'])
  assert.equal(db?.restart.policy, 'always')
  const lines = fixture.split('\n')
  const unsupported = warnings.filter(({ problem }) => problem.includes('is not supported'))
  assert.deepEqual(unsupported.map(({ field }) => field).sort(), [
    '$.networks',
    '$.services.web.logging',
    '$.services.web.networks',
  ])
  for (const { field, line } of unsupported)
    assert.match(lines[(line ?? 0) - 1] ?? '', new RegExp(`${field.split('.').at(-1)}:`))
})

type Row = readonly [keys: object, field: keyof ServiceSpec, value: unknown]
const tcp = (declared: number, internal: number) => ({ declared, internal, protocol: 'tcp' })
const health = {
  kind: 'command',
  port: 0,
  path: '/',
  intervalMs: 10_000,
  timeoutMs: 3_000,
  retries: 3,
  startPeriodMs: 0,
}
const update = { parallel: 1, order: 'start-first', delayMs: 0, monitorMs: 5_000, onFailure: 'rollback' }
const resources = (kept: string, cpus: string) => ({ deploy: { resources: { [kept]: { cpus, memory: '1g' } } } })
const placed = (...terms: string[]) => ({ deploy: { placement: { constraints: terms } } })
const selected = (node: string) => [{ kind: 'direct', node, cluster: null, clusters: [] }]

const rows: readonly Row[] = [
  [{}, 'runtime', 'docker'],
  [{}, 'memoryMb', 0],
  [{ command: 'run "a b"' }, 'command', ['run', 'a b']],
  [{ command: ['run', 'it'] }, 'command', ['run', 'it']],
  [{ entrypoint: ['/init'] }, 'entrypoint', ['/init']],
  [{ environment: { A: 1, DB_PASSWORD: null } }, 'environment', { A: '1', DB_PASSWORD: 'a$b' }],
  [{ environment: ['A=$$1', 'UNSET'] }, 'environment', { A: '$1' }],
  [{ env_file: 'db.env', environment: { LOG: 'mine' } }, 'environment', { LOG: 'mine' }],
  [{ env_file: [{ path: 'none.env', required: false }] }, 'environment', {}],
  [{ ports: ['8080:80'] }, 'ports', [tcp(8_080, 80), tcp(80, 80)]],
  [{ ports: [80], expose: ['81'] }, 'ports', [tcp(80, 80), tcp(81, 81)]],
  [{ ports: ['[::1]:53:53/udp'] }, 'ports', [{ declared: 53, internal: 53, protocol: 'udp' }]],
  [
    { ports: ['3000-3001:4000-4001'] },
    'ports',
    [tcp(3_000, 4_000), tcp(3_001, 4_001), tcp(4_000, 4_000), tcp(4_001, 4_001)],
  ],
  [{ ports: [{ target: 80, published: '8080', mode: 'host' }] }, 'ports', [tcp(8_080, 80), tcp(80, 80)]],
  [
    { volumes: ['/srv:/data:ro', './html:/html', '~/x:/x'] },
    'volumes',
    ['/srv:/data:ro', '/home/me/shop/html:/html', '/home/me/x:/x'],
  ],
  [{ volumes: ['/cache'] }, 'volumes', ['shop_web_cache:/cache']],
  [{ volumes: [{ type: 'bind', source: '../b', target: '/b', read_only: true }] }, 'volumes', ['/home/me/b:/b:ro']],
  [{ devices: ['/dev/null'] }, 'devices', ['/dev/null']],
  [{ user: 1_000 }, 'user', '1000'],
  [{ working_dir: '/srv' }, 'workingFolder', '/srv'],
  [{ privileged: true }, 'privileged', true],
  [{ pids_limit: -1 }, 'pidsMax', null],
  [{ deploy: { resources: { limits: { pids: 50 } } } }, 'pidsMax', 50],
  [{ mem_limit: '512m' }, 'memoryMb', 536.870912],
  [resources('limits', '0.5'), 'vcpus', 0.5],
  [resources('limits', '0.5'), 'memoryMb', 1_073.741824],
  [resources('reservations', '2'), 'vcpus', 2],
  [{ deploy: { resources: { reservations: { devices: [{ capabilities: ['gpu'], count: 2 }] } } } }, 'vgpus', 2],
  [{ scale: 3 }, 'replicas', 3],
  [{ deploy: { replicas: '4' } }, 'replicas', 4],
  [{ deploy: { mode: 'global' } }, 'kind', 'daemon'],
  [{ deploy: { mode: 'replicated-job' }, restart: 'no' }, 'kind', 'job'],
  [placed('node.labels.zone==eu', 'node.hostname != pi-3'), 'constraints', selected('zone=eu !pi-3')],
  [
    { deploy: { update_config: { parallelism: 2, delay: '1m', failure_action: 'pause' } } },
    'update',
    { ...update, parallel: 2, delayMs: 60_000, onFailure: 'pause' },
  ],
  [
    { deploy: { update_config: { parallelism: 0, order: 'stop-first', monitor: '9s' } } },
    'update',
    { ...update, parallel: 10_000, order: 'stop-first', monitorMs: 9_000 },
  ],
  [
    { deploy: { restart_policy: { condition: 'on-failure', delay: '5s' } } },
    'restart',
    { policy: 'on-failure', delayMs: 5_000, delayMsMax: 60_000 },
  ],
  [{ restart: 'unless-stopped' }, 'restart', { policy: 'always', delayMs: 100, delayMsMax: 60_000 }],
  [{ restart: 'on-failure:3' }, 'restart', { policy: 'on-failure', delayMs: 100, delayMsMax: 60_000 }],
  [{ restart: false }, 'restart', { policy: 'never', delayMs: 100, delayMsMax: 60_000 }],
  [
    { healthcheck: { test: ['CMD', 'ok'], start_period: '1m30s' } },
    'healthcheck',
    { ...health, command: ['ok'], startPeriodMs: 90_000 },
  ],
  [{ healthcheck: { test: 'ok || exit 1' } }, 'healthcheck', { ...health, command: ['/bin/sh', '-c', 'ok || exit 1'] }],
  [
    { healthcheck: { test: ['CMD-SHELL', 'ok'], retries: 5 } },
    'healthcheck',
    { ...health, retries: 5, command: ['/bin/sh', '-c', 'ok'] },
  ],
  [{ healthcheck: { test: ['NONE'] } }, 'healthcheck', null],
  [{ healthcheck: { disable: true } }, 'healthcheck', null],
  [{ depends_on: ['db'] }, 'dependsOn', ['shop.default.db.default']],
  [{ depends_on: { db: { condition: 'service_healthy' } } }, 'dependsOn', ['shop.default.db.default']],
  [{ stop_grace_period: '1m' }, 'stopGraceMs', 60_000],
  [{ labels: { tier: 'front', 'coppice.priority': 7 } }, 'labels', { tier: 'front' }],
  [{ labels: ['coppice.priority=7'] }, 'priority', 7],
  [{ labels: { 'coppice.namespace': 'Front' } }, 'namespace', 'front'],
  [{ labels: { 'coppice.app_namespace': 'prod' } }, 'appNamespace', 'prod'],
  [{ labels: { 'coppice.autonomy': 'manual' } }, 'autonomy', 'manual'],
  [{ labels: ['coppice.callers=billing, shop.prod'] }, 'callers', ['billing', 'shop.prod']],
]
for (const [keys, field, value] of rows) {
  test(`${JSON.stringify(keys)} fills ${field}`, () => assert.deepEqual(read(keys)[field], value))
}

test('a named volume has the name of its project, unless it is external or has its own', () => {
  const volumes = { a: null, b: { external: true }, c: { name: 'own' } }
  assert.deepEqual(read({ volumes: ['a:/a', 'b:/b', 'c:/c'] }, { volumes }).volumes, ['shop_a:/a', 'b:/b', 'own:/c'])
})

const refused: readonly (readonly [keys: object, path: string, problem: RegExp])[] = [
  [{ image: null, build: '.' }, '.image', /nothing is built/],
  [{ image: null }, '.image', /is missing/],
  [{ ports: ['99999:80'] }, '.ports[0]', /is no port/],
  [{ ports: ['3000-3005:80-81'] }, '.ports[0]', /is no port/],
  [{ volumes: ['nobody:/x'] }, '.volumes[0]', /there is no volume "nobody"/],
  [{ volumes: [{ type: 'volume', source: 'x' }] }, '.volumes[0]', /is no volume/],
  [{ mem_limit: 'much' }, '.mem_limit', /is no size/],
  [{ deploy: { mode: 'some' } }, '.deploy.mode', /is no mode/],
  [{ deploy: { replicas: 'many' } }, '.deploy.replicas', /is not a whole number/],
  [placed('zone is eu'), '.deploy.placement.constraints[0]', /is no constraint/],
  [{ deploy: { restart_policy: { condition: 'often' } } }, '.deploy.restart_policy.condition', /is no condition/],
  [{ healthcheck: { test: ['RUN', 'x'] } }, '.healthcheck.test', /is no test/],
  [{ healthcheck: { test: 'x', interval: 'soon' } }, '.healthcheck.interval', /is no duration/],
  [{ depends_on: { db: { condition: 'maybe' } } }, '.depends_on.db.condition', /is no condition/],
  [{ depends_on: ['web'] }, '.depends_on[0]', /is the microservice itself/],
  [{ env_file: 'none.env' }, '.env_file', /cannot be read/],
  [{ command: `\${MISSING:?say which}` }, '.command', /MISSING is not set: say which/],
  [{ command: 'costs $ 5' }, '.command', /is no variable/],
]
for (const [keys, path, problem] of refused) {
  test(`${JSON.stringify(keys)} is refused at ${path}`, () => {
    const { errors } = parseDescriptor(file(keys), AROUND)
    assert.equal(errors[0]?.field, `$.services.web${path}`, JSON.stringify(errors))
    assert.match(errors[0]?.problem ?? '', problem)
  })
}

const variables: readonly (readonly [text: string, value: string])[] = [
  ['$SET and $$SET', 'x and $SET'],
  [`\${SET}y`, 'xy'],
  [`\${NONE:-d}\${EMPTY:-d}\${SET:-d}`, 'ddx'],
  [`\${NONE-d}\${EMPTY-d}`, 'd'],
  [`\${NONE:+i}\${EMPTY:+i}\${SET:+i}`, 'i'],
  [`\${NONE+i}\${EMPTY+i}`, 'i'],
  [`\${NONE:-\${EMPTY:-\${SET}}}`, 'x'],
  [`\${NONE:-{"a": 1}}`, '{"a": 1}'],
]
for (const [text, value] of variables) {
  test(`${text} becomes ${value}`, () => {
    const around = { ...NOWHERE, variables: { SET: 'x', EMPTY: '' } }
    const { services, errors } = parseDescriptor(file({ environment: { V: text } }), around)
    assert.deepEqual(errors, [])
    assert.equal(services[0]?.environment.V, value)
  })
}

test('a variable that is not set is empty, with a warning', () => {
  const { warnings, services } = parseDescriptor(file({ user: 'u$NOBODY' }))
  assert.equal(services[0]?.user, 'u')
  assert.match(warnings.find(({ field }) => field === '$.services.web.user')?.problem ?? '', /NOBODY is not set/)
})

test('the project is named by the file, by a variable, or by the folder', () => {
  const nameless = JSON.stringify({ services: { web: { image: 'x' } } })
  const app = (around: Surroundings) => parseDescriptor(nameless, around).services[0]?.app
  assert.equal(app({ ...NOWHERE, folder: '/srv/My Shop_2' }), 'myshop-2')
  assert.equal(app({ ...NOWHERE, folder: '/srv/a', variables: { COMPOSE_PROJECT_NAME: 'b' } }), 'b')
  assert.equal(parseDescriptor(nameless).errors[0]?.field, '$.name')
})

test('environment files are those that the services name', () => {
  assert.deepEqual(environmentFilesOf(fixture, {}), ['common.env', 'common.env', 'db.env'])
  assert.equal(environmentFilesOf('{"applications": []}', {}), null)
})

test('a service whose end another one waits for is a job', () => {
  const depends = { db: { condition: 'service_completed_successfully', restart: true } }
  const { services, errors, warnings } = parseDescriptor(file({ depends_on: depends }))
  assert.deepEqual(errors, [])
  assert.deepEqual(
    services.map(({ kind }) => kind),
    ['service', 'job'],
  )
  assert.ok(warnings.some(({ field }) => field === '$.services.web.depends_on.db.restart'))
})

const unsupported: readonly (readonly [keys: object, path: string])[] = [
  [{ deploy: { labels: { a: 'b' } } }, '.deploy.labels'],
  [{ deploy: { update_config: { max_failure_ratio: 0.1 } } }, '.deploy.update_config.max_failure_ratio'],
  [{ deploy: { placement: { preferences: [{ spread: 'x' }] } } }, '.deploy.placement.preferences'],
  [{ ports: [{ target: 80, mode: 'host' }] }, '.ports[0].mode'],
  [{ volumes: [{ type: 'bind', source: '/a', target: '/b', bind: { propagation: 'shared' } }] }, '.volumes[0].bind'],
  [{ healthcheck: { test: 'x', start_interval: '1s' } }, '.healthcheck.start_interval'],
  [{ logging: { driver: 'none' } }, '.logging'],
  [{ tmpfs: '/run' }, '.tmpfs'],
]
for (const [keys, path] of unsupported) {
  test(`${JSON.stringify(keys)} is named as not supported`, () => {
    const { errors, warnings } = parseDescriptor(file(keys), AROUND)
    assert.deepEqual(errors, [])
    const found = warnings.find(({ field }) => field === `$.services.web${path}`)
    assert.match(found?.problem ?? '', /is not supported and has no effect/)
  })
}

test('a service of a profile is left out, and one that nobody can call is warned about', () => {
  const { services, warnings } = parseDescriptor(file({ profiles: ['debug'] }))
  assert.deepEqual(
    services.map(({ name }) => name),
    ['db'],
  )
  assert.match(warnings[0]?.problem ?? '', /belongs to a profile/)
  const called = parseDescriptor(file({ depends_on: ['db'] }))
  assert.match(called.warnings.find(({ field }) => field === '$.services.db')?.problem ?? '', /declares no port/)
})

test('a settled file gives the same services on a device that knows nothing of its surroundings', () => {
  const here = parseDescriptor(fixture, AROUND)
  const there = parseDescriptor(here.settled)
  assert.deepEqual(there.errors, [])
  assert.deepEqual(there.services, here.services)
  assert.equal(there.settled, here.settled)
})

test('a mistyped key brings the right one to mind', () => {
  const { warnings } = parseDescriptor(file({ enviroment: {}, 'x-mine': 1 }))
  assert.deepEqual(
    warnings.map(({ problem }) => problem),
    ['"enviroment" is not supported and has no effect: did you mean "environment"?'],
  )
})

test('anchors that grow without end are an error', () => {
  const names = [...'abcdefghij']
  const grow = names.map((name, index) =>
    index === 0
      ? `${name}: &a [x, x, x, x]`
      : `${name}: &${name} [*${names[index - 1]}, *${names[index - 1]}, *${names[index - 1]}, *${names[index - 1]}]`,
  )
  const { errors } = parseDescriptor(`services: {web: {image: x}}\n${grow.map((line) => `x-${line}`).join('\n')}\n`)
  assert.match(errors[0]?.problem ?? '', /not YAML/)
})

test('whatever stands in a service, reading ends, and what is valid fits a record', () => {
  // Objects that cannot become text, as JSON may hold them.
  const bare = { toString: 1, valueOf: 1 }
  const odd = fc.constantFrom<unknown>(
    bare,
    [bare],
    { x: bare },
    { test: bare, target: bare, memory: bare, count: bare },
  )
  const key = fc.constantFrom(
    ...['command', 'ports', 'volumes', 'environment', 'env_file', 'deploy', 'healthcheck', 'restart', 'labels'],
    ...['depends_on', 'expose', 'devices', 'user', 'image', 'profiles', 'mem_limit', 'stop_grace_period', 'scale'],
  )
  const nested = fc.dictionary(
    fc.constantFrom('resources', 'placement', 'test', 'mode', 'limits', 'devices'),
    fc.jsonValue(),
  )
  fc.assert(
    fc.property(fc.dictionary(key, fc.oneof(fc.jsonValue({ maxDepth: 3 }), nested, odd), { maxKeys: 4 }), (keys) => {
      const parsed = parseDescriptor(file(keys), AROUND)
      assert.equal(parsed.valid, parsed.errors.length === 0)
      for (const spec of parsed.services) assert.deepEqual(decodeSpec(encodeSpec(spec)), { ok: true, value: spec })
    }),
    { seed: 20261122, numRuns: 1_000 },
  )
})

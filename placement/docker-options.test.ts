// What a spec becomes when a container is created from it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  containerHealthPort,
  containerOptions,
  endpointOf,
  imageReference,
  isImageReference,
  launchProblem,
} from './docker-options.ts'
import { launchOf, specWith } from './launch-fixture.ts'

const WEB = { declared: 80, internal: 8080, protocol: 'tcp' } as const
const DNS = { declared: 53, internal: 53, protocol: 'udp' } as const
const create = (spec: Parameters<typeof launchOf>[0]) => containerOptions(launchOf(spec), '12D3KooWNodeAbcdefgh')

test('limits become bytes without swap and billionths of a cpu; no limit is no field', () => {
  const limited = create({ memoryMb: 100, vcpus: 0.25 }).HostConfig
  assert.deepEqual([limited.Memory, limited.MemorySwap, limited.NanoCpus], [100_000_000, 100_000_000, 250_000_000])
  const free = create({}).HostConfig
  assert.equal('Memory' in free || 'NanoCpus' in free, false)
})

test('a memory limit below what Docker takes becomes the least that it takes', () => {
  assert.equal(create({ memoryMb: 1 }).HostConfig.Memory, 6_291_456)
})

test('ports are published on loopback at a port that Docker chooses', () => {
  const { ExposedPorts, HostConfig } = create({ ports: [WEB, DNS] })
  assert.deepEqual(ExposedPorts, { '8080/tcp': {}, '53/udp': {} })
  const anywhere = [{ HostIp: '127.0.0.1', HostPort: '' }]
  assert.deepEqual(HostConfig.PortBindings, { '8080/tcp': anywhere, '53/udp': anywhere })
})

test('the port of a health check is published too, by its outer number or its own', () => {
  const check = (port: number) =>
    ({
      kind: 'tcp',
      port,
      path: '/',
      intervalMs: 100,
      timeoutMs: 100,
      retries: 1,
      command: [],
      startPeriodMs: 0,
    }) as const
  assert.deepEqual(Object.keys(create({ ports: [WEB], healthcheck: check(80) }).ExposedPorts), ['8080/tcp'])
  assert.deepEqual(Object.keys(create({ ports: [WEB], healthcheck: check(8080) }).ExposedPorts), ['8080/tcp'])
  assert.deepEqual(Object.keys(create({ ports: [WEB], healthcheck: check(9000) }).ExposedPorts), [
    '8080/tcp',
    '9000/tcp',
  ])
  const published = { '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: '32770' }] }
  assert.equal(containerHealthPort(specWith({ ports: [WEB], healthcheck: check(80) }), published), 32_770)
  assert.equal(containerHealthPort(specWith({ ports: [WEB], healthcheck: check(9000) }), published), null)
})

test('our labels win over those of the spec, and Docker never restarts anything by itself', () => {
  const { Labels, HostConfig } = create({ labels: { 'coppice.node': 'other', tier: 'front' } })
  assert.deepEqual(Labels, {
    tier: 'front',
    'coppice.node': '12D3KooWNodeAbcdefgh',
    'coppice.key': 'shop.test.web.test#0',
    'coppice.spec': 'a1',
  })
  assert.deepEqual(HostConfig.RestartPolicy, { Name: 'no' })
})

test('a container learns its ports as a process does, unless the spec says otherwise', () => {
  assert.ok(create({ ports: [WEB] }).Env.includes('PORT=8080'))
  assert.ok(create({ ports: [WEB] }).Env.includes('PORT_80=8080'))
  assert.ok(create({ ports: [WEB], environment: { PORT: '1' } }).Env.includes('PORT=1'))
})

test('an image without a tag means its latest, also behind a registry with a port', () => {
  assert.equal(imageReference('nginx'), 'nginx:latest')
  assert.equal(imageReference('registry.test:5000/nginx'), 'registry.test:5000/nginx:latest')
  assert.equal(imageReference('nginx:1.27'), 'nginx:1.27')
  assert.equal(imageReference('nginx@sha256:00'), 'nginx@sha256:00')
})

test('an image is called as Docker calls it, and nothing that leads elsewhere is a name', () => {
  const digest = `sha256:${'ab'.repeat(32)}`
  const good = ['nginx', 'nginx:1.27', 'ghcr.io/a/b-c_d/e__f:v1', 'localhost:5000/x', '[::1]:5000/x:y', digest]
  for (const name of [...good, `a.b/c@${digest}`, `c:1@${digest}`]) assert.ok(isImageReference(name), name)
  const bad = [
    '',
    '../containers/x',
    'a/../b',
    'a/..',
    '/a',
    'a//b',
    'a b',
    'a?all=1',
    'a#b',
    'a%2e%2e',
    'a:b/c',
    'A/B',
  ]
  for (const name of [...bad, 'a'.repeat(513), `a@${digest}0`]) assert.ok(!isImageReference(name), name)
})

test('a spec that nobody’s descriptor would become makes no container', () => {
  const problem = (more: Parameters<typeof launchOf>[0]) => launchProblem(launchOf({ code: 'nginx', ...more }))
  assert.equal(problem({ volumes: ['cache:/cache'], devices: ['/dev/kvm'] }), null)
  assert.match(problem({ code: '../containers/x' }) ?? '', /no image reference/)
  assert.match(
    problem({ volumes: ['cache:/cache', '../../etc:/x'] }) ?? '',
    /neither the name of a volume nor a folder/,
  )
  assert.match(problem({ devices: ['/dev/snd/../sda'] }) ?? '', /no device file/)
})

test('the endpoint holds what Docker published and names what it did not', () => {
  const published = { '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: '32770' }], '53/udp': null }
  const { endpoint, missing } = endpointOf(specWith({ ports: [WEB, DNS] }), published)
  assert.deepEqual(endpoint, { host: '127.0.0.1', ports: [{ declared: 80, actual: 32_770, protocol: 'tcp' }] })
  assert.deepEqual(missing, ['53/udp'])
})

test('entry point, working folder, user and process limit are asked for when the spec says so, and only then', () => {
  const plain = create({})
  assert.deepEqual(
    ['Entrypoint', 'WorkingDir', 'User'].filter((field) => field in plain),
    [],
  )
  assert.equal(plain.HostConfig.PidsLimit, 1_024)
  const set = create({ entrypoint: ['/init'], command: ['a'], workingFolder: '/srv', user: '1000:1000', pidsMax: 20 })
  assert.deepEqual([set.Entrypoint, set.Cmd, set.WorkingDir, set.User], [['/init'], ['a'], '/srv', '1000:1000'])
  assert.equal(set.HostConfig.PidsLimit, 20)
})

test('device files are passed as docker run --device takes them', () => {
  const { Devices } = create({
    devices: ['/dev/null', '/dev/zero:/dev/nought', '/dev/a:/dev/b:r', '/dev/c:rw'],
  }).HostConfig
  assert.deepEqual(
    Devices.map(({ PathOnHost, PathInContainer, CgroupPermissions }) => [
      PathOnHost,
      PathInContainer,
      CgroupPermissions,
    ]),
    [
      ['/dev/null', '/dev/null', 'rwm'],
      ['/dev/zero', '/dev/nought', 'rwm'],
      ['/dev/a', '/dev/b', 'r'],
      ['/dev/c', '/dev/c', 'rw'],
    ],
  )
})

test('graphics cards are asked for whole, and not at all where none is wanted', () => {
  assert.equal('DeviceRequests' in create({}).HostConfig, false)
  assert.deepEqual(create({ vgpus: 1.5 }).HostConfig.DeviceRequests, [
    { Driver: '', Count: 2, Capabilities: [['gpu']] },
  ])
})

test('a command that checks the health publishes no port', () => {
  const healthcheck = {
    kind: 'command',
    port: 0,
    path: '',
    intervalMs: 100,
    timeoutMs: 100,
    retries: 1,
    command: ['true'],
    startPeriodMs: 0,
  } as const
  assert.deepEqual(create({ healthcheck }).ExposedPorts, {})
  assert.equal(containerHealthPort(specWith({ healthcheck }), {}), null)
})

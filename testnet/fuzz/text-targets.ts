// Everything that reads what people and programs write: descriptors, Compose files, names, selectors, request lines.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BootstrapError } from '../../bootstrap/errors.ts'
import { encodeInvite } from '../../bootstrap/invite.ts'
import { nodeCrypto } from '../../bootstrap/io/crypto.ts'
import { readInvite } from '../../bootstrap/io/redeem-invite.ts'
import { decodeRequest } from '../../bootstrap/operator-request.ts'
import { parseAddress } from '../../overlay/address.ts'
import { parsePlace } from '../../overlay/coordinates/distance.ts'
import { locationIn, servicesIn, valueIn } from '../../overlay/gateway-messages.ts'
import { readConnectTarget, readTarget } from '../../overlay/http-forwarding.ts'
import type { DomainPath, FederationId } from '../../overlay/kernel/ids.ts'
import { pick, type Random } from '../../overlay/kernel/random.ts'
import { parseVirtualAddress } from '../../overlay/virtual-address.ts'
import { readAddedFile } from '../../placement/added-files.ts'
import { readEnvironmentFile } from '../../placement/compose-variables.ts'
import { parseDescriptor } from '../../placement/descriptor.ts'
import type { Report } from '../../placement/descriptor-report.ts'
import { imageReference } from '../../placement/docker-options.ts'
import { readPolicy } from '../../placement/policy.ts'
import { parseEnvironment } from '../../placement/process-exec.ts'
import { readRegistry, registryOf } from '../../placement/registry-login.ts'
import { parseSelector } from '../../placement/selector.ts'
import { chance } from '../sim/streams.ts'
import { mutateBytes, mutateValue } from './mutate.ts'
import type { Target } from './target.ts'

interface TextReader {
  readonly name: string
  readonly weight: number
  readonly samples: readonly string[]
  readonly read: (text: string) => boolean
}

const FIXTURES = join(import.meta.dirname, '../../placement/fixtures')
const fixture = (name: string): string => readFileSync(join(FIXTURES, name), 'utf8')

const COMPOSE = `name: shop
services:
  web:
    image: nginx:1.27
    ports: ['8080:80']
    environment: { MODE: fast }
    deploy: { replicas: 2 }
`

const POLICY = JSON.stringify({
  own: { runtimes: ['docker'] },
  others: { runtimes: ['docker'], limit: { cpu_share: 0.5 }, host_paths: ['/srv/*'] },
  rules: [{ operators: ['x'], namespaces: ['web'], images: ['nginx:*'] }],
  locks: [{ until: '2099-01-01T00:00:00Z' }],
  hold: { reason: 'harvest' },
})

const INVITE = encodeInvite({
  federation: 'ab'.repeat(32) as FederationId,
  federationName: 'Green Fields',
  addresses: ['/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWJfZZRsqoTEYL2aRCTHRGBSEzqfUYDuy4x9Ghn8XJh7kQ'],
  domain: '/home' as DomainPath,
  inviteId: new Uint8Array(8),
  secret: new Uint8Array(32),
  expiresAt: 1_790_000_000_000,
})

const READERS: readonly TextReader[] = [
  {
    name: 'descriptor',
    weight: 4,
    samples: ['pipeline.json', 'slides.json', 'process.json', 'additions.json'].map(fixture),
    read: (text) => !parseDescriptor(text).valid,
  },
  {
    name: 'compose',
    weight: 3,
    samples: [`name: shop\n${fixture('compose.yaml')}`, COMPOSE],
    read: (text) => !parseDescriptor(text).valid,
  },
  {
    name: 'address',
    weight: 2,
    samples: ['shop.sim.web.sim.0.rr.local:8080', 'web.shop.internal', '127.30.0.7'],
    read: (text) => {
      parseVirtualAddress(text)
      return !parseAddress(text).ok
    },
  },
  {
    name: 'http-target',
    weight: 2,
    samples: ['http://shop.sim.web.sim.0.rr.local:8080/a?b=c', '/path', 'shop.sim.web.sim.0.rr.local:443'],
    read: (text) => !readTarget(text, text).ok && !readConnectTarget(text).ok,
  },
  {
    name: 'selector',
    weight: 2,
    samples: ['berlin-*, !berlin-3', '/^a[0-9]+$/ gpu=yes', 'zone=eu !slow'],
    read: (text) => {
      const parsed = parseSelector(text)
      if (!parsed.ok) return true
      parsed.value({ names: ['berlin-1', 'a'.repeat(64)], labels: ['zone=eu'] })
      return false
    },
  },
  {
    name: 'invite',
    weight: 2,
    samples: [INVITE],
    read: (text) => isRefused(BootstrapError, () => readInvite(text)),
  },
  {
    name: 'operator-request',
    weight: 1,
    samples: ['coppice-operator1:AAAAAAAAAAAA'],
    read: (text) => !decodeRequest(text, nodeCrypto).ok,
  },
  {
    name: 'environment-file',
    weight: 1,
    samples: ['A=1\nexport B="two words"\n# no more\nC=$A\n', "D: 'x'\n"],
    read: (text) => {
      const report: Report = { errors: [], warnings: [] }
      readEnvironmentFile(report, text, { A: 'a' }, '$')
      return report.errors.length > 0
    },
  },
  {
    name: 'gateway',
    weight: 1,
    samples: [
      'HTTP/1.1 200 OK\r\nLOCATION: http://192.168.7.254:5000/root.xml\r\nST: x\r\n\r\n',
      '<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>' +
        '<controlURL>/c</controlURL></service>',
      '<s:Body><u:x><NewExternalIPAddress>192.0.2.1</NewExternalIPAddress></u:x></s:Body>',
    ],
    read: (text) => {
      const found = servicesIn(text, new URL('http://192.168.7.254:5000/root.xml'))
      return (
        locationIn(text, '192.168.7.254') === null &&
        found.length === 0 &&
        valueIn(text, 'NewExternalIPAddress') === null
      )
    },
  },
  { name: 'place', weight: 1, samples: ['52.5,13.4', '-1,2'], read: (text) => parsePlace(text) === null },
  { name: 'policy', weight: 2, samples: [POLICY], read: (text) => !readPolicy(text).ok },
  {
    name: 'image',
    weight: 2,
    samples: ['docker.io/library/nginx:1.27@sha256:abcd', 'https://example.org/x#sha256=ab', 'ghcr.io:443/a/b'],
    read: (text) => {
      imageReference(text)
      registryOf(text)
      parseEnvironment(text)
      const file = readAddedFile({ url: text, path: text })
      if (file.ok && file.value.parts.includes('..')) throw new Error('a path that leads out')
      return readRegistry(text) === null
    },
  },
]

/** Whether it throws an error for its caller; any other is a bug. */
function isRefused(Kind: new (...words: never[]) => Error, read: () => unknown): boolean {
  try {
    read()
    return false
  } catch (problem) {
    if (problem instanceof Kind) return true
    throw problem
  }
}

export const textTargets = (): readonly Target[] => READERS.map(targetOf)

const targetOf = ({ name, weight, samples, read }: TextReader): Target => ({
  name,
  weight,
  open: () => ({
    fire: (random, onInput) => {
      const text = changedText(random, pick(random, samples) ?? '')
      onInput(Buffer.from(text))
      return { refused: read(text) }
    },
    end: () => undefined,
  }),
})

/** Another value where it is JSON, or other bytes. */
function changedText(random: Random, text: string): string {
  if (text.startsWith('{') && chance(random, 0.6)) return JSON.stringify(mutateValue(random, JSON.parse(text)))
  return Buffer.from(mutateBytes(random, Buffer.from(text))).toString(chance(random, 0.5) ? 'utf8' : 'latin1')
}

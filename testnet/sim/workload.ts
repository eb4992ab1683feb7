// What people do meanwhile: they deploy, update, scale and remove services, jobs and daemons, on whatever device they
// happen to stand at.

import { type DomainPath, ROOT } from '../../overlay/kernel/ids.ts'
import { pick, type Random, randomInt } from '../../overlay/kernel/random.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import { type ServiceSpec, SPEC_DEFAULTS, serviceIdOf } from '../../placement/spec.ts'
import type { Device } from './device.ts'
import { RUNTIME } from './runtime.ts'
import { between, chance } from './streams.ts'

export interface PlannedRequest {
  readonly at: Millis
  readonly domain: DomainPath
  readonly spec: ServiceSpec
  readonly isRemoval: boolean
}

/** Few and small enough that everything fits, even with a device lost: what finds no place is another test's matter. */
const SERVICES_MAX = 4
const REPLICAS_MAX = 3
const REQUESTS_PER_SERVICE_MAX = 4
const REMOVALS = 0.25
const JOBS = 0.15
const DAEMONS = 0.15
/** The last service ends itself where no leader is in reach for so long. */
const STOP_AFTER_MS = 5_000
/** A new version is watched for so long; short, so that runs end. */
const MONITOR_MS = 1_000

export function planRequests(
  random: Random,
  domains: readonly DomainPath[],
  untilMs: Millis,
): readonly PlannedRequest[] {
  const requests: PlannedRequest[] = []
  const services = randomInt(random, 1, SERVICES_MAX + 1)
  for (let number = 0; number < services; number++) {
    const domain = chance(random, 0.6) ? ROOT : (pick(random, domains) as DomainPath)
    const spec = drawSpec(random, number)
    const count = randomInt(random, 1, REQUESTS_PER_SERVICE_MAX + 1)
    for (let request = 0; request < count; request++) {
      const at = between(random, 0, untilMs)
      const replicas = randomInt(random, 1, REPLICAS_MAX + 1)
      const isRemoval = request > 0 && chance(random, REMOVALS)
      // A later version may need more than the first: instances are replaced, not only added.
      const vcpus = chance(random, 0.3) ? 0.2 : spec.vcpus
      const environment = spec.kind === 'service' ? { VERSION: `${randomInt(random, 1, 4)}` } : {}
      requests.push({ at, domain, spec: { ...spec, replicas, vcpus, environment }, isRemoval })
    }
  }
  return requests
}

/** Mostly services; a job that takes some seconds, and a daemon that is small enough for every device, now and then. */
function drawSpec(random: Random, number: number): ServiceSpec {
  const plain = { ...simpleSpec(`s${number}`), memoryMb: randomInt(random, 5, 30) * 10 }
  const isLast = number === SERVICES_MAX - 1
  const spec = isLast ? { ...plain, disconnect: { ...plain.disconnect, stopAfterMs: STOP_AFTER_MS } } : plain
  if (chance(random, JOBS)) return { ...spec, kind: 'job', command: ['run', `${randomInt(random, 100, 8_000)}`, '0'] }
  return chance(random, DAEMONS) ? { ...spec, kind: 'daemon', memoryMb: 20 } : spec
}

/** A service that fits anywhere. */
export const simpleSpec = (name: string): ServiceSpec => ({
  app: 'shop',
  appNamespace: 'sim',
  name,
  namespace: 'sim',
  kind: 'service',
  runtime: RUNTIME,
  code: '',
  command: ['serve'],
  environment: {},
  memoryMb: 100,
  vcpus: 0.1,
  vgpus: 0,
  storageMb: 0,
  ...SPEC_DEFAULTS,
  update: { ...SPEC_DEFAULTS.update, monitorMs: MONITOR_MS, onFailure: 'continue' },
  ports: [{ declared: 80, internal: 8_080, protocol: 'tcp' }],
  volumes: [],
  privileged: false,
  replicas: 1,
  restart: { policy: 'always', delayMs: 100, delayMsMax: 2_000 },
  healthcheck: null,
  stopGraceMs: 1_000,
  priority: 100,
  labels: {},
  constraints: [],
})

/** Makes the request at a device that is up; nobody can make one where none is. */
export function request(random: Random, devices: readonly Device[], { domain, spec, isRemoval }: PlannedRequest): void {
  const up = devices.filter((device) => device.isUp)
  const service = serviceIdOf(spec)
  pick(random, up)?.input({ kind: 'submit', domain, service, spec: isRemoval ? null : spec })
}

// For tests: launches in which everything has its default but what a test is about.

import { instanceKey, serviceId } from '../overlay/kernel/ids.ts'
import type { Launch } from './runtime.ts'
import { type ServiceSpec, SPEC_DEFAULTS } from './spec.ts'

/** A spec that asks for nothing but the command. */
export const specWith = (parts: Partial<ServiceSpec>): ServiceSpec => ({
  app: 'shop',
  appNamespace: 'test',
  name: 'web',
  namespace: 'test',
  kind: 'service',
  runtime: 'process',
  code: '',
  command: [],
  environment: {},
  memoryMb: 0,
  vcpus: 0,
  vgpus: 0,
  storageMb: 0,
  ...SPEC_DEFAULTS,
  ports: [],
  volumes: [],
  privileged: false,
  replicas: 1,
  restart: { policy: 'always', delayMs: 0, delayMsMax: 0 },
  healthcheck: null,
  stopGraceMs: 1_000,
  priority: 0,
  labels: {},
  constraints: [],
  ...parts,
})

export const launchOf = (spec: Partial<ServiceSpec>, number = 0, specId = 'a1'): Launch => ({
  key: instanceKey(serviceId('shop.test.web.test'), number),
  spec: specWith(spec),
  specId,
  restarts: 0,
})

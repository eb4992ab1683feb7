// Where a health check knocks: the spec names a port as callers or as the instance itself know it, the endpoint knows
// where it answers.

import type { Endpoint } from '../services-registry/record.ts'
import type { ServiceSpec } from './spec.ts'

/**
 * The port to probe at the endpoint's host, null where none is; a port that was never declared is taken literally.
 */
export function healthPort(spec: Pick<ServiceSpec, 'healthcheck' | 'ports'>, endpoint: Endpoint): number | null {
  if (spec.healthcheck === null || spec.healthcheck.kind === 'command') return null
  const { port } = spec.healthcheck
  const tcp = spec.ports.filter((entry) => entry.protocol === 'tcp')
  const meant = tcp.find((entry) => entry.declared === port) ?? tcp.find((entry) => entry.internal === port)
  const answering = endpoint.ports.find((entry) => entry.declared === meant?.declared && entry.protocol === 'tcp')
  return answering?.actual ?? port
}

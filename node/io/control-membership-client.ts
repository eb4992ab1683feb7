// The part of the control client that asks about who belongs.

import type { MembershipControl } from '../control-membership.ts'

/** The methods of MembershipControl, asked from another process. */
export type MembershipClient = {
  [K in keyof MembershipControl]: (
    ...words: Parameters<MembershipControl[K]>
  ) => Promise<Awaited<ReturnType<MembershipControl[K]>>>
}

type Ask = <T>(method: string, path: string, body?: unknown) => Promise<T>

export function membershipClient(ask: Ask): MembershipClient {
  const part = async <K extends string>(name: K, method: string, path: string, body?: unknown): Promise<string> =>
    (await ask<Readonly<Record<K, string>>>(method, path, body))[name]
  return {
    invite: (request) => part('invite', 'POST', '/v1/invites', request),
    invites: () => ask('GET', '/v1/invites'),
    takeBackInvite: (id) => ask('DELETE', `/v1/invites/${encodeURIComponent(id)}`),
    revoke: (node, isCredentialOnly = false) => ask('POST', '/v1/revocations', { node, isCredentialOnly }),
    charterLog: () => ask('GET', '/v1/charter'),
    charterFile: () => part('file', 'GET', '/v1/charter/file'),
    takeCharter: (file) => ask('POST', '/v1/charter', { file }),
    admitOperator: (request) => ask('POST', '/v1/operators', { request }),
    removeOperator: (who, reason) => ask('POST', '/v1/operators/removals', { who, reason }),
    signCharter: (entry) => ask('POST', '/v1/charter/signatures', { entry }),
    setThreshold: (threshold) => ask('POST', '/v1/charter/threshold', { threshold }),
    rotateOperator: (isLost) => ask('POST', '/v1/operators/rotations', { isLost }),
    federate: (request) => ask('POST', '/v1/federation', request),
    prepare: (device) => part('prepared', 'POST', '/v1/devices', device),
  }
}

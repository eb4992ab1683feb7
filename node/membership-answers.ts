// What a running member answers about who belongs: invites, operators, the charter, and devices that are still to go
// out.

import {
  loadOperatorKey,
  type MembershipGate,
  OPERATOR_KEY_FILE,
  type Proposed,
  prepareDevice,
  writeNextOperatorKey,
} from '../bootstrap/index.ts'
import type { NodeId } from '../overlay/kernel/ids.ts'
import { parseDomainPath } from '../overlay/kernel/ids.ts'
import { asCoppiceError } from './boot.ts'
import type { MembershipControl, ProposalView } from './control-membership.ts'
import { CoppiceError } from './errors.ts'
import { federate } from './federate/lead.ts'
import type { Member } from './node.ts'

/** Addresses in an invite: the first of this node's. */
const ADDRESSES_MAX = 8

/** `findNode` turns what a person calls a node into its id. */
export function membershipAnswers(member: Member, findNode: (who: string) => NodeId): MembershipControl {
  const { gate, host, network } = member
  const addresses = (): readonly string[] => network.addresses().slice(0, ADDRESSES_MAX)
  const { operators } = gate
  return {
    invite: ({ domain, uses, ttlMs, node = null, isEnrolling = false }) => {
      const into = domain ?? member.core.view.self.domain
      const capabilities = isEnrolling ? { capabilities: [...gate.facts.capabilities] } : {}
      const bound = node === null ? {} : { node: node as NodeId }
      return asked(gate.mintInvite({ domain: into, uses, ttlMs, addresses: addresses(), ...capabilities, ...bound }))
    },
    invites: () => gate.invites(),
    takeBackInvite: (id) => asked(gate.takeBackInvite(id)),
    revoke: async (who, isCredentialOnly = false) => {
      const node = findNode(who)
      const why = 'revoked by coppice revoke'
      const proposed = await asked(
        isCredentialOnly ? operators.revokeCredentials(node, why) : operators.revoke(node, why),
      )
      if (proposed.isInForce) host.input({ kind: 'revoked', node })
      return { node, charterHead: gate.charter().head, ...viewOf(gate, proposed) }
    },
    charterLog: () => gate.charterLog(),
    charterFile: () => gate.charterFile(),
    takeCharter: async (content) => {
      const { added, problems } = await asked(gate.takeCharterFile(content))
      const waiting = gate.charterLog().entries.filter(({ state }) => state === 'waiting').length
      return { added: added.length, waiting, problems: problems.map(({ detail }) => detail) }
    },
    admitOperator: async (request) => viewOf(gate, await asked(operators.admit(request))),
    removeOperator: async (who, reason) => viewOf(gate, await asked(operators.remove(who, reason))),
    signCharter: async (entry) => (await asked(operators.sign(entry))).map((proposed) => viewOf(gate, proposed)),
    setThreshold: async (threshold) => viewOf(gate, await asked(operators.setThreshold(threshold))),
    rotateOperator: (isLost) => rotate(member, isLost),
    federate: (request) => federate(member, request),
    prepare: async ({ name, domain }) => {
      const into = domain ?? member.core.view.self.domain
      const parsed = parseDomainPath(into)
      if (!parsed.ok) throw new CoppiceError('bad-domain', parsed.error, 'A domain is written as a path: /berlin.')
      return await asked(prepareDevice({ gate, name, domain: parsed.value, addresses: addresses() }))
    },
  }
}

/**
 * Changes the operator's key: the next one is on the disk before anybody hears of it, and takes the old one's place
 * when the charter says so. A crash in between leaves both.
 */
async function rotate(member: Member, isLost: boolean): Promise<ProposalView> {
  const { gate, folder } = member
  const path = `${folder.dataDir}/${OPERATOR_KEY_FILE}`
  const old = await asked(loadOperatorKey(path))
  if (old === null) {
    const hint = 'Do this on the device that has it.'
    throw new CoppiceError('no-operator-key', 'this device has no operator key', hint)
  }
  const next = await asked(writeNextOperatorKey(path, old.name))
  const proposed = await asked(gate.operators.rotate(next.key, isLost))
  gate.replaceOperatorKey(next.key)
  await asked(next.takePlace())
  return viewOf(gate, proposed)
}

const viewOf = (gate: MembershipGate, { hash, kind, isInForce, signed, needed }: Proposed): ProposalView => ({
  entry: hash,
  kind,
  state: isInForce ? 'in-force' : 'waiting',
  signedBy: signed.map((id) => gate.charter().operators.find((one) => one.id === id || one.key === id)?.name ?? id),
  missing: Math.max(0, needed - signed.length),
})

async function asked<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (problem) {
    throw asCoppiceError(problem)
  }
}

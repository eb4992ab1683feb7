// Who on this device may sign for other nodes: the operator's key where it is here, else the device itself where its
// operator made it a delegate.

import type { NodeId } from '../../overlay/kernel/ids.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import type { Charter } from '../charter.ts'
import { draftClaims, ENROL, grantProblem, isExpired, isRevoked, mayHandOn } from '../credential.ts'
import type { IssuedInvite } from '../enrolment.ts'
import { delegateCredential, type HeldCredential, issueCredential } from './credential-signer.ts'
import type { NodeKey, OperatorKey } from './key-file.ts'

/** What is granted to a node. */
export type Grant = Pick<IssuedInvite, 'domain' | 'capabilities' | 'labels'>

export interface Enroller {
  /** What of this it may not grant, null when all. */
  problemWith(grant: Grant): string | null
  issue(node: NodeId, name: string, grant: Grant): HeldCredential
}

export interface EnrollerOptions {
  readonly nodeKey: NodeKey
  readonly operatorKey: OperatorKey | null
  readonly own: HeldCredential
  readonly charter: Charter
  readonly wall: UnixMillis
}

/** Null when this device may sign for nobody. */
export function enrollerOf({ nodeKey, operatorKey, own, charter, wall }: EnrollerOptions): Enroller | null {
  const { view } = charter
  const claimsOf = (node: NodeId, name: string, { domain, capabilities, labels }: Grant) =>
    draftClaims({ sub: node, federation: view.federation, domain, capabilities, labels, name }, wall)
  if (operatorKey !== null && view.operators.some(({ key }) => key === operatorKey.operator)) {
    return {
      problemWith: ({ capabilities, labels }) => grantProblem(capabilities, labels),
      issue: (node, name, grant) =>
        issueCredential({ ...claimsOf(node, name, grant), iss: operatorKey.operator }, operatorKey, view),
    }
  }
  // Only the operator's own word makes a delegate.
  if (!own.facts.capabilities.includes(ENROL) || own.bearer.delegate !== null) return null
  if (isRevoked(own.bearer, view) || isExpired(own.facts, wall)) return null
  return {
    problemWith: ({ capabilities, labels }) => {
      const excess = capabilities.find((capability) => !mayHandOn(capability, own.facts.capabilities))
      return excess === undefined
        ? grantProblem(capabilities, labels)
        : `"${excess}", which this device may not hand on`
    },
    issue: (node, name, grant) => delegateCredential(claimsOf(node, name, grant), own, nodeKey, view),
  }
}

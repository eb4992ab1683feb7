// Which other operators are told of a service: those whom its operator's policy lets do anything with it, and everyone
// where its descriptor opens it to callers of other namespaces, whose owners only their devices know.

import type { OperatorId } from '../overlay/kernel/ids.ts'
import { SEEN_BY_MAX } from '../services-registry/record.ts'
import { ANY_OPERATOR, NOT_OPERATOR } from '../services-registry/visibility.ts'
import type { PolicyFile } from './policy.ts'
import { rulingFor } from './policy-decision.ts'
import type { ServiceSpec } from './spec.ts'

/** For `seenBy` of a spec record; empty where nobody else sees it, also where more are meant than it has room for. */
export function seersOf(policy: PolicyFile, spec: ServiceSpec, owner: OperatorId): readonly string[] {
  if (spec.callers.length > 0) return [ANY_OPERATOR]
  const sees = (operator: OperatorId | null): boolean =>
    (rulingFor(policy, { operator, spec }, owner).grant.may ?? []).length > 0
  const named = [...new Set((policy.rules ?? []).flatMap(({ operators = [] }) => operators))] as OperatorId[]
  const others = named.filter((operator) => operator !== owner)
  const seenBy = sees(null)
    ? [ANY_OPERATOR, ...others.filter((operator) => !sees(operator)).map((operator) => NOT_OPERATOR + operator)]
    : others.filter(sees)
  return seenBy.length > SEEN_BY_MAX ? [] : seenBy.sort()
}

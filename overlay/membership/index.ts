// Who is here: the roster of one cluster, and the machine that keeps it.

export { MEMBERSHIP_TIMING, type MembershipPreset, type MembershipTiming, WATCHERS_PER_NODE } from './constants.ts'
export {
  createMembership,
  type MembershipOptions,
  refusalsOf,
  rosterOf,
  step,
  wakeAt,
  watchPartnersOf,
} from './membership.ts'
export {
  decodeIncarnation,
  encodeIncarnation,
  incarnationKey,
  type MemberStatement,
  type MembershipMessage,
  memberKey,
  memberKeyPrefix,
  membershipSchemas,
  type SealedReport,
  type SealedStatement,
  type WatcherReport,
} from './messages.ts'
export {
  aliveNodes,
  isPresent,
  type MemberState,
  presentNodes,
  type RosterEntry,
  type RosterView,
} from './roster.ts'
export type { Author, MembershipEffect, MembershipInput, MembershipState, RosterChanged } from './state.ts'

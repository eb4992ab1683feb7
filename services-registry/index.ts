// What should run, and what does, agreed by gossip: the records of a domain, who may make them, and how stores
// converge.

export { storePrefix } from './admit.ts'
export { answerFor, knownOf } from './answer.ts'
export { authorSpec, type NextSpec } from './author.ts'
export {
  type AuthorityView,
  authorize,
  isServiceId,
  mayDeploy,
  type RefusalCode,
  type Verdict,
} from './authority.ts'
export * from './constants.ts'
export {
  createGathering,
  type GatheringInput,
  type GatheringState,
  step as stepGathering,
  wakeAt as gatheringWakeAt,
} from './gathering.ts'
export type { LeaderBook } from './leaders.ts'
export {
  createLookup,
  type LookupEffect,
  type LookupInput,
  type LookupOptions,
  type LookupState,
  type Resolved,
  step as stepLookup,
  wakeAt as lookupWakeAt,
} from './lookup.ts'
export { merge, rulingSpec } from './merge.ts'
export {
  type AnswerMessage,
  type DigestMessage,
  type FetchMessage,
  type GossipMessage,
  type LookupMessage,
  type PushedMessage,
  type PushMessage,
  type RecordsMessage,
  type RegistryMessage,
  recordSchemas,
  registrySchemas,
  type WantMessage,
} from './messages.ts'
export {
  createOutbox,
  OUTBOX_PREFIX,
  type OutboxEffect,
  type OutboxInput,
  type OutboxState,
  type Submitted,
  step as stepOutbox,
  wakeAt as outboxWakeAt,
} from './outbox.ts'
export * from './record.ts'
export type {
  AuthorRecord,
  LeaderWanted,
  PublishSealed,
  RecordChanged,
  RecordRefused,
  StoreEffect,
  StoreInput,
  StoreState,
} from './state.ts'
export { createStore, type StoreOptions, step as stepStore, wakeAt as storeWakeAt } from './store.ts'
export {
  CLOCK_ZERO,
  claimOf,
  compareRecords,
  isInstance,
  isPlacement,
  isRollout,
  isSpec,
  isTombstone,
  numberIn,
  observe,
  slotOf,
  tick,
  versionOf,
} from './version.ts'
export { isNumberOf, isPlacedHere, placedAs, type StoreView } from './view.ts'
export { ANY_OPERATOR, type Asker, maySee, NOT_OPERATOR } from './visibility.ts'

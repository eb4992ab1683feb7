// What runs on which device: descriptors in, placements and running instances out. Drivers and probes stand under io/.

export { carriedOver } from './adopt.ts'
export type { Candidate } from './candidate.ts'
export {
  AGGREGATE_LABELS_MAX,
  PLACEMENT_TIMING,
  type PlacementPreset,
  type PlacementTiming,
  RESERVATION_MS,
} from './constants.ts'
export { type ParsedDescriptor, parseDescriptor } from './descriptor.ts'
export type { FieldError, FieldWarning } from './descriptor-report.ts'
export { DESCRIPTOR_DEFAULTS } from './descriptor-tables.ts'
export { DESCRIPTOR_CHARS_MAX } from './descriptor-text.ts'

export { pressedInstances } from './eviction.ts'
export {
  createInventory,
  forgetChild,
  type Inventory,
  type InventoryRow,
  type InventoryView,
  type NoteOutcome,
  noteAggregate,
  noteSummary,
} from './inventory.ts'
export { decodeKept, KEPT_PREFIX } from './kept.ts'
export {
  type AskMessage,
  type OfferMessage,
  type PlacementMessage,
  placementSchemas,
  type RefuseMessage,
  type ReleaseMessage,
  type ReportMessage,
} from './messages.ts'
export type { Resources } from './need.ts'
export { isServing } from './pace.ts'
export { type Judgement, pluginOf, type SchedulerPlugin, type Score } from './plugin.ts'
export { bestFit } from './plugins/best-fit.ts'
export { ldp } from './plugins/ldp.ts'
export { spread } from './plugins/spread.ts'
export {
  type Deed,
  NO_POLICY,
  type PolicyFile,
  type PolicyProblem,
  policyJsonSchema,
  readPolicy,
  withOperatorIds,
} from './policy.ts'
export { mayDo, rulingFor, whyNotHere, whyPolicyRefuses } from './policy-decision.ts'
export { othersOfferOf, whyNotOffered } from './policy-offer.ts'
export { PRESSURE_DEFAULTS, PRESSURE_KEY, type PressureSettings } from './pressure.ts'
export { type Reason, refusalSentence } from './refusal.ts'
export type { Launch, RuntimeDriver, RuntimeDriverOptions, RuntimeEvent } from './runtime.ts'
export {
  createScheduler,
  type SchedulerOptions,
  step as stepScheduler,
  wakeAt as schedulerWakeAt,
} from './scheduler.ts'
export type { SchedulerEffect, SchedulerInput, SchedulerState } from './scheduler-state.ts'
export { seersOf } from './seers.ts'
export { parseSelector, type Selector } from './selector.ts'
export { type Constraint, decodeSpec, encodeSpec, type ServiceSpec, serviceIdOf } from './spec.ts'
export { specIdOf } from './spec-id.ts'
export {
  type AggregateMessage,
  aggregateChangedEnough,
  aggregateOfNode,
  capacityOf,
  changedEnough,
  type DomainAggregate,
  foldAggregate,
  foldAggregates,
  type NodeSummary,
  publishAt,
  type SummaryMessage,
} from './summary.ts'
export type { CandidateFacts, SchedulerModule } from './user-scheduler.ts'
export { nextVersion } from './versions.ts'
export type { ChildrenView, ChildView, SchedulerView, WorkerView } from './view.ts'
export {
  createWorker,
  ownerHere,
  runningKeys,
  step as stepWorker,
  type WorkerOptions,
  wakeAt as workerWakeAt,
  workerUse,
} from './worker.ts'
export type { RuntimeOperation, WorkerEffect, WorkerInput, WorkerState } from './worker-state.ts'

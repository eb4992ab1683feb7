// Who speaks for a domain: the election machine, what it says, and the book of proven leaders.

export {
  ELECTION_TIMINGS,
  ELECTORS_MAX_CHOICES,
  ELECTORS_MAX_DEFAULT,
  type ElectionTiming,
  type ElectorsMax,
  type PresetName,
} from './constants.ts'
export { isTwinOf } from './credibility.ts'
export { step, wakeAt } from './election.ts'
export { type FitnessReading, fitnessOf } from './fitness.ts'
export { hasAbleHeir, hasHeir } from './handing-over.ts'
export {
  createLeaderBook,
  type KnownLeadership,
  type LeaderBook,
  type LeaderBookView,
  type LearnProblem,
} from './leaders.ts'
export {
  type Announcement,
  type ElectionMessage,
  type ElectorMessage,
  electionSchemas,
  isWitnessMessage,
  type Proof,
  type ProofWanted,
  senderOf,
  type Vote,
  type WitnessMessage,
} from './messages.ts'
export { type RecoveryProblem, recoveryProblem } from './operator-order.ts'
export { checkProof, type ProofProblem, speaksFor } from './proof.ts'
export { compareTerms, electorIds, majorityOf, type Register } from './register.ts'
export { isTied, seatKey } from './saved.ts'
export { mayOpenAbove, waitsForBelow } from './speaking.ts'
export {
  type Autonomy,
  type ChildFact,
  childrenFrom,
  createElection,
  type ElectionEffect,
  type ElectionInput,
  type ElectionOptions,
  type ElectionState,
  type Fence,
  isElector,
  type Meeting,
  type OwnAnnouncement,
} from './state.ts'
export { addressed, heardAs, isDoubtful, objectionTo } from './witness.ts'

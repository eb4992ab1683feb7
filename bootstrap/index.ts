// How a device becomes a member of a federation, and who is believed.

export type { CharterView } from './charter.ts'
export { type Operator, operatorOfKey } from './charter-authority.ts'
export type { Threshold } from './charter-entry.ts'
export type { CharterLog, LoggedEntry } from './charter-log.ts'
export {
  CLOCK_SKEW_MS,
  CREDENTIAL_LIFETIME_MS,
  type CredentialProblem,
  ENROL,
  FOUNDER_CAPABILITIES,
  isDueForRenewal,
  MEMBER_CAPABILITIES,
} from './credential.ts'
export { INVITE_LIFETIME_MS_MAX, INVITE_USES_MAX, type InviteView, type RedeemRefusalCode } from './enrolment.ts'
export { BootstrapError, type BootstrapErrorCode } from './errors.ts'
export { decodeInvite, INVITE_ADDRESSES_MAX, type Invite, type InviteProblem } from './invite.ts'
export type { Proposed } from './io/charter-keeper.ts'
export type { MintOptions } from './io/enrolment-desk.ts'
export { signFederationOrder } from './io/federation-signer.ts'
export { createGate, type GateOptions, type MembershipGate } from './io/gate.ts'
export {
  createOperatorKey,
  loadOperatorKey,
  loadOrCreateNodeKey,
  NODE_KEY_FILE,
  type NodeKey,
  OPERATOR_KEY_FILE,
  type OperatorKey,
  writeNextOperatorKey,
} from './io/key-file.ts'
export { type FoundOptions, foundFederation, loadMembership, type Membership } from './io/membership.ts'
export { askOther, credentialThere, withRevocations } from './io/other-federation.ts'
export { openPassage, PASSAGE_BYTES_MAX, PASSAGE_SEEDS_MAX, type Passage, packPassage } from './io/passage.ts'
export { openPolicy, signPolicy } from './io/policy-signer.ts'
export { isPrepared, prepareDevice, takePrepared } from './io/prepare.ts'
export { type Accepted, askToJoin, type RedeemOptions, readInvite, redeemInvite } from './io/redeem-invite.ts'
export { openSealed, sealTo } from './io/sealed-box.ts'
export { PASSAGE_BEGUN_KEY, PASSAGE_KEY, POLICY_KEY, type Store } from './io/store.ts'
export { type BootstrapMessage, bootstrapSchemas, type CharterMessage, HELLO_BYTES_MAX } from './messages.ts'
export { type Collision, collisionsOf, type Named, namedSchema, takenNames } from './names.ts'
export { type PolicyStatement, supersedes } from './policy-statement.ts'

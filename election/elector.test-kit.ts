// One elector by itself: `berlin-1`, one of three, in term 1 of epoch 7; and what it is told, message by message.

import assert from 'node:assert/strict'
import { type DomainPath, type NodeId, nodeId } from '../overlay/kernel/ids.ts'
import { seededRandom } from '../overlay/kernel/random.ts'
import { ELECTION_TIMINGS } from './constants.ts'
import { step } from './election.ts'
import type { ElectorMessage } from './messages.ts'
import { encodeSaved } from './saved.ts'
import { createElection, type ElectionEffect, type ElectionInput, type ElectionState } from './state.ts'
import { nodes, sealBy, voteBy } from './wire.test-kit.ts'

export const berlin = '/berlin' as DomainPath
export const { lan } = ELECTION_TIMINGS
export const self = nodeId('berlin-1')
export const second = nodeId('berlin-2')
export const third = nodeId('berlin-3')
const random = seededRandom(5)
export const at = (now: number) => ({ now, wall: now, random })

export const register = {
  line: 'line-a',
  epoch: 7,
  term: 1,
  index: 4,
  electors: nodes('berlin', 3).map((child) => ({ child, ticket: `ticket of ${child}` })),
  predecessor: null,
  memory: {},
}
export const version = { epoch: 7, term: 1, index: 4 }
export const saved = encodeSaved({ epoch: 7, term: 1, votedFor: second, ticket: `ticket of ${self}`, register })

export const options = {
  domain: berlin,
  self,
  timing: lan,
  electorsMax: 5,
  autonomy: 'automatic' as const,
  fitness: 0.5,
  speaker: null,
}

export function elector(): ElectionState {
  const { state, damaged } = createElection({ ...options, saved }, at(0))
  assert.equal(damaged, null)
  return step(state, { kind: 'start' }, at(0)).state
}

/**
 * Every effect of some inputs in order, as its kind or the kind of its message; what waits for a write stands in
 * brackets.
 */
export function told(
  state: ElectionState,
  now: number,
  ...inputs: readonly ElectionInput[]
): readonly [ElectionState, string] {
  const names: string[] = []
  let current = state
  for (const input of inputs) {
    const next = step(current, input, at(now))
    current = next.state
    names.push(...namesOf(next.effects))
  }
  return [current, names.join(' ')]
}

export const namesOf = (effects: readonly ElectionEffect[]): readonly string[] =>
  effects.flatMap((effect) => {
    if (effect.kind === 'emit' || effect.kind === 'again') return []
    if (effect.kind === 'send') return [`${effect.message.kind.slice('election/'.length)}>${effect.to.slice(-1)}`]
    return effect.kind === 'persist' ? [`persist[${namesOf(effect.then).join(' ')}]`] : [effect.kind]
  })

export const from = (node: NodeId, message: ElectorMessage): ElectionInput => ({
  kind: 'message',
  opened: sealBy(node, message),
})
export const base = { domain: berlin, line: 'line-a', epoch: 7, term: 2 }
export const request = (candidate: NodeId, change = {}): ElectionInput =>
  from(candidate, {
    kind: 'election/vote-request',
    ...base,
    candidate,
    register: version,
    ticket: `ticket of ${self}`,
    transfer: false,
    speaker: null,
    ...change,
  })
export const preVote = (candidate: NodeId, change = {}): ElectionInput =>
  from(candidate, {
    kind: 'election/pre-vote',
    ...base,
    candidate,
    register: version,
    ticket: `ticket of ${self}`,
    speaker: null,
    ...change,
  })
export const granted = (voter: NodeId): ElectionInput =>
  from(voter, { kind: 'election/pre-vote-answer', ...base, voter, granted: true, register: null })

export const heartbeat = (leader: NodeId, change = {}): ElectionInput =>
  from(leader, {
    kind: 'election/heartbeat',
    ...base,
    leader,
    register: null,
    version,
    sentAt: 0,
    sequence: 1,
    roundTrip: null,
    ...change,
  })

/** The answer of another elector that holds the register that a leader of term 2 begins with. */
export const answer = (child: NodeId, echo: number, change = {}): ElectionInput =>
  from(child, {
    kind: 'election/heartbeat-answer',
    ...base,
    child,
    ticket: `ticket of ${child}`,
    held: committed,
    echo,
    promiseMs: lan.electionTimeoutMsMin,
    ...change,
  })
const committed = { epoch: 7, term: 2, index: 5 }

/** The elector as the leader of term 2 by the vote of the third, who answered its first heartbeat at once. */
export function leader(now: number): ElectionState {
  const vote = (voter: NodeId): ElectionInput => ({
    kind: 'message',
    opened: voteBy(voter, { line: 'line-a', epoch: 7, term: 2, candidate: self }),
  })
  const [leading] = told(elector(), now, { kind: 'wake' }, granted(third), vote(self), vote(third))
  const [established, effects] = told(leading, now, { kind: 'written', version: committed }, answer(third, now))
  assert.match(effects, /lead/)
  return established
}

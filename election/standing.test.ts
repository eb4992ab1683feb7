// Both sides of a vote, one elector and one message at a time.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type NodeId, nodeId } from '../overlay/kernel/ids.ts'
import { step, wakeAt } from './election.ts'
import {
  at,
  base,
  berlin,
  elector,
  from,
  granted,
  heartbeat,
  lan,
  namesOf,
  options,
  preVote,
  register,
  request,
  saved,
  second,
  self,
  third,
  told,
  version,
} from './elector.test-kit.ts'
import type { ElectorMessage } from './messages.ts'
import { createElection, type ElectionInput, type ElectionState } from './state.ts'
import { sealBy, voteBy } from './wire.test-kit.ts'

test('who was made an elector and has not heard of it votes for those who know, under its own ticket only', () => {
  const others = register.electors.filter(({ child }) => child !== self)
  const learner: ElectionState = { ...elector(), register: { ...register, electors: others } }
  const newer = { epoch: 7, term: 1, index: 5 }
  assert.equal(told(learner, 10, preVote(second, { register: newer }))[1], 'pre-vote-answer>2')
  assert.equal(told(learner, 10, request(second, { register: newer }))[1], 'persist[vote>2]')
  const older = { ...newer, index: 3 }
  for (const refused of [{ register: newer, ticket: 'lost' }, { register: newer, ticket: '' }, { register: older }]) {
    assert.match(told(learner, 10, request(second, refused))[1], /vote-refused>2/)
  }
})

test('a vote leaves only after it was written', () => {
  const [state, effects] = told(elector(), 10, request(second))
  assert.equal(effects, 'persist[vote>2]')
  assert.equal(state.votedFor, second)
})

test('a second candidate of the same term is refused, also after a new start', () => {
  const [voted] = told(elector(), 10, request(second))
  const [, effects] = told(voted, 20, request(third))
  assert.equal(effects, 'vote-refused>3')
  const [, again] = told(elector(), 10, request(third, { term: 1 }))
  assert.equal(again, 'vote-refused>3')
  const [, repeated] = told(elector(), 10, request(second, { term: 1 }))
  assert.equal(repeated, 'persist[vote>2]', 'while the first one may ask again')
})

test('a candidate with an older register gets no vote, but its term is heard', () => {
  const [state, effects] = told(elector(), 10, request(second, { register: { ...version, index: 3 } }))
  assert.equal(effects, 'persist[] vote-refused>2')
  assert.equal(state.term, 2)
  assert.equal(state.votedFor, null)
})

test('while a leader’s lease is fresh nobody helps another candidate, unless the leader asked for it', () => {
  const [led] = told(elector(), 10, heartbeat(second, { term: 1 }))
  const [state, effects] = told(led, 500, preVote(third), request(third))
  assert.equal(effects, 'pre-vote-answer>3')
  assert.equal(state.term, 1)
  assert.equal(told(led, 500, request(third, { transfer: true }))[1], 'persist[vote>3]')
  assert.equal(told(led, lan.electionTimeoutMsMin + 10, request(third))[1], 'persist[vote>3]')
})

test('what an elector promised its leader it keeps, also when by now less would do', () => {
  const promisedBy = (state: ElectionState, roundTrip: { meanMs: number; deviationMs: number }, now: number) => {
    const next = step(state, heartbeat(second, { term: 1, roundTrip }), at(now))
    const answer = next.effects.find((effect) => effect.kind === 'send')
    assert.ok(answer?.kind === 'send' && answer.message.kind === 'election/heartbeat-answer')
    return { state: next.state, promiseMs: answer.message.promiseMs }
  }
  const far = promisedBy(elector(), { meanMs: 3_000, deviationMs: 0 }, 10)
  assert.equal(far.promiseMs, lan.heartbeatMs + 3_000)
  const near = promisedBy(far.state, { meanMs: 5, deviationMs: 1 }, 20)
  assert.equal(near.promiseMs, lan.electionTimeoutMsMin)
  assert.equal(told(near.state, 3_250, request(third))[1], '')
  assert.ok((wakeAt(near.state) ?? 0) >= 3_260, 'nor does it stand itself')
  assert.equal(told(near.state, 3_260, request(third))[1], 'persist[vote>3]')
})

test('a closed connection ends the leader’s lease, and starts a pre-vote at once', () => {
  const [led] = told(elector(), 10, heartbeat(second, { term: 1 }))
  const [state] = told(led, 500, { kind: 'connection-closed', child: second })
  assert.ok((wakeAt(state) ?? 0) <= 500 + lan.hintDelayMsMax)
  assert.equal(told(state, 501, request(third))[1], 'persist[vote>3]')
  const [asking, effects] = told(state, 540, { kind: 'wake' })
  assert.equal(effects, 'pre-vote>2 pre-vote>3')
  assert.equal(asking.term, 1, 'which nobody has to remember')
})

test('what another line’s electors say moves nobody’s term', () => {
  const state = elector()
  const other = { line: 'line-b', epoch: 9, term: 9 }
  const refused: ElectorMessage = { kind: 'election/vote-refused', domain: berlin, voter: second, ...other }
  const answer: ElectorMessage = {
    kind: 'election/pre-vote-answer',
    domain: berlin,
    voter: second,
    granted: false,
    register: null,
    ...other,
  }
  const inputs = [request(second, other), preVote(second, other), heartbeat(second, other), from(second, refused)]
  const [after, effects] = told(state, 10, ...inputs, from(second, answer))
  assert.equal(effects, '')
  assert.deepEqual(after, state)
})

test('nobody is heard in the name of another', () => {
  const state = elector()
  const forged = sealBy(third, voteBy(second).message)
  const { state: after, effects } = step(state, { kind: 'message', opened: forged }, at(10))
  assert.deepEqual(effects, [])
  assert.equal(after, state)
})

test('an answer claims only what is on the disk', () => {
  const newer = { ...register, term: 2, index: 5 }
  const input = heartbeat(second, { register: newer, version: { epoch: 7, term: 2, index: 5 } })
  const [state, effects] = told(elector(), 10, input)
  assert.equal(effects, 'persist[heartbeat-answer>2]')
  const { effects: meanwhile } = step(state, heartbeat(second), at(20))
  const [answer] = meanwhile
  assert.ok(answer?.kind === 'send' && answer.message.kind === 'election/heartbeat-answer')
  assert.deepEqual(answer.message.held, version, 'the write is still on its way')
})

test('of two that ask at the same moment the higher one gives way to the lower', () => {
  const asking = (): ElectionState => {
    const [state] = told(elector(), 3_000, { kind: 'wake' })
    assert.equal(state.role.kind, 'pre-candidate')
    return state
  }
  assert.equal(told(asking(), 3_001, preVote(second))[0].role.kind, 'pre-candidate', 'berlin-1 goes first')
  const newer = { register: { ...version, index: 5 } }
  const [state, effects] = told(asking(), 3_001, preVote(second, newer))
  assert.equal(state.role.kind, 'follower', 'unless the other one knows more')
  assert.equal(effects, 'pre-vote-answer>2')
})

test('a candidate asks while its own vote is on the way to the disk, and leads nothing before it is there', () => {
  const [canvassing] = told(elector(), 3_000, { kind: 'connection-closed', child: second }, { kind: 'wake' })
  const [standing, asked] = told(canvassing, 3_010, granted(third))
  assert.equal(asked, 'vote-request>2 vote-request>3 persist[vote>1]')
  const voteOf = (voter: NodeId): ElectionInput => ({ kind: 'message', opened: voteBy(voter) })
  const [chosen] = told(standing, 3_020, voteOf(second), voteOf(third))
  assert.equal(chosen.role.kind, 'candidate', 'a majority of the others is not enough')
  assert.equal(told(chosen, 3_030, voteOf(self))[0].role.kind, 'leader')
})

test('a candidate whose register a crash could take back asks when that is on the disk', () => {
  const [canvassing] = told(elector(), 3_000, { kind: 'connection-closed', child: second }, { kind: 'wake' })
  const forgetful = { ...canvassing, durable: { ...version, index: 3 } }
  assert.equal(told(forgetful, 3_010, granted(third))[1], 'persist[vote>1 vote-request>2 vote-request>3]')
})

test('who refused for a leader’s lease grants late, to the one that goes first, when that connection closes', () => {
  const led = told(elector(), 10, heartbeat(second))[0]
  const fourth = nodeId('berlin-4')
  const [refusing, refusal] = told(led, 20, preVote(third, { term: 3 }), preVote(fourth, { term: 3 }))
  assert.equal(refusal, 'pre-vote-answer>3 pre-vote-answer>4')
  const { effects } = step(refusing, { kind: 'connection-closed', child: second }, at(60))
  const late = effects.flatMap((one) => (one.kind === 'send' ? [one] : []))
  assert.deepEqual(namesOf(late), ['pre-vote-answer>3'])
  assert.ok(late.every(({ message }) => message.kind === 'election/pre-vote-answer' && message.granted))
  const muchLater = 20 + lan.electionTimeoutMsMin / 5 + 1
  assert.equal(told(refusing, muchLater, { kind: 'connection-closed', child: second })[1], '')
})

test('a candidate that too few can still vote for asks anew as soon as a winner would have been heard', () => {
  const [canvassing] = told(elector(), 3_000, { kind: 'connection-closed', child: second }, { kind: 'wake' })
  const own: ElectionInput = {
    kind: 'message',
    opened: voteBy(self, { line: 'line-a', epoch: 7, term: 2, candidate: self }),
  }
  const [standing] = told(canvassing, 3_010, granted(third), own)
  assert.equal(standing.role.kind, 'candidate')
  const patient = (wakeAt(standing) ?? 0) - 3_010
  assert.ok(patient >= lan.electionTimeoutMsMin / 5, `third may vote yet, so it waits ${patient} ms`)
  const refused = from(third, { kind: 'election/vote-refused', ...base, voter: third })
  const [lost, effects] = told(standing, 3_010, refused)
  const wait = (wakeAt(lost) ?? 0) - 3_010
  assert.ok(wait >= lan.hintDelayMsMax && wait <= 2 * lan.hintDelayMsMax, `${wait} ms`)
  assert.equal(effects, '')
})

test('a leader that its electors refused to vouch for asks for a term of its own', () => {
  const [standing] = told(elector(), 3_000, { kind: 'connection-closed', child: second }, { kind: 'wake' })
  const vote = (voter: NodeId): ElectionInput => ({
    kind: 'message',
    opened: voteBy(voter, { line: 'line-a', epoch: 7, term: 2, candidate: self }),
  })
  const [leading, effects] = told(standing, 3_010, granted(second), vote(self), vote(second))
  assert.equal(leading.role.kind, 'leader')
  assert.ok(effects.endsWith('persist[] heartbeat>2 heartbeat>3 announce'), effects)
  const refuse = (voter: NodeId): ElectionInput => from(voter, { kind: 'election/vote-refused', ...base, voter })
  const [once] = told(leading, 3_020, refuse(third))
  assert.equal(once.role.kind, 'leader')
  const [again] = told(once, 3_021, refuse(second))
  assert.deepEqual([again.role.kind, again.term], ['candidate', 3])
})

test('a saved state that cannot be read is worth no vote', () => {
  const { state, damaged } = createElection({ ...options, saved: saved.slice(0, 40) }, at(0))
  assert.ok(damaged !== null)
  assert.notEqual(state.ticket, `ticket of ${self}`)
  assert.equal(told(state, 10, request(second))[1], '')
})

test('a saved state in which one bit flipped is worth no vote', () => {
  for (let byte = 0; byte < saved.length; byte++) {
    const flipped = saved.map((value, index) => (index === byte ? value ^ 4 : value))
    const { state, damaged } = createElection({ ...options, saved: flipped }, at(0))
    assert.ok(damaged !== null, `byte ${byte}`)
    assert.notEqual(state.ticket, `ticket of ${self}`)
  }
})

test('nothing is due again at the moment of a wake', () => {
  let state = elector()
  for (let now = 0; now < 200_000; now = wakeAt(state) ?? assert.fail()) {
    state = step(state, { kind: 'wake' }, at(now)).state
    assert.ok((wakeAt(state) ?? 0) > now)
  }
})

test('the fitter an elector is the less it waits, in silence and after a closed connection', () => {
  const waits = (fitness: number): readonly number[] => {
    const { state } = createElection({ ...options, fitness, saved }, at(0))
    const same = { ...at(0), random: { next: () => 0.9 } }
    const [led] = [step(state, heartbeat(second, { term: 1 }), same).state]
    return [led, step(led, { kind: 'connection-closed', child: second }, same).state].map((one) => wakeAt(one) ?? 0)
  }
  const [unfit, fit] = [waits(0), waits(1)]
  for (const [index, wait] of fit.entries()) assert.ok(wait < (unfit[index] ?? 0), `${wait} ms`)
  assert.ok((fit[0] ?? 0) >= lan.electionTimeoutMsMin)
})

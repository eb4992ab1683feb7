// An elector gives its vote away while it promises the leader to help nobody else. In a cluster of three whose other
// two do not hear each other it is the majority of both.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath, InstanceKey, NodeId } from '../../overlay/kernel/ids.ts'
import { serviceIdOf } from '../../placement/spec.ts'
import { type HostileStage, setHostileStage } from './hostile-stage.ts'
import { serviceOf } from './stage.ts'

const A = '/a' as DomainPath
const SETTLED_MS = 30_000
/** Terms ahead of the leader's for which it votes beforehand. */
const TERMS = 3
const SHOP = serviceOf('shop', 2)
const KEYS = [0, 1].map((number) => `${serviceIdOf(SHOP)}#${number}` as InstanceKey)

const seatOf = (stage: HostileStage, name: string) =>
  stage
    .device(name)
    .core?.view.seats()
    .find(({ domain }) => domain === A)

/** What the candidate has to hear to stand, and to have been elected, from whoever votes for anybody. */
function help(stage: HostileStage, liar: string, candidate: string): void {
  const held = seatOf(stage, candidate)?.state
  assert.ok(held)
  for (let ahead = 1; ahead <= TERMS; ahead++) {
    const of = { domain: A, line: held.register?.line ?? '', epoch: held.epoch, term: held.term + ahead }
    const voter = liar as NodeId
    const said = [
      { kind: 'election/pre-vote-answer', ...of, voter, granted: true, register: null },
      { kind: 'election/vote', ...of, voter, candidate: candidate as NodeId, speaker: null },
    ] as const
    for (const message of said) stage.deliver(liar, candidate, stage.forged(liar, message))
  }
}

test('an elector that gives its vote away costs a change of leader, not two in a term; nothing runs twice', () => {
  // The rules that rest on promises do not hold where promises are broken.
  const stage = setHostileStage({ nodes: 3, clusters: 1, isChecked: false })
  stage.run(SETTLED_MS)
  const leader = stage.leaderSeenBy('a1', A) ?? ''
  const [liar = '', candidate = ''] = stage.devices.map(({ node }) => node as string).filter((node) => node !== leader)
  stage.deploy(leader, SHOP, A)
  stage.run(3_000)
  const indexOf = (name: string): number => stage.device(name).facts.index
  stage.world.network.part([[indexOf(leader), indexOf(candidate)]])

  const terms = new Map<string, string>()
  for (let at = 0; at < SETTLED_MS; at += 100) {
    help(stage, liar, candidate)
    stage.run(100)
    const leading = [leader, candidate].filter((name) => (seatOf(stage, name)?.fence ?? null) !== null)
    for (const name of leading) {
      const { epoch, term } = seatOf(stage, name)?.fence ?? { epoch: 0, term: 0 }
      const known = terms.get(`${epoch} ${term}`)
      assert.ok(known === undefined || known === name, `${known} and ${name} led in term ${term}`)
      terms.set(`${epoch} ${term}`, name)
    }
    for (const key of KEYS) assert.ok(stage.whoRuns(key).length <= 1, `${key} runs twice`)
  }
  assert.deepEqual([...new Set(terms.values())], [leader, candidate])
  stage.heal()
  stage.settle()
  for (const key of KEYS) assert.equal(stage.whoRuns(key).length, 1)
})

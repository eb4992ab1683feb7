// What must hold at every step of every test: one vote per elector and term, one leader per term, nothing said that
// is not on disk, and nothing committed that the next leader does not remember.

import assert from 'node:assert/strict'
import { decode } from '@ipld/dag-cbor'
import type { DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { checkedBody } from '../overlay/wire/checksum.ts'
import type { ElectionMessage, HeartbeatAnswer, Vote } from './messages.ts'
import type { Watch } from './node.test-kit.ts'
import { compareTerms, compareVersions, electorIds, majorityOf, type RegisterVersion, versionOf } from './register.ts'
import type { ElectionEffect, ElectionState, Leading } from './state.ts'
import { clusterOf } from './wire.test-kit.ts'

export interface TestEvent {
  readonly at: Millis
  readonly node: NodeId
  readonly name: string
  readonly domain: DomainPath
}

export interface Checks {
  readonly votes: readonly Vote[]
  readonly events: readonly TestEvent[]
  readonly watch: Watch
  committed(domain: DomainPath): readonly number[]
  /** From now on a majority of disks proves nothing: one of them was replaced. */
  onDiskLost(): void
}

export interface ChecksOptions {
  readonly now: () => Millis
  readonly diskOf: (node: NodeId) => ReadonlyMap<string, Uint8Array | null>
  readonly onPromise: (node: NodeId, promise: 'vote' | 'commit', domain: DomainPath) => void
}

type Saved = Pick<ElectionState, 'epoch' | 'term' | 'votedFor' | 'register'>

export function createChecks({ now, diskOf, onPromise }: ChecksOptions): Checks {
  const votes: Vote[] = []
  const events: TestEvent[] = []
  const candidates = new Map<string, string>()
  const leaders = new Map<string, NodeId>()
  const changes = new Map<string, { readonly electors: readonly string[]; readonly index: number }>()
  /** What was promised to be remembered, by line. */
  const promised = new Map<string, number>()
  const committed = new Map<DomainPath, number[]>()
  let areDisksWhole = true

  const savedBy = (node: NodeId): Saved | null => {
    const bytes = diskOf(node).get(`election/${clusterOf(node)}`) ?? null
    const body = bytes === null ? null : checkedBody(bytes)
    return body?.ok ? (decode(body.value) as Saved) : null
  }

  const onVote = (node: NodeId, vote: Vote): void => {
    const { domain, epoch, term, voter, candidate } = vote
    const key = `${domain} ${epoch}.${term} by ${voter}`
    assert.equal(candidates.get(key) ?? candidate, candidate, `one vote per term: ${key}`)
    candidates.set(key, candidate)
    votes.push(vote)
    if (domain !== clusterOf(node)) return
    const saved = savedBy(node)
    assert.ok(saved !== null, 'a vote is on disk before it is given')
    const order = compareTerms(saved, vote)
    assert.ok(order > 0 || (order === 0 && saved.votedFor === candidate), 'the vote on disk is the vote that is given')
  }

  const onAnswer = (node: NodeId, { domain, held }: HeartbeatAnswer): void => {
    if (domain !== clusterOf(node)) return
    const register = savedBy(node)?.register ?? null
    assert.ok(compareVersions(versionOf(register), held) >= 0, 'who says that it holds a register has it on disk')
  }

  const onCommit = (state: ElectionState): void => {
    const { role, register, domain, epoch, term } = state
    const electors = electorIds(register)
    if (role.kind !== 'leader' || electors.some((child) => child.startsWith('/')) || !areDisksWhole) return
    const version: RegisterVersion = { epoch, term, index: role.committedIndex }
    const holders = electors.filter((child) => {
      const saved = savedBy(child as NodeId)
      return compareVersions(versionOf(saved?.register ?? null), version) >= 0
    })
    assert.ok(holders.length >= majorityOf(electors.length), `what ${domain} committed is on a majority of disks`)
  }

  const onLead = ({ domain, register }: ElectionState): void => {
    const [high = 0, low = 0] = register?.memory.count ?? []
    const owed = promised.get(register?.line ?? '') ?? 0
    assert.ok(high * 256 + low >= owed, `a new leader of ${domain} remembers what was committed`)
  }

  /** Electors change one at a time, and only when the last change is committed in the leader's own term. */
  const onElectors = ({ domain, epoch, term, register }: ElectionState, role: Leading): void => {
    const key = `${domain} ${epoch}.${term}`
    const before = changes.get(key)
    const electors = (register?.electors ?? []).map(({ child, ticket }) => `${child} ${ticket}`)
    changes.set(key, { electors, index: role.electorsIndex })
    if (before === undefined || before.electors.join() === electors.join()) return
    const gone = before.electors.filter((elector) => !electors.includes(elector))
    const come = electors.filter((elector) => !before.electors.includes(elector))
    assert.equal(gone.length + come.length, 1, `electors change one at a time: ${key}`)
    assert.ok(role.established && role.committedIndex >= before.index, `the last change was committed: ${key}`)
  }

  const onEffect = (node: NodeId, state: ElectionState, effect: ElectionEffect): void => {
    if (effect.kind === 'emit') events.push({ at: now(), node, name: effect.event.name, domain: state.domain })
    if (effect.kind === 'emit' && effect.event.name === 'vote-memory-damaged')
      assert.ok(!areDisksWhole, 'what was saved whole can be read')
    if (effect.kind === 'lead' || effect.kind === 'committed') onCommit(state)
    if (effect.kind === 'lead') onLead(state)
    if (effect.kind !== 'committed' || !effect.token.startsWith('count ')) return
    const line = state.register?.line ?? ''
    const value = Number(effect.token.split(' ')[1])
    promised.set(line, Math.max(promised.get(line) ?? 0, value))
    committed.set(state.domain, [...(committed.get(state.domain) ?? []), value])
    onPromise(node, 'commit', state.domain)
  }

  return {
    votes,
    events,
    committed: (domain) => committed.get(domain) ?? [],
    onDiskLost: () => {
      areDisksWhole = false
    },
    watch: {
      onSealed: (node: NodeId, message: ElectionMessage) => {
        if (message.kind === 'election/vote') onVote(node, message)
        if (message.kind === 'election/vote') onPromise(node, 'vote', message.domain)
        if (message.kind === 'election/heartbeat-answer') onAnswer(node, message)
      },
      onStep: (node, state) => {
        const { role, domain, epoch, term } = state
        if (role.kind !== 'leader') return
        onElectors(state, role)
        const key = `${domain} ${epoch}.${term}`
        assert.equal(leaders.get(key) ?? node, node, `one leader per term: ${key}`)
        leaders.set(key, node)
      },
      onEffect,
    },
  }
}

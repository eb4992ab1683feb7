// Anti-entropy of a big roster stays in small messages, and what is malformed among them is refused.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type NodeId, nodeId } from '../kernel/ids.ts'
import { seededRandom } from '../kernel/random.ts'
import { fitsTheWire } from '../wire/envelope.ts'
import { FETCHES_AT_ONCE_MAX, MEMBERSHIP_TIMING, NEWS_FANOUT } from './constants.ts'
import { createCluster, domain, sealerOf } from './fixtures.ts'
import { createMembership, rosterOf, step } from './membership.ts'
import type { MemberStatement, MembershipMessage, SealedStatement } from './messages.ts'
import type { MembershipEffect, MembershipInput, MembershipState } from './state.ts'
import { describe, lackedBy, tableHash } from './sync.ts'

const MEMBERS = 800

const statementOf = (index: number): MemberStatement => ({
  kind: 'membership/member',
  domain,
  node: nodeId(`12D3KooWAbcdefghijklmnopqrstuvwxyz0123456789ABCDEF${index}`),
  incarnation: 1,
  version: 0,
  state: 'alive',
  name: `device-${index}`,
  addresses: ['/ip4/192.168.178.123/tcp/4001', '/ip6/2001:db8::1/tcp/4001', '/ip4/10.0.0.1/tcp/4001'],
  fitness: 0.75,
  canLead: true,
  isRelay: false,
})

test('eight hundred members are handed to a newcomer in messages that fit, and only once', () => {
  const [old, young] = ['old', 'young'].map(nodeId) as [ReturnType<typeof nodeId>, ReturnType<typeof nodeId>]
  const context = { now: 1_000, wall: 1_000, random: seededRandom(3) }
  const states = new Map<string, MembershipState>()
  const queue: { readonly from: string; readonly to: string; readonly effect: MembershipEffect }[] = []
  const sent: number[] = []
  const give = (to: string, input: MembershipInput): void => {
    const result = step(states.get(to) as MembershipState, input, context)
    states.set(to, result.state)
    for (const effect of result.effects) queue.push({ from: to, to: to === old ? young : old, effect })
  }
  for (const self of [old, young]) {
    const options = { self, domain, name: self, incarnation: 1, canLead: true, isRelay: false, preset: 'lan' } as const
    const all = Array.from({ length: MEMBERS }, (_, index) => statementOf(index))
    const known = self === old ? all.map((one) => sealerOf(one.node).seal(one) as never) : []
    states.set(self, createMembership({ ...options, known }))
    give(self, { kind: 'start' })
  }
  give(old, { kind: 'connected', peer: young })
  give(young, { kind: 'connected', peer: old })
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const { from, to, effect } = next
    if (effect.kind === 'author') give(from, { kind: 'message', opened: sealerOf(nodeId(from)).seal(effect.message) })
    if (effect.kind !== 'send' || effect.to !== to) continue
    const opened = sealerOf(nodeId(from)).seal(effect.message)
    assert.ok(
      fitsTheWire(opened) && opened.bytes.length < 60_000,
      `${effect.message.kind}: ${opened.bytes.length} bytes`,
    )
    if (effect.message.kind === 'membership/entries') sent.push(effect.message.members.length)
    give(to, { kind: 'message', opened })
  }
  assert.equal(rosterOf(states.get(young) as MembershipState).size, MEMBERS + 2)
  assert.equal(
    tableHash((states.get(old) as MembershipState).table),
    tableHash((states.get(young) as MembershipState).table),
  )
  const total = sent.reduce((sum, count) => sum + count, 0)
  assert.ok(total <= (MEMBERS + 2) * 2, `${total} statements were sent`)
})

test('who holds the same lacks nothing, in however many parts', () => {
  const cluster = createCluster(4)
  for (const node of cluster.nodes) cluster.boot(node)
  cluster.run(5_000)
  const tables = cluster.nodes.map((node) => cluster.stateOf(node).table)
  for (const table of tables) {
    for (let part = 0; part < 3; part++) {
      for (const other of tables)
        assert.deepEqual(lackedBy(table, describe(other, part, 3)), { members: [], reports: [] })
    }
  }
})

test('mutated messages are refused or read, and what is read never breaks the machine', () => {
  const [sender, receiver] = ['sender', 'receiver'].map(nodeId) as [
    ReturnType<typeof nodeId>,
    ReturnType<typeof nodeId>,
  ]
  const sealer = sealerOf(sender)
  const statement = sealer.seal({ ...statementOf(1), node: sender })
  const reportMessage = {
    kind: 'membership/report',
    domain,
    subject: receiver,
    incarnation: 1,
    cause: 'probe-slow',
  } as const
  const report = sealer.seal({ ...reportMessage, verdict: 'unreachable', sequence: 3 })
  const member = { node: receiver, incarnation: 1, version: 0, isDead: true }
  const detail = { part: 0, parts: 1, members: [member], reports: [] }
  const messages: readonly MembershipMessage[] = [
    statement.message,
    report.message,
    { kind: 'membership/probe', domain, nonce: 1 },
    { kind: 'membership/ack', domain, nonce: 1 },
    { kind: 'membership/digest', domain, hash: 1, detail, wantsAnswer: true },
    { kind: 'membership/entries', domain, members: [statement as never], reports: [report as never] },
  ]
  const sealed = messages.map((message) => sealer.seal(message).bytes)
  const options = {
    self: receiver,
    domain,
    name: 'r',
    incarnation: 1,
    canLead: true,
    isRelay: false,
    known: [],
  } as const
  const context = { now: 1_000, wall: 1_000, random: seededRandom(3) }
  let state = step(createMembership({ ...options, preset: 'lan' }), { kind: 'start' }, context).state
  // Signed by a member that sends nonsense: the checksum is made anew, so that the mutation gets past it.
  const mutation = fc.tuple(fc.constantFrom(...messages), fc.string({ maxLength: 12 }), fc.anything())
  const signed = fc.property(mutation, ([message, field, value]) => {
    const keys = Object.keys(message)
    const key = keys[field.length % keys.length] as string
    let bytes: Uint8Array
    try {
      bytes = sealer.seal({ ...message, [key]: value } as never).bytes
    } catch {
      return
    }
    const opened = sealer.open(bytes)
    if (opened.ok) state = step(state, { kind: 'message', opened: opened.value }, context).state
  })
  fc.assert(signed, { seed: 20261121, numRuns: 1_000 })
  const flipped = fc.property(
    fc.constantFrom(...sealed),
    fc.nat(),
    fc.integer({ min: 1, max: 255 }),
    (bytes, at, mask) => {
      const copy = bytes.slice()
      copy[at % copy.length] = (copy[at % copy.length] ?? 0) ^ mask
      assert.ok(!sealer.open(copy).ok)
    },
  )
  fc.assert(flipped, { seed: 20261121, numRuns: 1_000 })
})

/** A member that runs, and knows the statements of all of these. */
function memberKnowing(...nodes: readonly NodeId[]) {
  const self = nodeId('self')
  const known = nodes.map((node) => sealerOf(node).seal({ ...statementOf(1), node }) as SealedStatement)
  const options = { self, domain, name: self, incarnation: 1, canLead: true, isRelay: false, preset: 'lan' } as const
  let now = 1_000
  let state = createMembership({ ...options, known })
  const give = (input: MembershipInput): readonly MembershipEffect[] => {
    const stepped = step(state, input, { now, wall: now, random: seededRandom(1) })
    state = stepped.state
    return stepped.effects
  }
  /** Hands it a message of a peer; returns what it sends. */
  const hear = (from: NodeId, message: MembershipMessage) => {
    const effects = give({ kind: 'message', opened: sealerOf(from).seal(message) })
    return effects.flatMap((effect) => (effect.kind === 'send' ? [effect] : []))
  }
  give({ kind: 'start' })
  for (const peer of nodes) give({ kind: 'connected', peer })
  /** What it sends within so many milliseconds. */
  const wait = (ms: number) => {
    now += ms
    return give({ kind: 'wake' }).flatMap((effect) => (effect.kind === 'send' ? [effect] : []))
  }
  return { self, hear, wait }
}

const peersNamed = (count: number): readonly NodeId[] => Array.from({ length: count }, (_, at) => nodeId(`peer-${at}`))

const hashOf = (hash: number, wantsAnswer: boolean): MembershipMessage => ({
  kind: 'membership/digest',
  domain,
  hash,
  detail: null,
  wantsAnswer,
})

test('who meets twenty members that know more fetches from three, and asks the others what they have', () => {
  const peers = peersNamed(20)
  const { hear } = memberKnowing(...peers)
  const answers = peers.flatMap((peer) => hear(peer, hashOf(1, true)))
  const digests = answers.flatMap(({ message }) => (message.kind === 'membership/digest' ? [message] : []))
  assert.equal(digests.filter(({ detail }) => detail !== null).length, FETCHES_AT_ONCE_MAX)
  const returned = digests.filter(({ detail }) => detail === null)
  assert.equal(returned.length, 20 - FETCHES_AT_ONCE_MAX)
  assert.ok(returned.every(({ wantsAnswer }) => !wantsAnswer))
  assert.deepEqual(hear(nodeId('peer-19'), hashOf(1, false)), [], 'what was returned is not returned again')
})

const handedIn = (effects: readonly { readonly message: MembershipMessage }[]): number =>
  effects.filter(({ message }) => message.kind === 'membership/entries').length

test('a statement that was handed over is handed on once, unless others bring it too', () => {
  const peers = peersNamed(8)
  const stranger = nodeId('stranger')
  const said = { ...statementOf(1), node: stranger }
  const statement = sealerOf(stranger).seal(said) as SealedStatement
  const entries: MembershipMessage = { kind: 'membership/entries', domain, members: [statement], reports: [] }
  const waitMs = MEMBERSHIP_TIMING.lan.newsWaitMs
  const afterwards = (bring: (one: ReturnType<typeof memberKnowing>) => void): number => {
    const one = memberKnowing(...peers)
    assert.equal(handedIn(one.hear(nodeId('peer-0'), entries)), 0)
    bring(one)
    return handedIn(one.wait(waitMs))
  }
  assert.equal(
    afterwards(() => undefined),
    NEWS_FANOUT,
  )
  assert.equal(
    afterwards(({ hear }) => void hear(stranger, said)),
    0,
    'gossip brings it to the others as well',
  )
  assert.equal(
    afterwards(({ hear }) => void hear(nodeId('peer-1'), entries)),
    NEWS_FANOUT,
  )
  assert.equal(
    afterwards(({ hear }) => void [hear(nodeId('peer-1'), entries), hear(nodeId('peer-2'), entries)]),
    0,
    'it is known',
  )
})

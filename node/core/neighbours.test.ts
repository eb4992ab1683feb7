// Whom a node wants to be connected to, and how strangers of one cluster find each other through a node of another.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Announcement, createLeaderBook, type LeaderBookView } from '../../election/index.ts'
import type { DomainPath, NodeId } from '../../overlay/kernel/ids.ts'
import { seededRandom } from '../../overlay/kernel/random.ts'
import type { Millis, UnixMillis } from '../../overlay/kernel/time.ts'
import type { RosterView, SealedStatement } from '../../overlay/membership/index.ts'
import type { CoreEffect } from './effects.ts'
import { createNeighbours, FULL_MESH_NODES_MAX, REACHED_MS, topicsOf } from './neighbours.ts'
import { createWorld, factsOf, trustingSealer } from './world.test-kit.ts'

const SELF = factsOf('self', '/a')
const B = '/b' as DomainPath
const at = (now: Millis) => ({ now, wall: 0 as UnixMillis, random: seededRandom(1) })

function statement(name: string, domain: string, { incarnation = 1, version = 1, says = name } = {}): SealedStatement {
  const facts = factsOf(name, domain)
  const addresses = [`/ip4/192.0.2.1/tcp/1/p2p/${facts.node}`]
  return trustingSealer(facts, [facts]).seal({
    kind: 'membership/member',
    domain: facts.domain,
    node: factsOf(says, domain).node,
    incarnation,
    version,
    state: 'alive',
    name,
    addresses,
    fitness: 1,
    canLead: true,
    isRelay: false,
  }) as SealedStatement
}

const NOBODY: readonly NodeId[] = []

function neighbours(seeds: readonly string[] = [], book: LeaderBookView = createLeaderBook()) {
  const targets = seeds.map((name) => ({ peer: factsOf(name, '/a').node, addresses: ['/ip4/192.0.2.9/tcp/9'] }))
  return createNeighbours({
    self: SELF,
    book,
    roster: () => new Map(),
    watchPartners: () => NOBODY,
    seeds: targets,
  })
}

const introduced = (effects: readonly CoreEffect[]): readonly string[] =>
  effects.flatMap((effect) =>
    effect.kind === 'send' && effect.message.kind === 'membership/entries'
      ? effect.message.members.map(({ from }) => `${from.slice(9)} to ${effect.to.slice(9)}`)
      : [],
  )
const wantedNames = (peers: readonly { readonly peer: NodeId }[]): readonly string[] =>
  peers.map(({ peer }) => peer.slice(9))

test('two members of another cluster that both met this node are brought together', () => {
  const mind = neighbours()
  const effects: CoreEffect[] = []
  for (const name of ['b1', 'b2']) mind.onConnected(factsOf(name, '/b').node, factsOf(name, '/b'), effects)
  assert.deepEqual(introduced(effects), [])
  mind.onStatement(statement('b1', '/b'), factsOf('b1', '/x').node, effects)
  assert.deepEqual(introduced(effects), ['b1 to b2'])
  mind.onStatement(statement('b2', '/b'), factsOf('b2', '/x').node, effects)
  assert.deepEqual(introduced(effects), ['b1 to b2', 'b2 to b1'])
})

test('who comes later is told of those who were met before', () => {
  const mind = neighbours()
  mind.onStatement(statement('b1', '/b'), factsOf('b1', '/x').node, [])
  const effects: CoreEffect[] = []
  mind.onConnected(factsOf('b2', '/b').node, factsOf('b2', '/b'), effects)
  assert.deepEqual(introduced(effects), ['b1 to b2'])
})

test('who comes from another cluster is told of the electors of this one, and of each that is new', () => {
  const world = createWorld([
    ['self', '/a'],
    ['a2', '/a'],
    ['a3', '/a'],
  ])
  const { view } = world.node('self').core
  const mind = createNeighbours({
    self: SELF,
    book: view.leaders(),
    roster: view.roster,
    watchPartners: () => NOBODY,
    seeds: [],
  })
  const seats = [{ domain: SELF.domain }]
  const settled = (): readonly string[] => {
    const effects: CoreEffect[] = []
    mind.onSettled(0, seats, effects)
    return introduced(effects)
  }
  const met = (name: string): readonly string[] => {
    const effects: CoreEffect[] = []
    mind.onConnected(factsOf(name, '/b').node, factsOf(name, '/b'), effects)
    return introduced(effects)
  }
  world.run(3_000)
  settled()
  assert.deepEqual(met('b1'), ['self to b1'])
  world.run(60_000)
  assert.deepEqual(settled(), ['a2 to b1', 'a3 to b1'])
  assert.deepEqual(settled(), [])
  assert.deepEqual(met('b2'), ['self to b2', 'a2 to b2', 'a3 to b2'])
})

test('a statement that somebody makes in another’s name is not passed on', () => {
  const mind = neighbours()
  const effects: CoreEffect[] = []
  mind.onConnected(factsOf('b2', '/b').node, factsOf('b2', '/b'), effects)
  mind.onStatement(statement('b1', '/b', { says: 'b3' }), factsOf('b1', '/x').node, effects)
  assert.deepEqual(introduced(effects), [])
  assert.equal(mind.statementOf(factsOf('b3', '/b').node), null)
})

test('an older statement replaces no newer one', () => {
  const mind = neighbours()
  const { node } = factsOf('b1', '/b')
  mind.onStatement(statement('b1', '/b', { incarnation: 2 }), factsOf('b1', '/x').node, [])
  mind.onStatement(statement('b1', '/b', { incarnation: 1, version: 9 }), factsOf('b1', '/x').node, [])
  assert.equal(mind.statementOf(node)?.message.incarnation, 2)
  mind.onStatement(statement('b1', '/b', { incarnation: 2, version: 2 }), factsOf('b1', '/x').node, [])
  assert.equal(mind.statementOf(node)?.message.version, 2)
})

test('the seeds are wanted as long as the cluster has no leader that is known', () => {
  assert.deepEqual(wantedNames(neighbours(['s1', 's2']).wanted(0, [])), ['s1', 's2'])
})

test('who was invited from outside looks for its host until it has met it, whomever it invited itself', () => {
  const world = createWorld([['self', '/a']])
  world.run(20_000)
  const mind = neighbours(['s1'], world.node('self').core.view.leaders())
  const wanted = (): boolean => wantedNames(mind.wanted(0, [])).includes('s1')
  assert.ok(wanted(), 'nobody outside is connected')
  mind.onConnected(factsOf('c1', '/c').node, factsOf('c1', '/c'), [])
  assert.ok(wanted(), 'its guest may be as far from the others as it is')
  mind.onStatement(statement('s1', '/b'), factsOf('s1', '/x').node, [])
  assert.ok(!wanted())
})

test('a node that traffic goes to is wanted for a while, once its address is known', () => {
  const mind = neighbours()
  const { node } = factsOf('b1', '/b')
  mind.reach(node, B, at(1_000))
  assert.deepEqual(mind.wanted(1_000, []), [], 'a dial without address would stand in the way of the answer')
  mind.onStatement(statement('b1', '/b'), factsOf('b1', '/x').node, [])
  assert.deepEqual(wantedNames(mind.wanted(1_000, [])), ['b1'])
  assert.deepEqual(wantedNames(mind.wanted(1_000 + REACHED_MS, [])), [])
})

test('the leader that is asked where a node is becomes wanted before it is asked', () => {
  const world = createWorld([
    ['self', '/a'],
    ['b1', '/b'],
    ['b2', '/b'],
  ])
  world.run(20_000)
  const mind = neighbours([], world.node('self').core.view.leaders())
  const [b1, b2] = [factsOf('b1', '/b').node, factsOf('b2', '/b').node]
  mind.reach(b2, B, at(1_000))
  const effects: CoreEffect[] = []
  mind.onSettled(1_000, [{ domain: SELF.domain }], effects)
  const [want, question, ...others] = effects
  assert.ok(want?.kind === 'want' && want.peers.some(({ peer, addresses }) => peer === b1 && addresses.length > 0))
  assert.ok(question?.kind === 'send' && question.to === b1)
  assert.deepEqual(question.message, { kind: 'node/where', domain: B, node: b2 })
  assert.deepEqual(others, [])
  assert.deepEqual(wantedNames(mind.wanted(1_000 + REACHED_MS, [])), [], 'and only for a while')
})

test('a node follows all topics of its cluster, the leaders above, and what it holds', () => {
  const shown = (held: readonly string[]): readonly string[] =>
    topicsOf('/eu/berlin' as DomainPath, held as DomainPath[]).map(({ domain, topic }) => `${domain} ${topic}`)
  const own = ['summary', 'record', 'alert', 'leader'].map((topic) => `/eu/berlin ${topic}`)
  const always = [...own, '/eu leader', '/ leader']
  assert.deepEqual(shown(['/eu/berlin']), always)
  assert.deepEqual(shown(['/eu/berlin', '/eu']), [...always, '/eu record', '/eu summary'])
})

/** A book in which anybody may come to lead any time. */
function openBook() {
  const leaders = new Map<DomainPath, NodeId>()
  const changes: DomainPath[] = []
  const book: LeaderBookView = {
    ...createLeaderBook(),
    leaderOf: (domain) => {
      const node = leaders.get(domain)
      const announcement = { node, electors: [] } as unknown as Announcement
      return node === undefined ? null : { announcement, opened: null as never, heardAt: 0, spokenAt: 0 }
    },
    addressesOf: (node) => [`/ip4/192.0.2.2/tcp/1/p2p/${node}`],
    domains: () => leaders.keys(),
    revision: () => changes.length,
    changedSince: (revision) => changes.slice(revision),
  }
  const lead = (domain: DomainPath, node: NodeId): void => {
    leaders.set(domain, node)
    changes.push(domain)
  }
  return { book, lead }
}

test('what is said to be wanted is what it would be if it were worked out anew after each input', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = seededRandom(seed)
    const any = <T>(list: readonly T[]): T => list[Math.floor(random.next() * list.length)] as T
    const { book, lead } = openBook()
    const mind = neighbours(['s1'], book)
    const domains = ['/', '/a', '/b', '/c'] as DomainPath[]
    const people = [factsOf('s1', '/c'), factsOf('a1', '/a'), factsOf('b1', '/b'), factsOf('c1', '/c')]
    let seats = [{ domain: SELF.domain }]
    let said: readonly string[] = []
    const inputs = [
      () => lead(any(domains), any([...people, SELF]).node),
      () => mind.onConnected(any(people).node, any(people), []),
      () => mind.onDisconnected(any(people).node),
      () =>
        mind.onStatement(
          statement('s1', '/c', { version: Math.floor(random.next() * 9) }),
          factsOf('s1', '/x').node,
          [],
        ),
      () => mind.onStatement(statement('b1', '/b', { incarnation: any([1, 2]) }), any(people).node, []),
      () => mind.reach(any(people).node, any(domains), at(1_000)),
      () => {
        seats = any([[{ domain: SELF.domain }], [{ domain: SELF.domain }, { domain: '/' as DomainPath }]])
      },
    ]
    for (let turn = 0; turn < 40; turn++) {
      any(inputs)()
      const effects: CoreEffect[] = []
      mind.onSettled(1_000, seats, effects)
      for (const effect of effects) if (effect.kind === 'want') said = wantedNames(effect.peers)
      const paths = seats.map(({ domain }) => domain)
      assert.deepEqual(said.toSorted(), wantedNames(mind.wanted(1_000, paths)).toSorted(), `seed ${seed}, ${turn}`)
    }
  }
})

test('who hears what a cluster says to itself is told when members come and go, and of a large one nobody', () => {
  const roster = new Map<NodeId, { node: NodeId; state: string }>()
  const mind = createNeighbours({
    self: SELF,
    book: createLeaderBook(),
    roster: () => roster as unknown as RosterView,
    watchPartners: () => NOBODY,
    seeds: [],
  })
  const told = (...changes: readonly (readonly [NodeId, string])[]): readonly (number | null)[] => {
    for (const [node, state] of changes) {
      roster.set(node, { node, state })
      mind.onMember(node)
    }
    const out: CoreEffect[] = []
    mind.onSettled(1_000, [], out)
    return out.flatMap((one) => (one.kind === 'hearers' ? [one.members?.length ?? null] : []))
  }
  assert.deepEqual(told([SELF.node, 'alive'], ['n1' as NodeId, 'alive']), [2])
  assert.deepEqual(told(['n1' as NodeId, 'suspect']), [], 'it is here still')
  assert.deepEqual(told(['n1' as NodeId, 'dead']), [1])
  const many = Array.from({ length: FULL_MESH_NODES_MAX }, (_, index) => [`m${index}` as NodeId, 'alive'] as const)
  assert.deepEqual(told(...many), [null])
  assert.deepEqual(told(['m0' as NodeId, 'left']), [FULL_MESH_NODES_MAX])
})

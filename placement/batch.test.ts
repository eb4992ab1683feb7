// Many instances in few messages: what is said together is understood as if it had been said one by one, and a service
// costs messages by the clusters and devices that it is spread over.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Send } from '../overlay/kernel/effect.ts'
import { type DomainPath, type NodeId, nodeId, ROOT } from '../overlay/kernel/ids.ts'
import { createCodec, MESSAGE_BYTES_MAX } from '../overlay/wire/codec.ts'
import { SPEC_BYTES_MAX } from '../services-registry/record.ts'
import { putRecord } from '../services-registry/table.ts'
import { foldSends, unfold } from './batch.ts'
import { BATCH_MAX } from './constants.ts'
import { Fleet } from './fleet-harness.ts'
import { A, ABOVE, B, CLOCK, EU, FENCE, Bench as Leader, ME, WEB } from './leader-harness.ts'
import { type AskMessage, type PlacementMessage, placementSchemas } from './messages.ts'
import { factsOf, openedBy, specOf, specRecord } from './placement-fixtures.ts'
import { SELECTOR_CHARS_MAX } from './selector.ts'
import { encodeSpec } from './spec.ts'
import { DOMAIN, FROM_OURS, LEADER, Bench as Worker } from './worker-harness.ts'

const CLUSTERS = Array.from({ length: 50 }, (_, index) => `/c${String(index).padStart(2, '0')}` as DomainPath)
const NODES = 2
const small = { vcpus: 0.01, memoryMb: 1 }
const NEGOTIATION: readonly PlacementMessage['kind'][] = [
  'placement/ask',
  'placement/offer',
  'placement/refuse',
  'placement/release',
]

/** How many messages it takes to have this many instances placed and running. */
function messagesFor(replicas: number): number {
  const fleet = new Fleet({ clusters: CLUSTERS, nodesPerCluster: NODES })
  fleet.run(10_000)
  const before = fleet.sent.length
  fleet.submit(specOf({ replicas, ...small }), ROOT)
  fleet.until(`${replicas} instances run`, () => fleet.running().length === replicas)
  const perDevice = new Map<string, number>()
  for (const one of fleet.running())
    perDevice.set(one.split('@')[1] ?? '', (perDevice.get(one.split('@')[1] ?? '') ?? 0) + 1)
  assert.equal(perDevice.size, CLUSTERS.length * NODES, 'every device has some of them')
  return fleet.sent.slice(before).filter((kind) => NEGOTIATION.includes(kind)).length
}

test('a thousand instances over fifty clusters cost messages by clusters and devices, not by instances', () => {
  // One ask for each cluster and each device, and one answer of each device on both levels.
  const bound = CLUSTERS.length + 3 * CLUSTERS.length * NODES
  const [few, whole] = [messagesFor(200), messagesFor(1_000)]
  assert.ok(few <= bound, `${few} messages for 200 instances, ${bound} expected at most`)
  assert.ok(whole <= bound, `${whole} messages for 1,000 instances, ${bound} expected at most`)
})

const ASK: AskMessage = {
  kind: 'placement/ask',
  domain: EU,
  fence: FENCE,
  askId: '1.1.1',
  service: WEB,
  number: 0,
  spec: encodeSpec(specOf()),
  specClock: CLOCK,
  avoid: [],
  also: [],
}

/** Messages of all kinds about a few instances, to a few children; some to who reads batches and some not. */
const message = fc
  .record({ kind: fc.nat(3), number: fc.nat(600), which: fc.nat(1), batches: fc.boolean(), code: fc.nat(1) })
  .map(({ kind, number, which, batches, code }): Send<PlacementMessage> => {
    const room = batches ? { also: [] } : {}
    const to = which === 0 ? A : B
    const about = { domain: EU, askId: `1.1.${number}`, service: WEB, number, child: to, ...room }
    const reasons = [{ code: ['cpu', 'memory'][code] ?? '', count: 1, detail: '' }]
    const offered = { score: 0.5, node: ME, nodeName: 'me', expiresInMs: 5 }
    const messages: readonly PlacementMessage[] = [
      {
        kind: 'placement/ask',
        ...about,
        fence: FENCE,
        spec: ASK.spec,
        specClock: CLOCK,
        avoid: code === 0 ? [] : [ME],
      },
      { kind: 'placement/offer', ...about, ...offered },
      { kind: 'placement/refuse', ...about, devices: 1, reasons },
      { kind: 'placement/release', domain: EU, askId: about.askId, ...room },
    ]
    return { kind: 'send', to, message: messages[kind] as PlacementMessage }
  })

test('what is said together is understood as if it had been said one by one', () => {
  const told = (effects: readonly { readonly kind: string }[]): string[] =>
    effects
      .flatMap((effect) => {
        const { to, message: said } = effect as Send<PlacementMessage>
        return unfold(openedBy(factsOf('me', A), said)).map((one) => JSON.stringify([to, one.message]))
      })
      .sort()
  fc.assert(
    fc.property(fc.array(message, { maxLength: 700 }), (effects) => {
      const folded = foldSends(effects)
      assert.deepEqual(told(folded), told(effects))
      for (const { message: said } of folded as Send<PlacementMessage>[])
        assert.ok(!('also' in said) || (said.also?.length ?? 0) < BATCH_MAX)
      const singles = effects.filter(({ message: said }) => !('also' in said)).length
      // Two children, two reasons or lists to avoid, four kinds, at most three messages of each for 700 instances.
      assert.ok(folded.length <= singles + 2 * 2 * 4 * 3, `${folded.length} of ${effects.length}`)
    }),
    { seed: 20261122, numRuns: 100 },
  )
})

test('the largest batch fits into a message', () => {
  const codec = createCodec<PlacementMessage>(placementSchemas)
  const also = Array.from({ length: BATCH_MAX - 1 }, (_, index) => ({
    askId: `9999.9999.${1e6 + index}`,
    number: 9_000,
  }))
  const avoid = Array.from({ length: 64 }, (_, index) => `${index}`.padEnd(52, 'x') as NodeId)
  const spec = new Uint8Array(SPEC_BYTES_MAX)
  const bytes = codec.encode({ ...ASK, spec, avoid, to: 'x'.repeat(SELECTOR_CHARS_MAX), also })
  assert.ok(bytes.length < MESSAGE_BYTES_MAX * 0.9, `${bytes.length} bytes`)
})

test('only a child that reads batches is asked for several instances at a time', () => {
  for (const batches of [false, true]) {
    const bench = new Leader([A, B], batches)
    putRecord(bench.own, specRecord(specOf({ replicas: 6 }), EU, CLOCK), 0)
    bench.give({ kind: 'service-changed', service: WEB })
    const counts = bench.sent('placement/ask').map(({ message: ask }) => (ask.also?.length ?? 0) + 1)
    assert.deepEqual(counts, batches ? [3, 3] : [1, 1, 1, 1, 1, 1])
  }
})

test('a node offers as many of what it is asked for as fit, refuses the others, and keeps room for those alone', () => {
  const bench = new Worker()
  const also = [1, 2, 3].map((number) => ({ askId: `ask-${number}`, number }))
  const ask: AskMessage = { ...ASK, ...FROM_OURS, askId: 'ask-0', spec: encodeSpec(specOf({ vcpus: 2 })), also }
  bench.hear(ask)
  const [offer, refusal, ...more] = bench.look().sent
  assert.ok(offer?.kind === 'placement/offer' && refusal?.kind === 'placement/refuse')
  assert.deepEqual([offer.number, offer.also, more], [0, [{ askId: 'ask-1', number: 1 }], []])
  assert.deepEqual([refusal.number, refusal.also], [2, [{ askId: 'ask-3', number: 3 }]])
  assert.equal(bench.state.reservations.size, 2)
  bench.hear({ kind: 'placement/release', domain: DOMAIN, askId: 'ask-1', also: [] }, LEADER)
  assert.deepEqual(
    [...bench.state.reservations.values()].map(({ askId }) => askId),
    ['ask-0'],
  )
  bench.hear({ ...ask, askId: 'again-2', number: 2, also: [{ askId: 'again-3', number: 3 }] })
  const numbers = bench.look().sent.map((said) => [said.kind, 'number' in said ? said.number : null])
  assert.deepEqual(numbers, [
    ['placement/offer', 2],
    ['placement/refuse', 3],
  ])
  bench.wake()
  assert.equal(bench.state.reservations.size, 0, 'and what is not placed in time is given back')
})

test('who asks for one instance without room for more is answered in kind', () => {
  const bench = new Worker()
  bench.ask()
  assert.equal(
    bench.look().sent.some((said) => 'also' in said),
    false,
  )
})

test('a leader between two others hands a batch on in batches, and answers in batches', () => {
  const bench = new Leader([A, B], true)
  const also = Array.from({ length: 5 }, (_, index) => ({ askId: `up-${index + 1}`, number: index + 1 }))
  bench.hear(ABOVE, '/x' as DomainPath, { ...ASK, domain: ROOT, askId: 'up-0', also })
  const asks = bench.sent('placement/ask')
  assert.deepEqual(
    asks.map(({ message: ask }) => ask.also?.length),
    [2, 2],
  )
  const [first, second] = asks
  assert.ok(first !== undefined && second !== undefined)
  const { askId, number, also: rest = [] } = first.message
  const about = { domain: EU, service: WEB, child: first.to, node: ME, nodeName: 'me', score: 0.5, expiresInMs: 9_000 }
  const leader = nodeId(`leader-of-${first.to}`)
  bench.hear(leader, first.to as DomainPath, { kind: 'placement/offer', ...about, askId, number, also: rest })
  const [offer, ...more] = bench.sent('placement/offer')
  assert.deepEqual(more, [])
  assert.deepEqual([offer?.to, offer?.message.number, offer?.message.also?.length], [ABOVE, number, 2])
  const numbers = (said: { readonly number: number; readonly also?: readonly { readonly number: number }[] }) =>
    [said.number, ...(said.also ?? []).map((one) => one.number)].sort()
  if (offer !== undefined) assert.deepEqual(numbers(offer.message), numbers(first.message), 'those that were offered')
  bench.hear(ABOVE, '/x' as DomainPath, {
    kind: 'placement/release',
    domain: ROOT,
    askId: 'up-0',
    also: ['up-1', 'up-2'],
  })
  const released = bench.sent('placement/release').flatMap(({ message: one }) => [one.askId, ...(one.also ?? [])])
  const asked = asks.flatMap(({ message: ask }) => [ask, ...(ask.also ?? [])])
  const meant = asked.filter((one) => one.number <= 2).map((one) => one.askId)
  assert.deepEqual(released.sort(), meant.sort(), 'those of the three that are not wanted any more')
})

test('a hundred services that are submitted at once never take more of a device than it has', () => {
  const fleet = new Fleet()
  fleet.run(10_000)
  for (let index = 0; index < 100; index++) fleet.submit(specOf({ name: `s${index}`, replicas: 2, vcpus: 0.5 }), ROOT)
  // Nine devices of four cores; that none promises more is looked at in every step of every worker.
  const room = (9 * 4) / 0.5
  fleet.until('all room is taken', () => fleet.running().length === room, 180_000)
  fleet.run(30_000)
  assert.equal(fleet.running().length, room)
  assert.equal(fleet.pending.size, 200 - room, 'and of all others it is said why')
})

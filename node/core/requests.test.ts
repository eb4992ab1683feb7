// What a node asks of others when it does not know whom to ask.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KnownLeadership, LeaderBookView } from '../../election/index.ts'
import type { DomainPath, NodeId, ServiceId } from '../../overlay/kernel/ids.ts'
import { seededRandom } from '../../overlay/kernel/random.ts'
import type { SealedRecord } from '../../services-registry/index.ts'
import type { CoreEffect } from './effects.ts'
import { createRequests } from './requests.ts'
import { factsOf } from './world.test-kit.ts'

const EU = '/eu' as DomainPath
const ABROAD = '/eu/a' as DomainPath
const at = (now: number) => ({ now, wall: now, random: seededRandom(1) })

/** A book in which only the leaders of some domains stand. */
function bookOf(leaders: Readonly<Record<string, NodeId>>): LeaderBookView {
  const nodeOf = (child: string): NodeId | null => leaders[child] ?? null
  const leaderOf = (domain: DomainPath): KnownLeadership | null => {
    const node = nodeOf(domain)
    return node === null ? null : ({ announcement: { node, electors: [] } } as unknown as KnownLeadership)
  }
  return { nodeOf, leaderOf } as unknown as LeaderBookView
}

function spec(): SealedRecord {
  const signer = factsOf('b1', '/us/b')
  const clock = { wall: 1, counter: 0 }
  const message = { kind: 'record/spec', domain: ABROAD, service: 'a.b.c.d' as ServiceId, clock, spec: null }
  return { from: signer.node, signer, message, bytes: new Uint8Array(8) } as unknown as SealedRecord
}

test('who leads a cluster of another region is asked of the leader above it, again and again until it is known', () => {
  const guide = factsOf('c1', '/eu/c').node
  const holder = factsOf('a1', '/eu/a').node
  const leaders: Record<string, NodeId> = { [EU]: guide }
  const self = factsOf('b1', '/us/b')
  const requests = createRequests({ self, book: bookOf(leaders), stores: () => [], pending: [] })
  const question = {
    kind: 'send',
    to: guide,
    message: { kind: 'election/proof-wanted', domain: ABROAD, epoch: 0, term: 0 },
  }

  const first: CoreEffect[] = []
  requests.submit(ABROAD, spec(), at(0), first)
  assert.deepEqual(
    first.filter(({ kind }) => kind === 'send'),
    [question],
  )
  const again: CoreEffect[] = []
  requests.onWake(at(requests.wakeAt() ?? 0), again)
  assert.deepEqual(again, [question])

  leaders[ABROAD] = holder
  const known: CoreEffect[] = []
  requests.onLeaders(at(90_000), known)
  const pushed = known.flatMap((effect) => (effect.kind === 'send' ? [[effect.to, effect.message.kind]] : []))
  assert.deepEqual(pushed, [[holder, 'registry/push']])
})

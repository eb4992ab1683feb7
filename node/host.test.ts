// The host's part of the contract: effects in their order, nothing before what it waits for, one input at a time.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type NodeId, serviceId } from '../overlay/kernel/ids.ts'
import { seededRandom } from '../overlay/kernel/random.ts'
import { err, ok } from '../overlay/kernel/result.ts'
import type { UnixMillis } from '../overlay/kernel/time.ts'
import { MESSAGE_BYTES_MAX } from '../overlay/wire/codec.ts'
import { createSealer, type Verifier } from '../overlay/wire/envelope.ts'
import { isSpokenFrame } from '../overlay/wire/frame.ts'
import type { Core } from './core/core.ts'
import type { CoreEffect, CoreInput, CoreMessage } from './core/effects.ts'
import { coreCodec } from './core/messages.ts'
import { FEDERATION, factsOf, statementBy, trustingSealer } from './core/world.test-kit.ts'
import {
  CREDENTIALS_ASKED_AT_ONCE_MAX,
  createHost,
  ENVELOPES_WAITING_MAX,
  ENVELOPES_WAITING_PER_MEMBER_MAX,
  type HostPorts,
  topicOf,
} from './host.ts'

const SELF = factsOf('self', '/a')
const PEER = factsOf('peer', '/a')
const where = (name: string): CoreMessage => ({ kind: 'node/where', domain: '/a' as never, node: name as NodeId })
const send = (to: NodeId, name: string): CoreEffect => ({ kind: 'send', to, message: where(name) })
const say = (name: string): CoreEffect => ({ kind: 'emit', event: { name, level: 'info', fields: {} } })

/** A host around a core that answers each input from a script, with ports that write down what they are told. */
function hostWith(answer: (input: CoreInput) => readonly CoreEffect[], verify?: Verifier['verify'], standing = verify) {
  const log: string[] = []
  let settled = 0
  const inputs: CoreInput[] = []
  const sent: Uint8Array[] = []
  const writes: (() => void)[] = []
  const fetches: ((learned: boolean) => void)[] = []
  let alarm: { at: number | null; ring: () => void } = { at: null, ring: () => undefined }
  let wakeAt: number | null = null
  const core: Core = {
    step: (input) => {
      inputs.push(input)
      log.push(`input ${input.kind}`)
      return answer(input)
    },
    wakeAt: () => wakeAt,
    view: { self: SELF } as unknown as Core['view'],
  }
  const ports: HostPorts = {
    clock: {
      now: () => 1,
      wall: () => 1 as UnixMillis,
      alarm: (at, ring) => {
        alarm = { at, ring }
      },
    },
    random: seededRandom(1),
    disk: {
      write: (key, _value, sync, done) => {
        log.push(`write ${key}${sync ? ' sync' : ''}`)
        writes.push(done)
      },
    },
    network: {
      send: (to, bytes) => {
        log.push(`send ${to}`)
        sent.push(bytes)
      },
      publish: (topic, _bytes, hearers) => {
        const near = hearers === null ? '' : `, near ones ${hearers.nodes.join()}`
        log.push(`publish ${topic} to ${hearers?.areAll ? hearers.nodes.join() : `whoever follows${near}`}`)
      },
      follow: (topics) => log.push(`follow ${topics.join()}`),
      want: (peers) => log.push(`want ${peers.length}`),
      fetchCredential: (_hash, from, done) => {
        log.push(`fetch from ${from}`)
        fetches.push(done)
      },
    },
    runtimes: { run: (runtime, operation) => log.push(`${operation.kind} on ${runtime}`) },
    listener: {
      onEvent: ({ name }) => log.push(`event ${name}`),
      onResolved: (requestId) => log.push(`resolved ${requestId}`),
      onAnswered: (requestId) => log.push(`answered ${requestId}`),
      onCharter: () => log.push('charter'),
      onPolicy: () => log.push('policy'),
      onAudit: () => log.push('audit'),
      onDropped: (problem) => log.push(`dropped ${problem}`),
      onSettled: () => {
        settled += 1
      },
    },
  }
  const trusting = trustingSealer(SELF, [SELF, PEER])
  const signer = { facts: SELF, credentialHash: new Uint8Array(32), sign: () => new Uint8Array(64) }
  const sealer =
    verify === undefined
      ? trusting
      : createSealer(coreCodec, FEDERATION, signer, { verify, ...(standing && { standing: bare(standing) }) })
  const host = createHost({ self: SELF.node, federation: FEDERATION, core, sealer, ports })
  return {
    host,
    log,
    inputs,
    sent,
    writes,
    fetches,
    alarm: () => alarm,
    settled: () => settled,
    setWake: (at: number) => {
      wakeAt = at
    },
  }
}

/** What is asked of a signer whose signature is not looked at. */
const bare =
  (verify: Verifier['verify']): NonNullable<Verifier['standing']> =>
  (from, hash) =>
    verify(from, hash, new Uint8Array(0), new Uint8Array(0))

const fromPeer = (name: string): Uint8Array => trustingSealer(PEER, [SELF, PEER]).seal(where(name)).bytes

/** What a member says to somebody new: the sealed statements of all. */
function rosterOf(names: readonly string[]): CoreMessage {
  const members = names.map((name) => statementBy(factsOf(name, '/a'), name))
  return { kind: 'membership/entries', domain: PEER.domain, members, reports: [] }
}

test('effects are carried out in the order in which the core gave them', () => {
  const { host, log } = hostWith(() => [say('one'), send(PEER.node, 'x'), say('two')])
  host.input({ kind: 'start' })
  assert.deepEqual(log, ['input start', 'event one', `send ${PEER.node}`, 'event two'])
})

test('what waits for a write happens after it and never before', () => {
  const { host, log, writes } = hostWith(({ kind }) =>
    kind === 'start'
      ? [
          { kind: 'persist', key: 'vote', value: new Uint8Array(1), sync: true, then: [send(PEER.node, 'x')] },
          say('on'),
        ]
      : [],
  )
  host.input({ kind: 'start' })
  assert.deepEqual(log, ['input start', 'write vote sync', 'event on'])
  host.input({ kind: 'wake' })
  assert.deepEqual(log.slice(3), ['input wake'])
  writes[0]?.()
  assert.deepEqual(log.slice(4), [`send ${PEER.node}`])
})

test('a write that failed lets nothing happen that waited for it', () => {
  const { host, log } = hostWith(() => [
    { kind: 'persist', key: 'vote', value: null, sync: true, then: [say('voted')] },
  ])
  host.input({ kind: 'start' })
  assert.equal(log.includes('event voted'), false)
})

test('what a node sends to itself comes back as a message and stays off the network', () => {
  const { host, log, inputs } = hostWith(({ kind }) => (kind === 'start' ? [send(SELF.node, 'x'), say('sent')] : []))
  host.input({ kind: 'start' })
  assert.deepEqual(log, ['input start', 'event sent', 'input message'])
  const [, message] = inputs
  assert.ok(message?.kind === 'message')
  assert.deepEqual([message.deliveredBy, message.opened.from, message.gossipedIn], [SELF.node, SELF.node, null])
})

test('what a node authors is told to itself and published, in its cluster to members that are known', () => {
  const topics = ['/a', '/'].map((domain) => ({ domain: domain as never, topic: 'leader' as const }))
  const { host, log } = hostWith(({ kind }) =>
    kind === 'start'
      ? [
          { kind: 'author', message: where('x'), topics: topics.slice(0, 1) },
          { kind: 'hearers', members: [SELF.node, PEER.node] },
          { kind: 'author', message: where('y'), topics },
        ]
      : [],
  )
  host.input({ kind: 'start' })
  const early = `publish /coppice/${FEDERATION}/a/leader to whoever follows`
  const near = `publish /coppice/${FEDERATION}/a/leader to ${SELF.node},${PEER.node}`
  const above = `publish /coppice/${FEDERATION}/leader to whoever follows, near ones ${SELF.node},${PEER.node}`
  assert.deepEqual(log, ['input start', early, near, above, 'input message', 'input message'])
})

test('an input that comes up during a step waits until the step is over', () => {
  const { host, log } = hostWith(({ kind }) =>
    kind === 'start' ? [{ kind: 'again', input: { kind: 'wake' } }, say('still starting')] : [say('woken')],
  )
  host.input({ kind: 'start' })
  assert.deepEqual(log, ['input start', 'event still starting', 'input wake', 'event woken'])
})

test('a message that came on a topic carries the domain of that topic', () => {
  for (const domain of ['/', '/a', '/eu/berlin']) {
    const { host, inputs } = hostWith(() => [])
    host.receive(fromPeer('x'), PEER.node, topicOf(FEDERATION, { domain: domain as never, topic: 'leader' }))
    assert.equal(inputs[0]?.kind === 'message' && inputs[0].gossipedIn, domain)
  }
})

test('what a connected peer speaks is believed to be its own, by no other way and at no other time', () => {
  const { host, log, inputs } = hostWith(() => [])
  const { bytes } = trustingSealer(PEER, [SELF, PEER]).speak(where('x'))
  const topic = topicOf(FEDERATION, { domain: '/a' as never, topic: 'leader' })
  host.receive(bytes, PEER.node, null)
  host.input({ kind: 'connected', peer: PEER.node, facts: PEER })
  host.receive(bytes, factsOf('other', '/a').node, null)
  host.receive(bytes, PEER.node, topic)
  host.receive(bytes, PEER.node, null)
  assert.deepEqual(log, [
    'dropped unknown-speaker',
    'input connected',
    'dropped unknown-speaker',
    'dropped malformed',
    'input message',
  ])
  assert.ok(inputs[1]?.kind === 'message' && inputs[1].opened.signer === PEER)
  host.input({ kind: 'disconnected', peer: PEER.node })
  host.receive(bytes, PEER.node, null)
  assert.deepEqual(log.slice(5), ['input disconnected', 'dropped unknown-speaker'])
})

test('whoever is revoked is not listened to any more, though the connection still stands', () => {
  const { host, log } = hostWith(() => [])
  host.input({ kind: 'connected', peer: PEER.node, facts: PEER })
  host.input({ kind: 'revoked', node: PEER.node })
  host.receive(trustingSealer(PEER, [SELF, PEER]).speak(where('x')).bytes, PEER.node, null)
  assert.deepEqual(log, ['input connected', 'input revoked', 'dropped unknown-speaker'])
})

test('a vote that comes without its signature is dropped, and leaves with it', () => {
  const domain = '/a' as never
  const ids = { voter: PEER.node, candidate: SELF.node }
  const vote: CoreMessage = { kind: 'election/vote', domain, line: 'l', epoch: 1, term: 1, ...ids, speaker: null }
  const { host, log, sent } = hostWith(({ kind }) =>
    kind === 'start' ? [{ kind: 'send', to: PEER.node, message: vote }, send(PEER.node, 'x')] : [],
  )
  host.input({ kind: 'connected', peer: PEER.node, facts: PEER })
  host.receive(coreCodec.encode(vote), PEER.node, null)
  assert.deepEqual(log, ['input connected', 'dropped unsealed'])
  host.input({ kind: 'start' })
  assert.deepEqual(sent.map(isSpokenFrame), [false, true])
})

test('an envelope under an unknown credential is opened once its credential was learned', () => {
  let isKnown = false
  const { host, log, fetches } = hostWith(
    () => [],
    () => (isKnown ? ok(PEER) : err('unknown-credential')),
  )
  host.receive(fromPeer('x'), PEER.node, null)
  assert.deepEqual(log, [`fetch from ${PEER.node}`])
  isKnown = true
  fetches[0]?.(true)
  assert.deepEqual(log.slice(1), ['input message'])
})

test('a roster of unknown members is taken in once their credentials are, which are asked for together', () => {
  const known = new Set<NodeId>()
  const { host, log, fetches } = hostWith(
    () => [],
    (from) => (known.has(from) ? ok({ ...PEER, node: from }) : err('unknown-credential')),
  )
  const names = Array.from({ length: CREDENTIALS_ASKED_AT_ONCE_MAX + 3 }, (_, index) => `member-${index}`)
  host.input({ kind: 'connected', peer: PEER.node, facts: PEER })
  host.receive(trustingSealer(PEER, [PEER]).speak(rosterOf(names)).bytes, PEER.node, null)
  assert.equal(fetches.length, CREDENTIALS_ASKED_AT_ONCE_MAX)
  for (const name of names.slice(0, CREDENTIALS_ASKED_AT_ONCE_MAX)) known.add(factsOf(name, '/a').node)
  for (const answer of fetches.splice(0)) answer(true)
  assert.equal(fetches.length, 3, 'and then for the rest')
  for (const name of names) known.add(factsOf(name, '/a').node)
  for (const answer of fetches.splice(0)) answer(true)
  assert.equal(log.at(-1), 'input message')
})

test('who hands over one credential of many does not have this node ask for ever', () => {
  const known = new Set<NodeId>()
  const { host, log, fetches } = hostWith(
    () => [],
    (from) => (known.has(from) ? ok({ ...PEER, node: from }) : err('unknown-credential')),
  )
  host.input({ kind: 'connected', peer: PEER.node, facts: PEER })
  host.receive(trustingSealer(PEER, [PEER]).speak(rosterOf(['a', 'b'])).bytes, PEER.node, null)
  known.add(factsOf('a', '/a').node)
  for (const answer of fetches.splice(0)) answer(true)
  assert.equal(fetches.length, 1)
  for (const answer of fetches.splice(0)) answer(true)
  assert.deepEqual([fetches.length, log.at(-1)], [0, 'dropped unknown-credential'])
})

test('an envelope whose credential nobody has is dropped and counted, and asked for only once', () => {
  const { host, log, fetches } = hostWith(
    () => [],
    () => err('unknown-credential'),
  )
  host.receive(fromPeer('x'), PEER.node, null)
  fetches[0]?.(true)
  assert.deepEqual(log, [`fetch from ${PEER.node}`, 'dropped unknown-credential'])
  host.receive(fromPeer('y'), PEER.node, null)
  fetches[1]?.(false)
  assert.deepEqual(log.slice(2), [`fetch from ${PEER.node}`, 'dropped unknown-credential'])
})

test('only so many envelopes wait for a credential; those beyond are dropped', () => {
  const { host, log, fetches } = hostWith(
    () => [],
    () => err('unknown-credential'),
  )
  for (let i = 0; i <= ENVELOPES_WAITING_MAX; i++) host.receive(fromPeer(`${i}`), `bringer-${i}` as NodeId, null)
  assert.equal(fetches.length, ENVELOPES_WAITING_MAX)
  assert.equal(log.at(-1), 'dropped unknown-credential')
})

test('who brings envelopes of nobody and hands over no credential takes no room from the others', () => {
  const { host, fetches } = hostWith(
    () => [],
    () => err('unknown-credential'),
  )
  for (let i = 0; i < ENVELOPES_WAITING_MAX; i++) host.receive(fromPeer(`${i}`), 'liar' as NodeId, null)
  assert.equal(fetches.length, ENVELOPES_WAITING_PER_MEMBER_MAX)
  host.receive(fromPeer('honest'), PEER.node, null)
  assert.equal(fetches.length, ENVELOPES_WAITING_PER_MEMBER_MAX + 1)
  for (const answer of fetches.splice(0)) answer(false)
  host.receive(fromPeer('again'), 'liar' as NodeId, null)
  assert.equal(fetches.length, 1, 'room that was given back')
})

test('what cannot be understood, or is signed by one who was revoked, is dropped and counted', () => {
  const { host, log } = hostWith(() => [])
  host.receive(new Uint8Array([1, 2, 3]), PEER.node, null)
  host.receive(new Uint8Array(100_000), PEER.node, null)
  assert.deepEqual(log, ['dropped not-cbor', 'dropped too-large'])
  const wary = hostWith(
    () => [],
    () => err('revoked'),
  )
  wary.host.receive(fromPeer('x'), PEER.node, null)
  assert.deepEqual(wary.log, ['dropped revoked'])
})

test('a message that no receiver would take is not sent, and counted', () => {
  const big: CoreMessage = { kind: 'charter/news', packed: new Uint8Array(MESSAGE_BYTES_MAX) }
  const { host, log } = hostWith(() => [{ kind: 'send', to: PEER.node, message: big }])
  host.input({ kind: 'start' })
  assert.deepEqual(log, ['input start', 'dropped too-large'])
})

test('the alarm is set for what the core waits for, and rings as a wake', () => {
  const { host, log, alarm, setWake } = hostWith(() => [])
  setWake(1_000)
  host.input({ kind: 'start' })
  assert.equal(alarm().at, 1_000)
  alarm().ring()
  assert.deepEqual(log, ['input start', 'input wake'])
})

test('after a stop nothing is carried out, not even what a finished write would allow', () => {
  const { host, log, writes, alarm } = hostWith(() => [
    { kind: 'persist', key: 'vote', value: null, sync: true, then: [say('voted')] },
  ])
  host.input({ kind: 'start' })
  host.stop()
  writes[0]?.()
  host.receive(fromPeer('x'), PEER.node, null)
  assert.deepEqual(log, ['input start', 'write vote sync'])
  assert.equal(alarm().at, null)
})

test('a question that is answered at once changes nothing, so nobody has to look again', () => {
  const service = serviceId('shop.prod.web.prod')
  const answer = { service, records: [], reason: null, isAbsent: false }
  const { host, log, settled } = hostWith((input) =>
    input.kind === 'resolve' ? [{ kind: 'resolved', requestId: input.requestId, answer }] : [],
  )
  host.input({ kind: 'resolve', service, requestId: 1 })
  assert.deepEqual([log, settled()], [['input resolve', 'resolved 1'], 0])
  host.input({ kind: 'start' })
  assert.equal(settled(), 1)
})

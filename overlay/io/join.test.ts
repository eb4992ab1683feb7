// Guests of a device that is busy: each tells it from one that is away, and many at once are all answered.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { allowListGate, bytesOf, createVillage, FEDERATION, idOf, newKey, PATIENCE_MS } from './fixtures.ts'
import { type Guest, JoinUnreachableError, openGuest } from './join.ts'
import { HELLO_TIMEOUT_MS } from './protocols.ts'

const GUESTS = 100
const village = createVillage()
const guests: Guest[] = []
after(async () => {
  await Promise.all(guests.map((guest) => guest.close()))
  await village.stop()
})

async function openedGuest(addresses: readonly string[]): Promise<Guest> {
  const guest = await openGuest({ federation: FEDERATION, nodeKey: await newKey(), addresses })
  guests.push(guest)
  return guest
}

test('a device that is there and does not answer in time is busy, and is asked again by the same guest', async () => {
  const key = await newKey()
  const { promise: free, resolve: finish } = Promise.withResolvers<void>()
  const gate = allowListGate(idOf(key), village.members, village.relays)
  const serveJoin: typeof gate.serveJoin = (peer, request) => free.then(() => gate.serveJoin(peer, request))
  const host = await village.add({ privateKey: key, gate: { ...gate, serveJoin } })
  const nobody = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'
  const guest = await openedGuest([nobody, ...host.network.addresses()])
  const request = bytesOf('please')
  await assert.rejects(guest.ask({ request, patienceMs: 100 }), (problem: unknown) => {
    assert.ok(problem instanceof JoinUnreachableError)
    assert.deepEqual(
      problem.attempts.map(({ isBusy }) => isBusy),
      [false, true],
    )
    assert.match(problem.attempts[1]?.reason ?? '', /busy: no answer within 0.1 s/)
    return true
  })
  finish()
  const { answer } = await guest.ask({ request, patienceMs: PATIENCE_MS })
  assert.equal(new TextDecoder().decode(answer), 'PLEASE')
})

test('a hundred guests that come at once are all answered when they first ask', async () => {
  const host = await village.add({ helloTimeoutMs: HELLO_TIMEOUT_MS })
  const arriving = await Promise.all(Array.from({ length: GUESTS }, () => openedGuest(host.network.addresses())))
  const answers = await Promise.all(
    arriving.map((guest, index) => guest.ask({ request: bytesOf(`guest ${index}`), patienceMs: PATIENCE_MS })),
  )
  assert.deepEqual(
    answers.map(({ answer }) => new TextDecoder().decode(answer)),
    arriving.map((_, index) => `GUEST ${index}`),
  )
})

// Invites as they are made, pasted, cut off and mistyped.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DomainPath, FederationId } from '../overlay/kernel/ids.ts'
import { decodeInvite, encodeInvite, INVITE_PREFIX, type Invite } from './invite.ts'
import { LINE_CHARS_MAX } from './line.ts'

const invite: Invite = {
  federation: 'ab'.repeat(32) as FederationId,
  federationName: 'Grüne Felder',
  addresses: [
    '/ip4/192.168.1.7/tcp/4001/p2p/12D3KooWGUx9AQFf2av9rsgCx1tueYzaXstUNJb7beu1rtxyzJQG',
    '/dns4/gate.example/tcp/4001/p2p/12D3KooWGUx9AQFf2av9rsgCx1tueYzaXstUNJb7beu1rtxyzJQG',
  ],
  domain: '/eu/berlin' as DomainPath,
  inviteId: new Uint8Array(8).fill(3),
  secret: new Uint8Array(32).fill(7),
  expiresAt: 1_800_000_000_000,
}
const line = encodeInvite(invite)

const codeOf = (text: string): string => {
  const decoded = decodeInvite(text)
  return decoded.ok ? 'ok' : decoded.error.code
}

test('an invite that is printed and read again is the same', () => {
  const decoded = decodeInvite(line)
  assert.ok(decoded.ok)
  assert.deepEqual(decoded.value, invite)
  assert.ok(!/\s/.test(line))
})

test('spaces, line breaks and quotes around an invite are passed over', () => {
  const wrapped = `  "${line.replace(/(.{40})/g, '$1\r\n  ')}"\n`
  assert.equal(codeOf(wrapped), 'ok')
})

test('an invite that is cut off anywhere is called cut off', () => {
  for (let length = 1; length < line.length; length++)
    assert.equal(codeOf(line.slice(0, length)), 'cut-off', `${length}`)
  const decoded = decodeInvite(line.slice(0, line.length / 2))
  assert.match(decoded.ok ? '' : decoded.error.detail, /^the invite is cut off: \d+ characters? (is|are) missing/)
})

test('an invite with one character changed, added or left out is never taken for a good one', () => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  for (let at = INVITE_PREFIX.length; at < line.length; at++) {
    for (const other of [alphabet[(at * 7) % 64], alphabet[(at * 11 + 5) % 64], '!', 'é']) {
      if (other === undefined || other === line[at]) continue
      const changed = line.slice(0, at) + other + line.slice(at + 1)
      assert.ok(['mistyped', 'cut-off', 'too-long'].includes(codeOf(changed)), `${at} ${other}: ${codeOf(changed)}`)
      // The header's length is the one place where a changed character may look like a cut.
      if (at >= INVITE_PREFIX.length + 8) assert.equal(codeOf(changed), 'mistyped')
    }
    assert.notEqual(codeOf(line.slice(0, at) + line.slice(at + 1)), 'ok')
    assert.notEqual(codeOf(`${line.slice(0, at)}A${line.slice(at)}`), 'ok')
  }
})

test('what is no invite, made by a newer version, or two invites in one is named as that', () => {
  assert.equal(codeOf(''), 'not-an-invite')
  assert.equal(codeOf('hello'), 'not-an-invite')
  assert.equal(codeOf(line.replace('coppice1', 'coppice2')), 'newer-version')
  assert.equal(codeOf(line + line), 'too-long')
  assert.equal(codeOf('x'.repeat(LINE_CHARS_MAX + 1)), 'too-long')
})

test('an invite that says what no invite may say is refused with the reason', () => {
  const problemOf = (change: Partial<Invite>): string => {
    const decoded = decodeInvite(encodeInvite({ ...invite, ...change }))
    return decoded.ok ? 'ok' : decoded.error.detail
  }
  assert.match(problemOf({ addresses: [] }), /no address/)
  assert.match(problemOf({ addresses: Array(9).fill(invite.addresses[0]) }), /at most 8/)
  assert.match(problemOf({ addresses: ['/ip4/10.0.0.1/tcp/4001'] }), /\/p2p\//)
  assert.match(problemOf({ domain: '/' as DomainPath }), /no domain/)
  assert.match(problemOf({ domain: 'berlin' as DomainPath }), /no domain/)
  assert.match(problemOf({ secret: new Uint8Array(31) }), /wrong length/)
  assert.match(problemOf({ federation: 'abcd' as FederationId }), /wrong length/)
})

test('no text makes the reader of invites throw', () => {
  const body = fc.array(fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+/ '), { maxLength: 400 })
  const text = fc.oneof(
    fc.string({ maxLength: 400 }),
    body.map((chars) => INVITE_PREFIX + chars.join('')),
    fc
      .tuple(fc.nat(line.length), fc.string({ maxLength: 6 }))
      .map(([at, extra]) => line.slice(0, at) + extra + line.slice(at)),
  )
  fc.assert(
    fc.property(text, (candidate) => {
      const decoded = decodeInvite(candidate)
      assert.ok(decoded.ok || decoded.error.detail.length > 0)
    }),
    { seed: 3, numRuns: 3_000 },
  )
})

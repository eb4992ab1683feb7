// Chains as operators make them, and as a forger would like them to be.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { NodeId } from '../overlay/kernel/ids.ts'
import { encodeCbor } from '../overlay/wire/codec.ts'
import {
  appendEntry,
  CHARTER_BYTES_MAX,
  type CharterEntry,
  type CharterView,
  compareChains,
  decodeChain,
  encodeChain,
  operatorIdOf,
  signaturesNeeded,
  verifyChain,
} from './charter.ts'
import { nodeCrypto } from './io/crypto.ts'
import { operatorNamed } from './io/federation-for-tests.ts'
import type { OperatorKey } from './io/key-file.ts'

interface Chain {
  readonly entries: readonly CharterEntry[]
  readonly view: CharterView
}

const acme = operatorNamed('acme')
const birch = operatorNamed('birch')
const cedar = operatorNamed('cedar')
const node = (name: string): NodeId => `12D3KooW${name}` as NodeId

function genesis(operators: readonly OperatorKey[], seals = operators, nonce = 1): Chain {
  const named = operators.map((key) => ({ id: key.operator, name: key.name }))
  const body = { name: 'Green Fields', nonce: new Uint8Array(32).fill(nonce), at: 1_000, operators: named }
  const made = appendEntry([], null, { kind: 'genesis', body }, seals, nodeCrypto)
  assert.ok(made.ok, made.ok ? '' : made.error.detail)
  return made.value
}

function revoke(chain: Chain, nodes: readonly NodeId[], seals: readonly OperatorKey[] = [acme]): Chain {
  const made = tryRevoke(chain, nodes, seals)
  assert.ok(made.ok, made.ok ? '' : made.error.detail)
  return made.value
}

function tryRevoke(chain: Chain, nodes: readonly NodeId[], seals: readonly OperatorKey[]) {
  const body = { nodes, credentials: [], reason: 'lost', at: 2_000 }
  return appendEntry(chain.entries, chain.view, { kind: 'revoke', body }, seals, nodeCrypto)
}

function problemOf(entries: readonly CharterEntry[]): string {
  const verified = verifyChain(entries, nodeCrypto)
  return verified.ok ? 'valid' : verified.error.kind
}

test('a chain that was written and read again says the same, and its first hash is the federation', () => {
  const chain = revoke(revoke(genesis([acme]), [node('A')]), [node('B'), node('C')])
  const read = decodeChain(encodeChain(chain.entries))
  assert.ok(read.ok)
  const verified = verifyChain(read.value, nodeCrypto)
  assert.ok(verified.ok)
  assert.deepEqual(verified.value, chain.view)
  assert.equal(verified.value.federation, verified.value.hashes[0])
  assert.deepEqual([...verified.value.revokedNodes], [node('A'), node('B'), node('C')])
})

test('two federations of one name and operator are different federations', () => {
  assert.notEqual(genesis([acme]).view.federation, genesis([acme], [acme], 2).view.federation)
})

test('a change in any field of any entry is noticed', () => {
  const { entries } = revoke(revoke(genesis([acme]), [node('A')]), [node('B')])
  const flipped = (bytes: Uint8Array, at = 0): Uint8Array =>
    bytes.map((byte, index) => (index === at ? byte ^ 1 : byte))
  const tamperings: Readonly<Record<string, (entry: CharterEntry) => CharterEntry>> = {
    seq: (entry) => ({ ...entry, seq: entry.seq + 1 }),
    prev: (entry) => ({ ...entry, prev: entry.prev === null ? new Uint8Array(32) : flipped(entry.prev) }),
    'missing prev': (entry) => ({ ...entry, prev: entry.prev === null ? new Uint8Array(32) : null }),
    kind: (entry) => ({ ...entry, kind: entry.kind === 'revoke' ? 'genesis' : 'revoke' }),
    body: (entry) => ({ ...entry, body: flipped(entry.body, entry.body.length - 2) }),
    signature: (entry) => ({
      ...entry,
      signatures: entry.signatures.map((one) => ({ ...one, signature: flipped(one.signature) })),
    }),
    signer: (entry) => ({
      ...entry,
      signatures: entry.signatures.map((one) => ({ ...one, operator: birch.operator })),
    }),
    'no signature': (entry) => ({ ...entry, signatures: [] }),
    'signature twice': (entry) => ({ ...entry, signatures: [...entry.signatures, ...entry.signatures] }),
  }
  assert.equal(problemOf(entries), 'valid')
  for (const [field, tamper] of Object.entries(tamperings)) {
    for (const index of entries.keys()) {
      const tampered = entries.map((entry, at) => (at === index ? tamper(entry) : entry))
      assert.notEqual(problemOf(tampered), 'valid', `${field} of entry ${index}`)
    }
  }
})

test('an entry that is left out, moved or repeated breaks the chain', () => {
  const [first, second, third] = revoke(revoke(genesis([acme]), [node('A')]), [node('B')]).entries
  assert.ok(first && second && third)
  assert.equal(problemOf([first, third]), 'bad-sequence')
  assert.equal(problemOf([first, third, second]), 'bad-sequence')
  assert.equal(problemOf([first, second, { ...third, seq: 1 }]), 'bad-sequence')
  assert.equal(problemOf([first, { ...third, seq: 1 }]), 'broken-link')
  assert.equal(problemOf([second]), 'bad-sequence')
  assert.equal(problemOf([]), 'empty')
})

test('a kind of entry that this version does not know refuses the chain and says so', () => {
  const { entries, view } = genesis([acme])
  const body = encodeCbor({})
  const prev = entries[0] === undefined ? null : Uint8Array.from(Buffer.from(view.head, 'hex'))
  const signature = acme.sign(encodeCbor(['coppice/charter/1', 1, prev, 'policy', body]))
  const policy = { seq: 1, prev, kind: 'policy', body, signatures: [{ operator: acme.operator, signature }] }
  const verified = verifyChain([...entries, policy], nodeCrypto)
  assert.ok(!verified.ok)
  assert.equal(verified.error.kind, 'unknown-kind')
  assert.match(verified.error.detail, /"policy"/)
})

test('a majority of the operators must sign, and all of them at the genesis', () => {
  assert.deepEqual([1, 2, 3, 4, 5].map(signaturesNeeded), [1, 2, 2, 3, 3])
  const three = genesis([acme, birch, cedar])
  const alone = tryRevoke(three, [node('A')], [acme])
  assert.equal(alone.ok ? '' : alone.error.kind, 'too-few-signatures')
  assert.equal(revoke(three, [node('A')], [acme, cedar]).view.revokedNodes.size, 1)
  const stranger = tryRevoke(three, [node('A')], [acme, operatorNamed('mallory')])
  assert.equal(stranger.ok ? '' : stranger.error.kind, 'not-an-operator')
  const named = [acme, birch].map((key) => ({ id: key.operator, name: key.name }))
  const body = { name: 'x', nonce: new Uint8Array(32), at: 0, operators: named }
  const unasked = appendEntry([], null, { kind: 'genesis', body }, [acme], nodeCrypto)
  assert.equal(unasked.ok ? '' : unasked.error.kind, 'too-few-signatures')
})

test('a genesis names at least one operator, each once, each with a key', () => {
  const refusedFor = (operators: readonly { id: typeof acme.operator; name: string }[]): string => {
    const body = { name: 'x', nonce: new Uint8Array(32), at: 0, operators }
    const made = appendEntry([], null, { kind: 'genesis', body }, [acme], nodeCrypto)
    return made.ok ? 'valid' : made.error.kind
  }
  const one = { id: acme.operator, name: 'acme' }
  assert.equal(refusedFor([]), 'bad-body')
  assert.equal(refusedFor([one, one]), 'bad-body')
  assert.equal(refusedFor([{ id: operatorIdOf(new Uint8Array(31)), name: 'short' }]), 'bad-body')
  assert.equal(refusedFor([one]), 'valid')
})

test('the longer of two chains wins only when it holds the whole of the shorter one', () => {
  const start = genesis([acme])
  const short = revoke(start, [node('A')])
  const long = revoke(short, [node('B')])
  const other = revoke(revoke(start, [node('C')]), [node('D')])
  assert.deepEqual(compareChains(short.view, short.view), { kind: 'same' })
  assert.deepEqual(compareChains(short.view, long.view), { kind: 'theirs-is-longer' })
  assert.deepEqual(compareChains(long.view, short.view), { kind: 'ours-is-longer' })
  assert.deepEqual(compareChains(short.view, other.view), { kind: 'fork', seq: 1 })
  assert.deepEqual(compareChains(short.view, genesis([acme], [acme], 2).view), { kind: 'other-federation' })
})

test('a charter that would outgrow a hello refuses the entry and stays as it is', () => {
  let chain = genesis([acme])
  const many = Array.from({ length: 64 }, (_, index) => node(`${index}`.padEnd(44, 'x')))
  for (;;) {
    const made = tryRevoke(chain, many, [acme])
    if (!made.ok) {
      assert.equal(made.error.kind, 'too-large')
      break
    }
    chain = made.value
  }
  assert.ok(encodeChain(chain.entries).length <= CHARTER_BYTES_MAX)
  assert.ok(chain.entries.length > 5)
  assert.equal(problemOf(chain.entries), 'valid')
})

test('bytes that are no chain, and chains with any byte changed, are refused and never throw', () => {
  const { entries } = revoke(genesis([acme]), [node('A')])
  const good = encodeChain(entries)
  const isRefused = (bytes: Uint8Array): boolean => {
    const read = decodeChain(bytes)
    return !read.ok || !verifyChain(read.value, nodeCrypto).ok
  }
  assert.equal(isRefused(good), false)
  assert.equal(isRefused(new Uint8Array(CHARTER_BYTES_MAX + 1)), true)
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      const changed = good.map((byte, index) => (index === at ? byte ^ mask : byte))
      assert.ok(isRefused(changed))
    }),
    { seed: 1, numRuns: 300 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.ok(isRefused(bytes))
    }),
    { seed: 2, numRuns: 500 },
  )
})

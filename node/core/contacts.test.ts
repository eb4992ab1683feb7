// Whom other parts of a federation are told of, and whom a node calls where a part is silent.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath, NodeId } from '../../overlay/kernel/ids.ts'
import {
  CALLED_MAX,
  CONTACTS_MAX,
  calledInSilentParts,
  othersOfPart,
  partOf,
  type SealedStatement,
} from './contacts.ts'

const path = (domain: string): DomainPath => domain as DomainPath
const of = (name: string, domain: string): SealedStatement =>
  ({ from: name as NodeId, message: { domain } }) as unknown as SealedStatement
const names = (statements: readonly SealedStatement[]): readonly string[] => statements.map(({ from }) => from)

test('a cluster is part of the largest domain that a stranger is not in', () => {
  const parts = [
    ['/eu/berlin', '/us/nyc', '/eu'],
    ['/eu/berlin', '/eu/paris', '/eu/berlin'],
    ['/a', '/b', '/a'],
    ['/a', '/a', '/a'],
    ['/eu/de/berlin', '/eu/fr', '/eu/de'],
  ] as const
  for (const [cluster, seenFrom, part] of parts) assert.equal(partOf(path(cluster), path(seenFrom)), part)
})

test('a stranger is told of somebody in each other cluster of the part, of the latest that was heard of', () => {
  const known = [of('p1', '/eu/paris'), of('b2', '/eu/berlin'), of('p2', '/eu/paris'), of('n1', '/us/nyc')]
  const told = (own: string, stranger: string) => names(othersOfPart(path(own), path(stranger), known))
  assert.deepEqual(told('/eu/berlin', '/us/nyc'), ['p2'])
  assert.deepEqual(told('/eu/berlin', '/eu/paris'), [])
  const many = Array.from({ length: 9 }, (_, index) => of(`c${index}`, `/eu/c${index}`))
  assert.equal(othersOfPart(path('/eu/berlin'), path('/us/nyc'), many).length, CONTACTS_MAX)
})

test('who sits above calls in parts of which nobody is connected, and nobody else does', () => {
  const known = [of('b1', '/b'), of('c1', '/c/x'), of('c2', '/c/y')]
  const called = (seats: readonly string[], met: readonly string[]) =>
    calledInSilentParts(path('/a'), seats.map(path), met.map(path), known)
  assert.deepEqual(called(['/a', '/'], []), ['b1', 'c1', 'c2'])
  assert.deepEqual(called(['/a', '/'], ['/c/y']), ['b1'])
  assert.deepEqual(called(['/a', '/'], ['/c/z', '/b']), [])
  assert.deepEqual(called(['/a'], []), [])
})

test('of a silent part so many are called, the latest that were heard of', () => {
  const known = Array.from({ length: 2 * CALLED_MAX }, (_, index) => of(`b${index}`, '/b'))
  const called = calledInSilentParts(path('/a'), [path('/a'), path('/')], [], known)
  assert.deepEqual(called, names(known).slice(-CALLED_MAX))
})

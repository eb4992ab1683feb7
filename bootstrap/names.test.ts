// Which names of two federations get in each other's way, and what a person is told of it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { collisionsOf, inQuestions, NAMES_PER_SURVEY_MAX, type Named, takenNames } from './names.ts'

const service = (name: string, mark: string): Named => ({ of: 'service', name, mark })
const device = (name: string, mark: string): Named => ({ of: 'device', name, mark })

test('a name that means another thing there is taken, and one that means the same is not', () => {
  const known = [service('a.b.c.d', '1.0'), device('barn', 'node-1'), device('barn', 'node-2')]
  assert.deepEqual(takenNames([service('a.b.c.d', '2.0')], known), [service('a.b.c.d', '2.0')])
  assert.deepEqual(takenNames([service('a.b.c.d', '1.0')], known), [])
  assert.deepEqual(takenNames([device('barn', 'node-1')], known), [device('barn', 'node-1')])
  assert.deepEqual(takenNames([service('barn', 'node-3'), device('shed', 'node-3')], known), [])
})

test('two services of one name stand in the way; two devices or clusters of one name are for a person to allow', () => {
  const found = collisionsOf([
    { of: 'cluster', name: '/home', mark: 'b' },
    device('barn', 'node-3'),
    service('a.b.c.d', '2.0'),
    { of: 'secret', name: 'key', mark: '' },
  ])
  assert.deepEqual(
    found.map(({ of, blocks }) => [of, blocks]),
    [
      ['service', true],
      ['cluster', false],
      ['device', false],
      ['secret', false],
    ],
  )
})

test('what there is to ask is asked once, in questions that fit, and a federation never collides with itself', () => {
  const names = fc.array(fc.record({ name: fc.string({ maxLength: 8 }), mark: fc.string({ maxLength: 4 }) }), {
    maxLength: 200,
  })
  fc.assert(
    fc.property(names, (made) => {
      const asked = [...new Map(made.map(({ name, mark }) => [name, device(name, mark)])).values()]
      const questions = inQuestions(asked)
      assert.ok(questions.length >= 1 && questions.every(({ length }) => length <= NAMES_PER_SURVEY_MAX))
      assert.deepEqual(questions.flat(), asked)
      assert.deepEqual(takenNames(asked, asked), [])
    }),
  )
})

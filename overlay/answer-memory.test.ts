// Answers that are given again: to the same question only, under its own number, and never after a change.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ANSWER_MS_MAX, ANSWERS_MAX, createAnswerMemory } from './answer-memory.ts'

const question = (id: number, name: string): Buffer => Buffer.from([id >> 8, id & 255, ...Buffer.from(name)])
const answer = (text: string): Uint8Array => Uint8Array.of(0, 0, ...Buffer.from(text))
const textOf = (bytes: Uint8Array | null): string | null => bytes && Buffer.from(bytes.subarray(2)).toString()

test('what is given again was written for that question, since the last change, and at most a second ago', () => {
  const step = fc.record({ name: fc.constantFrom('a', 'b'), ms: fc.nat(700), isChange: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const memory = createAnswerMemory()
      const written = new Map<string, { readonly text: string; readonly asOf: number; readonly now: number }>()
      let now = 0
      let asOf = 0
      for (const [index, { name, ms, isChange }] of steps.entries()) {
        now += ms
        if (isChange) asOf += 1
        const last = written.get(name)
        const isGood = last !== undefined && last.asOf === asOf && now - last.now < ANSWER_MS_MAX
        assert.equal(textOf(memory.find(question(index, name), { now, asOf })), isGood ? last.text : null)
        if (isGood) continue
        const text = `${name} ${index}`
        memory.keep(question(index, name), answer(text), { now, asOf })
        written.set(name, { text, asOf, now })
      }
    }),
  )
})

test('each asker gets the answer under its own number', () => {
  const memory = createAnswerMemory()
  const at = { now: 0, asOf: 0 }
  memory.keep(question(1, 'a'), answer('yes'), at)
  for (const id of [7, 65_535]) {
    const given = memory.find(question(id, 'a'), at)
    assert.equal(given && Buffer.from(given).readUInt16BE(0), id)
  }
})

test('no more answers are kept than the limit, and the newest are', () => {
  const memory = createAnswerMemory()
  const at = { now: 0, asOf: 0 }
  for (let index = 0; index <= ANSWERS_MAX; index++) memory.keep(question(0, `${index}`), answer('yes'), at)
  assert.equal(memory.find(question(0, '0'), at), null)
  assert.notEqual(memory.find(question(0, '1'), at), null)
  assert.notEqual(memory.find(question(0, `${ANSWERS_MAX}`), at), null)
})
